"""The spellings of instants in files."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from schemas.fields import parse_instant

SPACED = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ?"
    r"(?:(UTC|GMT|Z)|([+-][0-9]{2}):?([0-9]{2}))"
)
RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3}, )?[0-9]{1,2} [A-Za-z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}(?::[0-9]{2})? "
    r"(?:[+-][0-9]{4}|GMT|UTC|UT|Z)"
)


def parse_zoned(text: str) -> datetime:
    """Return an instant that names its zone: RFC 3339, with a space for the T, or RFC 2822.

    Raises ValueError, TypeError, LookupError.
    """
    if RFC_2822.fullmatch(text):
        instant = parsedate_to_datetime(re.sub("(GMT|UTC|UT|Z)$", "+0000", text))
    elif spaced := SPACED.fullmatch(text):
        date, time, _, hours, minutes = spaced.groups()
        instant = parse_instant(f"{date}T{time}{hours or '+00'}:{minutes or '00'}")
    else:
        instant = parse_instant(text)
    return instant.replace(tzinfo=instant.tzinfo or UTC)
