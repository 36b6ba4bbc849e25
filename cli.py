"""What commands are made of: the database around them, and arguments as strict as a request's."""

import functools
import re
from datetime import timedelta
from uuid import UUID

import click
import psycopg
from flask import current_app
from flask.cli import AppGroup
from marshmallow import ValidationError

import db
import embedded
import keys
import migrations
import pool
from schemas.fields import PhoneNumber, Strict, Uuid

LIFETIME = re.compile(r"([1-9][0-9]{0,5})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

COMMANDS = AppGroup()


def command(name: str, schema_is_needed: bool = True, connections: int = 1):
    """Make a function a command that finds the database and says in a sentence what went wrong."""

    def make(function):
        @functools.wraps(function)
        def run(**kwargs):
            settings = current_app.config["SETTINGS"]
            url = settings["DATABASE_URL"] or embedded.acquire()
            prepare = settings["DATABASE_PREPARED_STATEMENTS"]
            try:
                _check_database(url, prepare, schema_is_needed)
                with pool.configured(url, prepare=prepare, pool_size=connections):
                    function(**kwargs)
            except (pool.Unavailable, migrations.LedgerMismatch, psycopg.Error) as error:
                raise click.ClickException(str(error).partition("\n")[0]) from error

        return COMMANDS.command(name)(run)

    return make


def _check_database(url: str, prepare: bool, schema_is_needed: bool) -> None:
    """Find out early what is wrong: this says why it cannot connect, a pool only that."""
    try:
        migrations.require_current(url, prepare)
    except migrations.SchemaBehind:
        if schema_is_needed:
            raise


def require_organization(organization_id: UUID) -> None:
    """Refuse an organization that does not exist."""
    rows = db.fetch_all("list_organizations")
    if organization_id not in (row["organization_id"] for row in rows):
        raise click.ClickException(f"there is no organization {organization_id}")


class Name(Strict):
    """A text with something to read in it."""

    complaint = "must be a text"

    def read(self, value):
        """Return it unchanged."""
        value.encode()  # An argument may hold bytes that are no text.
        if not value.strip():
            raise ValueError
        return value


class Lifetime(Strict):
    """A number and a unit."""

    complaint = "must be a number and s, m, h or d, such as 90d"

    def read(self, value):
        """Return a timedelta."""
        number, unit = LIFETIME.fullmatch(value).groups()
        return timedelta(**{UNITS[unit]: int(number)})


class Checked(click.ParamType):
    """A value that a strict field accepts; another one is wrong usage."""

    def __init__(self, field: Strict):
        self.field = field
        self.name = type(field).__name__.lower()

    def convert(self, value, param, ctx):
        """Return what the field loads."""
        try:
            return self.field.deserialize(value)
        except ValidationError as error:
            self.fail(f"{keys.conceal(value)!r} {error.messages[0]}", param, ctx)


ORGANIZATION = click.argument("organization_id", type=Checked(Uuid()))
NUMBER = click.argument("number", type=Checked(PhoneNumber()))
FILE = click.argument("file", type=click.File("rb"))
REFUSED = click.option(
    "--refused", type=click.Path(dir_okay=False), help="where refused rows are copied to"
)
