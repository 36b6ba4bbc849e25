"""The spellings of instants in files."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from conversations.files.rows import Options
from schemas.fields import EPOCH, parse_instant

SPACED = re.compile(r"([0-9-]{10}) ([0-9:]{8}) ?(UTC|GMT|Z|[+-][0-9]{2}:?[0-9]{2})")
RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3}, )?[0-9]{1,2} [A-Za-z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}(?::[0-9]{2})? "
    r"(?:[+-][0-9]{4}|GMT|UTC|UT|Z)"
)
LOCAL_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ Tt]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
)
SINCE_1970 = re.compile("[0-9]{1,14}")
FIRST_MILLISECONDS = 10**11  # As seconds this would be in the year 5138.
NO_ZONE = "has no zone: name it with --timezone, such as --timezone Europe/Berlin"


def read_instant(
    name: str, text: Any, parse: Callable[[str], datetime], complaint: str
) -> datetime:
    """Return the instant of a field, as `parse` reads it.

    Raises ValidationError: with the complaint, unless `parse` raised one with its own.
    """
    try:
        return parse(text)
    except ValidationError as error:
        raise ValidationError({name: error.messages[0]}) from None
    except (ValueError, TypeError, LookupError, OverflowError):
        raise ValidationError({name: complaint}) from None


def parse_zoned(text: str) -> datetime:
    """Return an instant that names its zone: RFC 3339, with a space for the T, or RFC 2822.

    Raises ValueError, TypeError, LookupError.
    """
    if RFC_2822.fullmatch(text):
        instant = parsedate_to_datetime(re.sub("(GMT|UTC|UT|Z)$", "+0000", text))
        return instant.replace(tzinfo=instant.tzinfo or UTC)
    if spaced := SPACED.fullmatch(text):
        date, time, zone = spaced.groups()
        text = f"{date}T{time}{'Z' if zone in ('UTC', 'GMT') else zone}"
    return parse_instant(text)


def parse_milliseconds(text: str) -> datetime:
    """Return the instant of milliseconds since 1970. Raises ValueError, OverflowError."""
    if not SINCE_1970.fullmatch(text):
        raise ValueError
    return EPOCH + timedelta(milliseconds=int(text))


def parse_any(text: str, options: Options) -> datetime:
    """Return the instant of any spelling, as --date-format and --timezone say.

    Raises ValidationError, ValueError, TypeError, LookupError, OverflowError.
    """
    if options.date_format:
        try:
            instant = datetime.strptime(text, options.date_format)
            return instant if instant.tzinfo else _in_zone(instant, options.timezone)
        except ValueError:
            pass  # The other spellings count as well.
    if SINCE_1970.fullmatch(text):
        number = int(text)
        return parse_milliseconds(str(number if number >= FIRST_MILLISECONDS else number * 1000))
    if local := LOCAL_TIME.fullmatch(text):
        return _in_zone(datetime.fromisoformat(f"{local[1]} {local[2]}"), options.timezone)
    return parse_zoned(text)


def _in_zone(local: datetime, zone: ZoneInfo | None) -> datetime:
    """Return a local time as an instant. An hour that summer time repeats is the first one.

    Raises ValidationError without a zone, and for a time that summer time left out.
    """
    if zone is None:
        raise ValidationError(NO_ZONE)
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        raise ValidationError(f"does not exist in {zone.key}, because of summer time")
    return instant
