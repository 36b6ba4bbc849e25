"""What the hooks share: the base of the carriers' schemas, its fields, the query parameters."""

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

from marshmallow import EXCLUDE, ValidationError, missing
from werkzeug.datastructures import MultiDict

from schemas.base import QuerySchema, RequestSchema
from schemas.fields import Instant, PhoneNumber, Region, Strict, parse_instant, with_plus
from schemas.numbers import PHONE_NUMBER, to_e164


def find(content: Any, path: str) -> Any:
    """Return what a path such as `data.payload.id` leads to in JSON; `missing` if nothing."""
    for name in path.split("."):
        content = content.get(name, missing) if isinstance(content, Mapping) else missing
    return content


def find_event(content: Any, path: str) -> str:
    """Return the name of an event, before its fields are checked. Raises ValidationError."""
    event = find(content, path)
    if event in (missing, None, ""):
        raise ValidationError({path: "is required"})
    if not isinstance(event, str):
        raise ValidationError({path: String.complaint})
    return event


class HookSchema(RequestSchema):
    """What is read of a carrier's request; the name of a field in the request is its path.

    Other fields are ignored, because carriers add some without notice.
    """

    class Meta:
        """What the OpenAPI document says of other fields."""

        unknown = EXCLUDE

    @classmethod
    @functools.cache
    def of_region(cls, region: str | None) -> Self:
        """Return the schema that reads numbers without a plus sign as those of a region."""
        return cls(region)

    def check_content(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields under their Python names; what is absent or null is None.

        Raises ValidationError as `check` does.
        """
        given = self.check({path: find(content, path) for path in self._keys})
        return dict.fromkeys(self.fields) | given


class CarrierId(Strict):
    """The carrier's id of a message."""

    complaint = "must be 1..64 letters, digits and hyphens"
    accepts = re.compile("[0-9A-Za-z-]{1,64}").fullmatch


class String(Strict):
    """A string of any length."""

    complaint = "must be a string"
    accepts = staticmethod(lambda value: isinstance(value, str))


class Anything(Strict):
    """A value of any kind. A request is refused only if the value is required and missing."""

    complaint = "is required"
    accepts = staticmethod(lambda value: value is not None)


class OwnNumber(PhoneNumber):
    """The number of yours, where the gateway says it: any text, because a parameter may say more.

    A phone may not know it, or know the one that its SIM had before.
    """

    accepts = staticmethod(lambda value: isinstance(value, str))


class HookInstant(Instant):
    """An instant of any year, because clocks that were never set tell odd ones."""

    def read(self, value: str) -> datetime:
        """Return an aware datetime in UTC; beyond either end of the calendar, one near that end."""
        try:
            return super().read(value)
        except OverflowError:
            return parse_instant(value).replace(tzinfo=UTC)


class HookQuerySchema(QuerySchema):
    """The query parameters of a hook, beside its key."""

    number = String(load_default=None)
    region = Region(load_default=None)

    def check_query(self, args: MultiDict[str, str]) -> dict[str, Any]:
        """Return the checked parameters, numbers without a plus sign as E.164."""
        checked = super().check_query(args)
        for name, given in checked.items():
            if name != "region" and given is not None:
                checked[name] = to_e164(with_plus(given), checked["region"])
                if not PHONE_NUMBER.fullmatch(checked[name]):
                    raise ValidationError({name: PhoneNumber.complaint})
        return checked


class SmsgateQuerySchema(HookQuerySchema):
    """The query parameters of SMSGate's hook: a phone may have two SIMs."""

    sim1 = String(load_default=None)
    sim2 = String(load_default=None)
