"""Arguments and options of commands, checked as strictly as the fields of a request."""

import csv
import functools
import os
import re
import stat
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click
from marshmallow import ValidationError

from conversations.inbox import api_keys
from schemas.fields import PastInstant, PhoneNumber, QueryFlag, Region, Strict, Uuid

LIFETIME = re.compile(r"([1-9][0-9]{0,5})([smhd])")
DAYS = re.compile(r"[1-9][0-9]{0,4}")
MAX_RETENTION_DAYS = 36500
FOREVER = "forever"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Name(Strict):
    """A text that is not blank."""

    complaint = "must be a text"

    def read(self, value: str) -> str:
        """Return the text unchanged."""
        value.encode()  # An argument may hold bytes that are no UTF-8.
        if not value.strip():
            raise ValueError
        return value


class Lifetime(Strict):
    """A number and a unit."""

    complaint = "must be a number and s, m, h or d, such as 90d"

    def read(self, value: str) -> timedelta:
        """Return a timedelta."""
        match = LIFETIME.fullmatch(value)
        if not match:
            raise ValueError
        return timedelta(**{UNITS[match[2]]: int(match[1])})


class RetentionDays(Strict):
    """A number of days, or `forever`."""

    complaint = f"must be 1..{MAX_RETENTION_DAYS} or forever"

    def read(self, value: str) -> int | str:
        """Return an int, or the text `forever`: click takes None for an argument not given."""
        if value == FOREVER:
            return value
        if not DAYS.fullmatch(value) or int(value) > MAX_RETENTION_DAYS:
            raise ValueError
        return int(value)


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
    """A zone of the IANA database."""

    complaint = "must be an IANA time zone, such as Europe/Berlin"

    def read(self, value: str) -> ZoneInfo:
        """Return the zone."""
        try:
            return ZoneInfo(value)
        except OSError as error:  # The name of a folder of zones.
            raise ValueError from error


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
FILE = click.argument("file", type=click.File("rb"))
REGION = click.option(
    "--region",
    type=Checked(Region()),
    metavar="CC",
    help="The country (ISO 3166, such as US) of numbers without a plus sign.",
)
REJECTED = click.option(
    "--rejected",
    "--refused",
    "rejected_path",
    type=click.Path(dir_okay=False),
    help="The file that rejected rows are copied to.",
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Read and check the whole file and write nothing."
)


def format_option(formats: Collection[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option that names one of some formats."""
    return click.option(
        "--format",
        type=click.Choice(list(formats)),
        default="ndjson",
        help="The format of the file. Default: ndjson.",
    )


def _option(name: str, field: Strict, metavar: str, help: str) -> Callable[..., Any]:
    return click.option(name, type=Checked(field), metavar=metavar, help=help)


IMPORT_OPTIONS = (
    REGION,
    click.option(
        "--number",
        "numbers",
        multiple=True,
        metavar="[SUB_ID=]NUMBER",
        help="Your number, if the file does not say it; of two SIMs one for each SUB_ID.",
    ),
    _option(
        "--columns", Columns(), "NAME=COLUMN,…", "What the columns of a CSV are: contact=Phone,…"
    ),
    _option(
        "--timezone", Zone(), "ZONE", "The zone of local times in a CSV, such as Europe/Berlin."
    ),
    _option(
        "--date-format", DateFormat(), "FORMAT", "How a CSV writes dates, such as '%d.%m.%Y %H:%M'."
    ),
    REJECTED,
    DRY_RUN,
)
CONSENT_OPTIONS = (
    _option(
        "--opted-in", QueryFlag(), "true|false", "What all contacts of a CSV of one state said."
    ),
    _option("--at", PastInstant(), "INSTANT", "When (RFC 3339), for a CSV that does not say it."),
)


def with_options(*options: Callable[..., Any]) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator that adds options to a command, in this order."""
    return lambda function: functools.reduce(lambda f, add: add(f), reversed(options), function)


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, for it holds what people wrote."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
