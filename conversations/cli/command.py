"""The decorator of commands, which gives them a database, and the way they print."""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from conversations.database import migrations, pool
from conversations.inbox import organizations
from conversations.inbox.api_keys import KeyIsDead, printable
from conversations.inbox.organizations import NumberTaken, Organization
from conversations.server import embedded
from conversations.settings import Settings
from schemas.fields import format_instant

COMMANDS = AppGroup()
# What a command reports in one sentence.
ERRORS = (pool.Unavailable, pool.Refused, pool.DatabaseError, NumberTaken, KeyIsDead)
# What the list of commands shows of a command's help, on one line.
FIRST_CLAUSE = re.compile("[^.,:;]+")


def current_settings() -> Settings:
    """Return the settings of the application that the command belongs to."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def command(
    name: str, *, needs_schema: bool = True, connections: int = 1, **attributes: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command over the database, of an organization that exists if it takes one.

    What goes wrong with the database is said in one sentence, with exit code 1. `needs_schema`
    refuses a schema that is behind; `connections` is the size of the command's pool, and
    `attributes` are click's.
    """

    def make(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**kwargs: Any) -> None:
            with _database(needs_schema, connections):
                if "organization_id" in kwargs:
                    get_organization(kwargs["organization_id"])
                function(**kwargs)

        summary = FIRST_CLAUSE.match(function.__doc__ or "")
        made = COMMANDS.command(name, short_help=summary and summary[0], **attributes)(run)
        for param in made.params:
            # Else Flask would take options from variables, such as FLASK_DELETE_ORGANIZATION_YES.
            param.allow_from_autoenv = False  # type: ignore[attr-defined]
        return made

    return make


@contextmanager
def _database(needs_schema: bool, connections: int) -> Iterator[None]:
    """Use the database of the settings, and say errors of it and of the inbox in one sentence."""
    settings = current_settings()
    url = settings.database_url or embedded.acquire()
    prepare = settings.database_prepared_statements
    try:
        # Before the pool connects, because a pool does not say why it cannot.
        with nullcontext() if needs_schema else suppress(pool.SchemaBehind):
            migrations.check_database(url, prepare)
        with pool.using(pool.Database(url, prepare=prepare, pool_size=connections)):
            yield
    except ERRORS as error:
        raise click.ClickException(str(error).partition("\n")[0]) from error


def get_organization(organization_id: UUID) -> Organization:
    """Return an organization. Refuses one that does not exist."""
    for organization in organizations.list_organizations():
        if organization["organization_id"] == organization_id:
            return organization
    raise click.ClickException(f"there is no organization {organization_id}")


def named(organization: Mapping[str, object]) -> str:
    """Return an organization as messages speak of it."""
    return f"{printable(str(organization['name']))} ({organization['organization_id']})"


def instant_or(instant: datetime | None, otherwise: str) -> str:
    """Return an instant as it is printed, or another word if there is none."""
    return format_instant(instant) if instant else otherwise


def print_table(columns: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the named columns of rows, and above them the names if a person looks on."""
    names = columns.split()
    if sys.stdout.isatty():
        print_row(names)
    for row in rows:
        print_row(row[name] for name in names)


def print_row(values: Iterable[Any]) -> None:
    """Print values on one line, separated by tabs."""
    click.echo("\t".join(_cell(value) for value in values))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else printable(str(value))
