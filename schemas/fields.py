"""Strict fields: marshmallow's own accept far more spellings than the API promises."""

import base64
import re
import struct
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, missing
from phonenumbers import SUPPORTED_REGIONS

from schemas.numbers import PHONE_NUMBER, to_e164

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_TEXT_LENGTH = 10_000
MAX_MEDIA_URLS = 10
MAX_AHEAD = timedelta(hours=24)
# The day of the first text message. What is earlier comes from a clock that was never set.
EARLIEST_INSTANT = datetime(1992, 12, 3, tzinfo=UTC)

INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)
# The characters of RFC 3986, in no particular order: what is stored is never fetched.
MEDIA_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[0-9A-Za-z\[][]!#-;=?-Z\[_a-z~]{0,2047}")
SPACE_FOR_PLUS = re.compile(r" (?=[0-9]{2}:?[0-9]{2}\Z)")


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
    """Return an RFC 3339 date-time, cut to microseconds, with its own offset. Raises ValueError.

    The offset may lack its colon, as `date +%z` writes it.
    """
    if not INSTANT.fullmatch(text):
        raise ValueError("not RFC 3339")
    return datetime.fromisoformat(text.upper())


def format_instant(instant: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC, as the API prints it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def with_plus(parameter: str) -> str:
    """Return a number in a query string, whose raw plus sign arrives as a space, with its sign."""
    return "+" + parameter[1:] if parameter[:1] == " " else parameter


def usable_media(items: Iterable[object]) -> list[str]:
    """Return those of the items that are http or https addresses, as many as a message may have."""
    urls = [item for item in items if isinstance(item, str) and MEDIA_URL.fullmatch(item)]
    return urls[:MAX_MEDIA_URLS]


class Strict(fields.Field[Any]):
    """A field that has one complaint for every mistake.

    `accepts` tells whether a value is right, and `convert` returns what it stands for; both may
    raise ValueError, TypeError or LookupError instead.
    """

    complaint = "is not valid"
    accepts: Any = staticmethod(lambda value: True)
    convert: Any = staticmethod(lambda value: value)

    def read(self, value: Any) -> Any:
        """Return what a value stands for. Raises ValueError, TypeError or LookupError to refuse."""
        if not self.accepts(value):
            raise ValueError
        return self.convert(value)

    def deserialize(self, value: Any, attr: Any = None, data: Any = None, **kwargs: Any) -> Any:
        """Return what a value stands for. Raises ValidationError.

        marshmallow's own method also runs validators, which no field here has.
        """
        if value is missing:
            raise ValidationError("is required")
        if value is None and self.allow_none:
            return None
        try:
            return self.read(value)
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
            raise ValidationError(self.complaint) from None


class Limit(Strict):
    """A page size of 1 to 200 in plain digits, as an int."""

    complaint = "must be 1..200"
    accepts = re.compile("[1-9][0-9]?|1[0-9]{2}|200").fullmatch
    convert = int


class Cursor(Strict):
    """A next_cursor of an earlier page, as (datetime in UTC, UUID)."""

    complaint = "must be a next_cursor of an earlier answer"
    convert = staticmethod(decode_cursor)


class Uuid(Strict):
    """A UUID, hyphenated, in any case, as a uuid.UUID."""

    complaint = "must be a UUID"
    accepts = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
    convert = uuid.UUID


class PhoneNumber(Strict):
    """An E.164 number, a short code of 3 to 8 digits, or a sender ID such as `DHL`."""

    complaint = "must be E.164"
    accepts: Any = PHONE_NUMBER.fullmatch

    def read(self, value: str) -> str:
        """Return it unchanged, but as E.164 if the schema has a region and it is national there."""
        if not value.startswith("+"):
            value = to_e164(value, getattr(self.root, "number_region", None))
        if not self.accepts(value):
            raise ValueError
        return value


class QueryPhoneNumber(PhoneNumber):
    """A phone number in a query string, where a raw plus sign arrives as a space."""

    def read(self, value: str) -> str:
        """Return it with its plus sign."""
        return super().read(with_plus(value))


class Region(Strict):
    """A country, whose numbers need no plus sign: an ISO 3166 code in any case, such as `US`."""

    complaint = "must be an ISO 3166 country code, such as US"
    accepts = staticmethod(lambda value: value.isascii() and value.upper() in SUPPORTED_REGIONS)
    convert = staticmethod(str.upper)


class Instant(Strict):
    """An RFC 3339 date-time with an offset; fractions beyond microseconds are cut."""

    complaint = "must be an RFC 3339 date-time with an offset"

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
    """An instant from the first text message to 24 hours ahead, because clocks differ."""

    complaint = "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"

    def read(self, value: Any) -> datetime:
        """Return an aware datetime in UTC."""
        # Readers of files parse other spellings.
        instant = value if isinstance(value, datetime) else parse_instant(value)
        instant = instant.astimezone(UTC)
        if instant > datetime.now(UTC) + MAX_AHEAD:
            raise ValueError
        if instant < EARLIEST_INSTANT:
            raise ValidationError(f"must not be before {EARLIEST_INSTANT:%Y-%m-%d}")
        return instant


class QueryFlag(Strict):
    """`true` or `false` in a query string, as a bool."""

    complaint = "must be true or false"
    convert = {"true": True, "false": False}.__getitem__


class Flag(Strict):
    """A JSON boolean."""

    complaint = "must be true or false"
    accepts = staticmethod(lambda value: isinstance(value, bool))


class Choice(Strict):
    """One of a few words."""

    def __init__(self, *choices: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.choices = choices
        self.complaint = "must be " + " or ".join(choices)
        self.accepts = choices.__contains__


class Text(Strict):
    """A text of 1 to 1600 characters without NUL."""

    complaint = "must be 1..1600 chars"
    accepts = staticmethod(lambda value: isinstance(value, str) and 1 <= len(value) <= 1600)

    def convert(self, text: str) -> str:
        """Return it unchanged. Raises ValidationError if PostgreSQL cannot hold it."""
        if "\0" in text:
            raise ValidationError("must not contain NUL")
        return text


class ExchangedText(Text):
    """A text that was exchanged already: it may be empty or long, or hold NUL.

    PostgreSQL cannot hold NUL, which becomes U+FFFD.
    """

    complaint = f"must be 0..{MAX_TEXT_LENGTH} chars"
    accepts = staticmethod(lambda value: len(value) <= MAX_TEXT_LENGTH)
    convert = staticmethod(lambda text: text.replace("\0", "\ufffd"))


class MediaUrls(Strict):
    """Up to 10 http or https addresses."""

    complaint = "must be up to 10 http(s) URLs"
    accepts = staticmethod(lambda value: value == usable_media(value))


class SegmentCount(Strict):
    """How many SMS segments a message took; neither a bool nor a float."""

    complaint = "must be 1..100"
    accepts = staticmethod(lambda value: type(value) is int and 1 <= value <= 100)
