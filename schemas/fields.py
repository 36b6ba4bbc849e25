"""Strict fields: marshmallow's own accept far more spellings than the API promises."""

import base64
import re
import struct
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
from marshmallow import ValidationError, fields

from schemas.numbers import PHONE_NUMBER, to_e164

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_TEXT_LENGTH = 10_000

INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([01][0-9]|2[0-3])(:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# The characters of RFC 3986, in no particular order: what is stored is never fetched.
MEDIA_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[0-9A-Za-z\[][]!#-;=?-Z\[_a-z~]{0,2047}")
SPACE_FOR_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}\Z)")


def encode_base64url(raw: bytes) -> str:
    """Return unpadded base64url (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_base64url(text: str, size: int) -> bytes:
    """Return the `size` bytes that this exact text stands for. Raises ValueError."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except UnicodeEncodeError as error:
        raise ValueError("not ASCII") from error
    if len(raw) != size or encode_base64url(raw) != text:
        raise ValueError("not the canonical spelling")
    return raw


def encode_cursor(at: datetime, id_bytes: bytes) -> str:
    """Return the position (at, id) as 32 characters: microseconds since 1970, then 16 id bytes."""
    return encode_base64url(struct.pack(">q", (at - EPOCH) // MICROSECOND) + id_bytes)


def decode_cursor(text: str) -> tuple[datetime, uuid.UUID]:
    """Return the position behind `encode_cursor`. Raises ValueError, OverflowError."""
    raw = decode_base64url(text, 24)
    (microseconds,) = struct.unpack(">q", raw[:8])
    return EPOCH + timedelta(microseconds=microseconds), uuid.UUID(bytes=raw[8:])


def parse_instant(text: str) -> datetime:
    """Return an RFC 3339 date-time, cut to microseconds, with its own offset. Raises ValueError."""
    match = INSTANT.fullmatch(text)
    if not match:
        raise ValueError("not RFC 3339")
    date, hour, rest, fraction, offset = match.groups()
    return datetime.fromisoformat(f"{date}T{hour}{rest}.{(fraction or '')[:6]:0<6}{offset.upper()}")


def format_instant(instant: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC, as the API prints it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Strict(fields.Field[Any]):
    """A field that has one complaint for every mistake.

    A value must match `pattern`, where the field has one, and `convert` makes of it what it stands
    for. `json_schema`, `description` and `example` are what the API reference says of the field.
    """

    complaint = "is not valid"
    pattern: re.Pattern[str] | None = None
    convert: Any = staticmethod(lambda value: value)
    json_schema: dict[str, Any] = {}

    def __init__(self, *, description: str = "", example: Any = None, **kwargs: Any):
        told: dict[str, Any] = {"description": description} if description else {}
        told |= {"examples": [example]} if example is not None else {}
        super().__init__(
            error_messages=dict.fromkeys(("invalid", "null"), self.complaint)
            | {"required": "is required"},
            metadata=self.json_schema | told,
            **kwargs,
        )

    def read(self, value: Any) -> Any:
        """Return what a value stands for. Raises ValueError, TypeError or LookupError to refuse."""
        if self.pattern and not self.pattern.fullmatch(value):
            raise ValueError
        return self.convert(value)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        try:
            return self.read(value)
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
            raise self.make_error("invalid") from None


class Limit(Strict):
    """A page size of 1 to 200 in plain digits, as an int."""

    complaint = "must be 1..200"
    pattern = re.compile("[1-9][0-9]?|1[0-9]{2}|200")
    json_schema = {"type": "integer", "minimum": 1, "maximum": 200}
    convert = int


class Cursor(Strict):
    """A next_cursor of an earlier page, as (datetime in UTC, UUID)."""

    complaint = "must be a next_cursor of an earlier answer"
    json_schema = {"type": "string", "pattern": "^(A[0-4A-Za-z]|_[0-9_yz-])[0-9A-Za-z_-]{30}$"}
    convert = staticmethod(decode_cursor)


class Uuid(Strict):
    """A UUID, hyphenated, in any case, as a uuid.UUID."""

    complaint = "must be a UUID"
    pattern = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
    json_schema = {"type": "string", "format": "uuid"}
    convert = uuid.UUID


class PhoneNumber(Strict):
    """An E.164 number, a short code of 3 to 8 digits, or a sender ID such as `DHL`."""

    complaint = "must be E.164"
    pattern = PHONE_NUMBER
    json_schema = {"type": "string", "pattern": f"^({pattern.pattern})$"}

    def read(self, value: str) -> str:
        """Return it unchanged, but as E.164 if the schema has a region and it is national there."""
        return str(super().read(to_e164(value, getattr(self.root, "number_region", None))))


class QueryPhoneNumber(PhoneNumber):
    """A phone number in a query string, where a raw plus sign arrives as a space."""

    def read(self, value: str) -> str:
        """Return it with its plus sign."""
        return super().read("+" + value[1:] if value[:1] == " " else value)


class Region(Strict):
    """A country, whose numbers need no plus sign: an ISO 3166 code in any case, such as `US`."""

    complaint = "must be an ISO 3166 country code, such as US"
    pattern = re.compile("[A-Za-z]{2}")
    json_schema = {"type": "string", "pattern": f"^{pattern.pattern}$"}

    def read(self, value: str) -> str:
        """Return it in upper case."""
        region: str = super().read(value).upper()
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError
        return region


class Instant(Strict):
    """An RFC 3339 date-time with an offset; fractions beyond microseconds are cut."""

    complaint = "must be an RFC 3339 date-time with an offset"
    json_schema = {"type": "string", "format": "date-time"}

    def read(self, value: str) -> datetime:
        """Return an aware datetime in UTC."""
        return parse_instant(value).astimezone(UTC)


class QueryInstant(Instant):
    """An instant in a query string, where a raw plus sign arrives as a space.

    It keeps its offset: at either end of the calendar only that can be represented.
    """

    def read(self, value: Any) -> datetime:
        """Return an aware datetime."""
        return parse_instant(SPACE_FOR_PLUS.sub("+", value))


class PastInstant(Instant):
    """An instant that is not more than 24 hours ahead: clocks differ, calendars do not."""

    complaint = "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"

    def read(self, value: Any) -> datetime:
        """Return an aware datetime in UTC."""
        instant = super().read(value)
        if instant > datetime.now(UTC) + timedelta(hours=24):
            raise ValueError
        return instant


class QueryFlag(Strict):
    """`true` or `false` in a query string, as a bool."""

    complaint = "must be true or false"
    json_schema = {"type": "boolean"}
    convert = {"true": True, "false": False}.__getitem__


class Flag(Strict):
    """A JSON boolean."""

    complaint = "must be true or false"
    json_schema = {"type": "boolean"}

    def read(self, value: Any) -> bool:
        """Return it unchanged."""
        if not isinstance(value, bool):
            raise TypeError
        return value


class Choice(Strict):
    """One of a few words."""

    def __init__(self, *choices: str, **kwargs: Any):
        self.choices = choices
        self.complaint = "must be " + " or ".join(choices)
        self.json_schema = {"type": "string", "enum": list(choices)}
        super().__init__(**kwargs)

    def read(self, value: str) -> str:
        """Return it unchanged."""
        if value not in self.choices:
            raise ValueError
        return value


class Text(Strict):
    """A text of 1 to 1600 characters; PostgreSQL cannot hold NUL."""

    complaint = "must be 1..1600 chars"
    json_schema = {"type": "string", "minLength": 1, "maxLength": 1600}

    def read(self, value: Any) -> str:
        """Return it unchanged."""
        if not isinstance(value, str) or not 1 <= len(value) <= 1600:
            raise ValueError
        if "\0" in value:
            raise ValidationError("must not contain NUL")
        return value


class ExchangedText(Text):
    """A text that was exchanged already: it may be empty or long, or hold NUL."""

    complaint = f"must be 0..{MAX_TEXT_LENGTH} chars"
    json_schema = {"type": "string", "maxLength": MAX_TEXT_LENGTH}

    def read(self, value: Any) -> str:
        """Return it, with U+FFFD for NUL, which PostgreSQL cannot hold."""
        if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
            raise ValueError
        return value.replace("\0", "\ufffd")


class MediaUrls(Strict):
    """Up to 10 http or https addresses."""

    complaint = "must be up to 10 http(s) URLs"
    json_schema = {
        "type": "array",
        "maxItems": 10,
        "items": {"type": "string", "pattern": f"^{MEDIA_URL.pattern}$"},
    }

    def read(self, value: Any) -> list[str]:
        """Return it unchanged."""
        if (
            not isinstance(value, list)
            or len(value) > 10
            or not all(map(MEDIA_URL.fullmatch, value))
        ):
            raise ValueError
        return value


class SegmentCount(Strict):
    """How many SMS segments a message took."""

    complaint = "must be 1..100"
    json_schema = {"type": "integer", "minimum": 1, "maximum": 100}

    def read(self, value: Any) -> int:
        """Return an int; a bool or a float is not one."""
        if type(value) is not int or not 1 <= value <= 100:
            raise ValueError
        return value
