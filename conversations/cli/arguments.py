"""Arguments and options of commands, checked as strictly as the fields of a request."""

import csv
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import click
from marshmallow import ValidationError

from conversations.inbox import api_keys
from schemas.fields import PhoneNumber, Strict, Uuid

DAYS = re.compile(r"[1-9][0-9]{0,4}")
MAX_RETENTION_DAYS = 36500
FOREVER = "forever"
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Name(Strict):
    """A text that is not blank."""

    complaint = "must be a text"
    # An argument may hold bytes that are no UTF-8, and is then refused by encode.
    accepts = staticmethod(lambda value: value.strip() and value.encode())


class Lifetime(Strict):
    """A number and a unit, as a timedelta."""

    complaint = "must be a number and s, m, h or d, such as 90d"
    accepts = re.compile("[1-9][0-9]{0,5}[smhd]").fullmatch
    convert = staticmethod(
        lambda value: timedelta(seconds=int(value[:-1]) * UNIT_SECONDS[value[-1]])
    )


class RetentionDays(Strict):
    """A number of days, or `forever`, as it was written."""

    complaint = f"must be 1..{MAX_RETENTION_DAYS} or forever"
    accepts = staticmethod(
        lambda value: (
            value == FOREVER or (DAYS.fullmatch(value) and int(value) <= MAX_RETENTION_DAYS)
        )
    )


class Columns(Strict):
    """Our names of columns with those of a file: `contact=Phone,body=Text`, quoted as CSV."""

    complaint = "must be NAME=COLUMN,NAME=COLUMN, each name once"

    def read(self, value: str) -> dict[str, str]:
        """Return the file's names by ours."""
        (pairs,) = csv.reader([value], strict=True)
        columns = dict(pair.strip().split("=", 1) for pair in pairs)
        if len(columns) != len(pairs) or not all(columns) or not all(columns.values()):
            raise ValueError
        return {name.strip(): column.strip() for name, column in columns.items()}


class Zone(Strict):
    """A zone of the IANA database, as a ZoneInfo."""

    complaint = "must be an IANA time zone, such as Europe/Berlin"
    accepts = staticmethod(lambda value: value in available_timezones())
    convert = ZoneInfo


class DateFormat(Strict):
    """A format of strptime that names a day; %Z is none, because Python reads few zones' names."""

    complaint = "must be a format of strptime without %Z, such as '%d.%m.%Y %H:%M'"

    def read(self, value: str) -> str:
        """Return the format."""
        day = datetime(2003, 2, 1, tzinfo=UTC)
        if "%Z" in value or datetime.strptime(day.strftime(value), value).date() != day.date():
            raise ValueError
        return value


class Checked(click.ParamType[Any]):
    """A value that a field accepts; any other value is wrong usage."""

    def __init__(self, field: Strict, hint: str = ""):
        self.field = field
        self.hint = hint
        self.name = type(field).__name__.lower()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the field makes of the value."""
        try:
            return self.field.deserialize(value)
        except ValidationError as error:
            complaint = f"'{api_keys.printable(value)}' {error.messages[0]}{self.hint}"
            self.fail(complaint, param, ctx)


ORGANIZATION = click.argument("organization_id", type=Checked(Uuid()))
NUMBER_HINT = ", such as +15551112222, or a short code such as 54321, or a sender ID such as DHL"
NUMBER = click.argument("number", type=Checked(PhoneNumber(), NUMBER_HINT))


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, for it holds what people wrote."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
