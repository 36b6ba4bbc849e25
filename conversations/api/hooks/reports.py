"""Reports: what a carrier says of a message, in the same form whichever carrier it is."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from marshmallow import ValidationError

from conversations.inbox import organizations
from schemas.fields import (
    EARLIEST_INSTANT,
    MAX_AHEAD,
    MAX_TEXT_LENGTH,
    PhoneNumber,
    SegmentCount,
    usable_media,
)
from schemas.numbers import PHONE_NUMBER

DIGITS = re.compile("[0-9]{1,3}")
# A word that may be logged: without digits it is no number, and it is too short for a key.
HARMLESS_WORD = re.compile("[A-Za-z.:_-]{1,40}")


@dataclass(frozen=True)
class HookQuery:
    """Whose hook is called, and with which query parameters."""

    organization_id: UUID
    region: str | None
    number: str | None
    sim1: str | None = None
    sim2: str | None = None


class Own(NamedTuple):
    """One of the organization's numbers, and its id."""

    number: str
    id: UUID


@dataclass(frozen=True)
class Report:
    """What a carrier says of one message.

    The message came in unless `direction` says otherwise. `media` are addresses as the carrier
    gives them. `subject` counts if it is a text and the message an MMS. `opted_in` is the carrier's
    own verdict on the text. `reasons` say what of the message is not recorded.
    """

    id: UUID
    own: Own
    contact_number: str
    text: str
    direction: str = "inbound"
    subject: object = None
    is_mms: bool = False
    media: list[str] = field(default_factory=list)
    segment_count: int | None = None
    at: datetime | None = None
    opted_in: bool | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """Something that is not recorded, and why: a sentence without a number or a text."""

    reason: str


# The function `read` of a carrier's module: it reads the content of a request, JSON or the fields
# of a form. Raises ValidationError.
Read = Callable[[Mapping[str, Any], HookQuery], list[Report | Skip]]


def skip(kind: str, word: object) -> Skip:
    """Return that something is skipped, because of a word that the carrier uses for what it is."""
    is_harmless = HARMLESS_WORD.fullmatch(str(word))
    return Skip(f"{kind} {word}" if is_harmless else f"another {kind}")


def find_own_numbers(named: Iterable[tuple[str | None, str]], query: HookQuery) -> list[Own]:
    """Return those of the numbers that are the organization's, in their order.

    `named` are numbers with the names of their fields; that of the parameter comes last. Raises
    ValidationError, with the name of the first, if none is the organization's.
    """
    fields = [*named, (query.number, "number")]
    given = [(number, name) for number, name in fields if number]
    if not given:
        raise ValidationError({fields[0][1]: "is required, or the parameter number"})
    numbers = [number for number, _ in given if PHONE_NUMBER.fullmatch(number)]
    ours = organizations.find_phone_numbers(query.organization_id, numbers=numbers)
    if not ours:
        number, name = given[0]
        complaint = organizations.NOT_YOURS if number in numbers else PhoneNumber.complaint
        raise ValidationError({name: complaint})
    return [Own(number, ours[number]) for number in dict.fromkeys(numbers) if number in ours]


def find_own_number(named: Iterable[tuple[str | None, str]], query: HookQuery) -> Own:
    """Return the first of the numbers that is the organization's. Raises ValidationError."""
    return find_own_numbers(named, query)[0]


def addresses(items: object) -> list[str]:
    """Return the addresses of a list whose items are addresses, or objects with a `url`."""
    listed = items if isinstance(items, list) else []
    return [str(item.get("url") if isinstance(item, dict) else item) for item in listed]


def segments(value: object) -> int | None:
    """Return a count of segments, a number or its digits; None if it is anything else."""
    count = int(str(value)) if DIGITS.fullmatch(str(value)) else None
    return count if SegmentCount.accepts(count) else None


def consent_of(word: object) -> bool | None:
    """Return the carrier's own verdict on a text, which it tells by a word: STOP or START."""
    return {"STOP": False, "START": True}.get(str(word).upper())


def whole_text(text: str, subject: object, is_mms: bool) -> str:
    """Return a text as it is stored but for cuts: the subject of an MMS is its first line."""
    if is_mms and isinstance(subject, str) and subject.strip():
        text = f"{subject}\n{text}" if text else subject
    return text.replace("\0", "\ufffd")


def message_fields(report: Report) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of complete_message, and the reasons why they are not all of the report."""
    reasons = list(report.reasons)
    is_mms = report.is_mms or report.media != []
    text = whole_text(report.text, report.subject, is_mms)
    if len(text) > MAX_TEXT_LENGTH:
        reasons.append(f"the text was cut to {MAX_TEXT_LENGTH} characters")
    media = usable_media(report.media)
    if left_out := len(report.media) - len(media):
        reasons.append(f"media addresses left out: {left_out}")
    at = report.at
    if at and at > datetime.now(UTC) + MAX_AHEAD:
        reasons.append("the instant was more than 24 hours ahead")
        at = None
    elif at and at < EARLIEST_INSTANT:
        reasons.append(f"the instant was before {EARLIEST_INSTANT:%Y-%m-%d}")
        at = None
    ends = (report.contact_number, report.own.number)
    sender, receiver = ends if report.direction == "inbound" else reversed(ends)
    given = {
        "id": report.id,
        "has_carrier_id": True,
        "direction": report.direction,
        "from_number": sender,
        "to_number": receiver,
        # An attachment without a text has no text; an empty text is one.
        "body": None if is_mms and not text else text[:MAX_TEXT_LENGTH],
        "keyword_text": report.text if report.text and report.subject else None,
        "media_urls": media,
        "channel": "mms" if is_mms else "sms",
        "created_at": at,
        "segment_count": report.segment_count,
        "opted_in": report.opted_in,
    }
    return {name: value for name, value in given.items() if value is not None}, reasons
