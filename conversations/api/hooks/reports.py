"""Reports: what a carrier says of a message, in the same form whichever carrier it is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from marshmallow import ValidationError

from schemas.fields import MAX_TEXT_LENGTH, MEDIA_URL

MAX_MEDIA = 10
MAX_AHEAD = timedelta(hours=24)
MAX_SEGMENTS = 100
DIGITS = re.compile("[0-9]{1,3}")
# It has no digits, so it is no number, and it is too short for a key.
HARMLESS_WORD = re.compile("[A-Za-z.:_-]{1,40}")


@dataclass(frozen=True)
class HookQuery:
    """The query parameters: the organization's number and the region, if they are given."""

    number: str | None
    region: str | None


@dataclass
class Report:
    """One message.

    `own_name` is where the own number was found, for a complaint. `media` are addresses as the
    carrier gives them. `is_copy`: the own number stands only among those that got a copy.
    """

    id: UUID
    direction: str
    own_number: str
    own_name: str
    contact_number: str
    text: str
    is_mms: bool = False
    media: list[str] = field(default_factory=list)
    segment_count: int | None = None
    at: datetime | None = None
    opted_in: bool | None = None
    is_copy: bool = False
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Skip:
    """Something that is not recorded, and why: a sentence without a number or a text."""

    reason: str


# What each module has: it reads the content of a request, JSON or the fields of a form.
# Raises ValidationError.
Read = Callable[[Mapping[str, Any], HookQuery], list[Report | Skip]]


def skip(kind: str, word: object) -> list[Report | Skip]:
    """Return that all is skipped, because of a word that the carrier uses for what it is."""
    is_harmless = HARMLESS_WORD.fullmatch(str(word))
    return [Skip(f"{kind} {word}" if is_harmless else f"another {kind}")]


def own_end(number: str | None, name: str, query: HookQuery) -> tuple[str, str]:
    """Return the organization's number and where it was found: what the carrier says wins.

    Raises ValidationError if nobody says it.
    """
    if number:
        return number, name
    if query.number:
        return query.number, "number"
    raise ValidationError({name: "is required, or the parameter number"})


def addresses(items: object) -> list[str]:
    """Return the addresses of a list whose items are addresses, or objects with a `url`."""
    listed = items if isinstance(items, list) else []
    return [str(item.get("url") if isinstance(item, dict) else item) for item in listed]


def segments(value: object) -> int | None:
    """Return a count of segments, a number or its digits; None if it is anything else."""
    text = "" if isinstance(value, bool) else str(value)
    count = int(text) if DIGITS.fullmatch(text) else 0
    return count if 0 < count <= MAX_SEGMENTS else None


def message_fields(report: Report) -> dict[str, Any]:
    """Return the fields of complete_message; what cannot be kept is added to `reasons`."""
    text = report.text
    if len(text) > MAX_TEXT_LENGTH:
        report.reasons.append(f"the text was cut to {MAX_TEXT_LENGTH} characters")
    media = [url for url in report.media if MEDIA_URL.fullmatch(url)][:MAX_MEDIA]
    if left_out := len(report.media) - len(media):
        report.reasons.append(f"media addresses left out: {left_out}")
    is_mms = report.is_mms or report.media != []
    if report.at and report.at > datetime.now(UTC) + MAX_AHEAD:
        report.reasons.append("the instant was more than 24 hours ahead")
        report.at = None
    ends = (report.contact_number, report.own_number)
    sender, receiver = ends if report.direction == "inbound" else reversed(ends)
    given = {
        "id": report.id,
        "has_carrier_id": True,
        "direction": report.direction,
        "from_number": sender,
        "to_number": receiver,
        # An attachment without a text has no text; an empty text is one.
        "body": None if is_mms and not text else text[:MAX_TEXT_LENGTH].replace("\0", "\ufffd"),
        "media_urls": media,
        "channel": "mms" if is_mms else "sms",
        "created_at": report.at,
        "segment_count": report.segment_count,
        "opted_in": report.opted_in,
    }
    return {name: value for name, value in given.items() if value is not None}
