"""The base of all request schemas: nothing unknown, nothing twice, one sentence for each field."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from marshmallow import Schema, ValidationError, missing
from werkzeug.datastructures import MultiDict

from schemas.fields import Cursor, Limit


class RequestSchema(Schema):
    """The fields of a request, or of a row of an import; `noun` is what one of them is called.

    Fields are checked through `check` alone. It calls each field's `deserialize` and leaves out
    what marshmallow's `load` does beyond that: no schema here needs it, and each row of an import
    would wait for it.
    """

    noun = "field"

    def __init__(self, region: str | None = None):
        """`region` is the country of numbers without a plus sign, where they are accepted."""
        super().__init__()
        self.number_region = region

    def check(self, data: Mapping[str, Any], repeated: Iterable[str] = ()) -> dict[str, Any]:
        """Return the fields of `data` under their Python names; what is absent stays absent.

        `repeated` are names that were given more than once. Raises ValidationError whose messages
        are {field: sentence}.
        """
        complaints = dict.fromkeys(repeated, "must be given once")
        checked = {}
        for key, name, field in self._named_fields:
            value = data.get(key, missing)
            if value is None and not field.required and not field.allow_none:
                # Serializers of Go, C# and Java write what was left out as null.
                value = missing
            if value is not missing or field.required:
                try:
                    checked[name] = field.deserialize(value)
                except ValidationError as error:
                    complaints.setdefault(key, str(error.messages[0]))
            elif field.load_default is not missing:
                checked[name] = field.load_default
        if not self._keys.issuperset(data):
            complaints |= self._name_unknown(data)
        if complaints:
            raise ValidationError(complaints)
        self.check_together(checked)
        return checked

    def check_together(self, checked: dict[str, Any]) -> None:
        """Refuse fields that are right one by one but not together; called when all of them are.

        Raises ValidationError whose messages are {field: sentence}.
        """

    @cached_property
    def _named_fields(self) -> list[tuple[str, str, Any]]:
        return [(field.data_key or name, name, field) for name, field in self.fields.items()]

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(key for key, _, _ in self._named_fields)

    def _name_unknown(self, data: Mapping[str, Any]) -> dict[str, str]:
        complaints: dict[str, str] = {}
        for key in data:
            if key not in self._keys:
                # A guess helps a person; a flood of names, or a very long one, is no typing error.
                is_typo = len(complaints) < 10 and len(key) <= 40
                close = get_close_matches(key, sorted(self._keys), 1, 0.65) if is_typo else []
                hint = f"; did you mean {close[0]}?" if close else ""
                complaints[key] = f"unknown {self.noun}{hint}"
        return complaints


class QuerySchema(RequestSchema):
    """The parameters of a query string."""

    noun = "parameter"

    def check_query(self, args: MultiDict[str, str]) -> dict[str, Any]:
        """Return the checked parameters. Raises ValidationError as `check` does."""
        repeated = [name for name, values in args.lists() if len(values) > 1 and name in self._keys]
        return self.check(args.to_dict(), repeated)


class PageSchema(QuerySchema):
    """The parameters that every list takes."""

    cursor = Cursor(load_default=(None, None))
    limit = Limit(load_default=50)

    def check_query(self, args: MultiDict[str, str]) -> dict[str, Any]:
        """Return the checked parameters, with the cursor as `cursor_at` and `cursor_id`."""
        checked = super().check_query(args)
        checked["cursor_at"], checked["cursor_id"] = checked.pop("cursor")
        return checked

    @property
    def filters(self) -> list[str]:
        """The names of the parameters that narrow the list when they are given."""
        return [name for _, name, field in self._named_fields if field.load_default is None]
