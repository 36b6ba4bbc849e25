"""Arguments and options of commands, checked as strictly as the fields of a request."""

import os
import re
import stat
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import click
from marshmallow import ValidationError

from conversations.inbox import api_keys
from schemas.fields import PhoneNumber, Region, Strict, Uuid

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


def import_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that both imports take."""
    return REJECTED(DRY_RUN(function))


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, for it holds what people wrote."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
