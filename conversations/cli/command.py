"""What commands are made of: the database around them, and the way they print."""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from conversations.database import migrations, pool
from conversations.inbox import organizations
from conversations.inbox.api_keys import printable
from conversations.inbox.organizations import Organization
from conversations.server import embedded
from conversations.settings import Settings
from schemas.fields import format_instant

COMMANDS = AppGroup()
# What the list of commands shows of a command's help, on one line.
FIRST_CLAUSE = re.compile("[^.,:;]+")


def current_settings() -> Settings:
    """Return the settings of the application that the command belongs to."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def command(
    name: str, *, needs_schema: bool = True, connections: int = 1
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command over the database.

    What goes wrong with the database is said in one sentence, with exit code 1. `needs_schema`
    refuses a schema that is behind; `connections` is the size of the command's pool.
    """

    def make(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**kwargs: Any) -> None:
            settings = current_settings()
            url = settings.database_url or embedded.acquire()
            prepare = settings.database_prepared_statements
            try:
                _check_database(url, prepare, needs_schema)
                with pool.using(pool.Database(url, prepare=prepare, pool_size=connections)):
                    function(**kwargs)
            except (pool.Unavailable, pool.Refused, pool.DatabaseError) as error:
                raise click.ClickException(str(error).partition("\n")[0]) from error

        summary = FIRST_CLAUSE.match(function.__doc__ or "")
        made = COMMANDS.command(name, short_help=summary and summary[0])(run)
        for param in made.params:
            # Else Flask would take options from variables, such as FLASK_DELETE_ORGANIZATION_YES.
            param.allow_from_autoenv = False  # type: ignore[attr-defined]
        return made

    return make


def _check_database(url: str, prepare: bool | None, needs_schema: bool) -> None:
    """Connect once before the pool does, because a pool does not say why it cannot connect."""
    try:
        migrations.check_database(url, prepare)
    except migrations.SchemaBehind:
        if needs_schema:
            raise


def require_organization(organization_id: UUID) -> Organization:
    """Return an organization. Refuses one that does not exist."""
    for organization in organizations.list_organizations():
        if organization["organization_id"] == organization_id:
            return organization
    raise click.ClickException(f"there is no organization {organization_id}")


def named(organization: Organization) -> str:
    """Return an organization as messages speak of it."""
    return f"{printable(organization['name'])} ({organization['organization_id']})"


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows, and above them the names of their columns if a person looks on."""
    if sys.stdout.isatty():
        print_row(columns)
    for row in rows:
        print_row(row[column] for column in columns)


def print_row(values: Iterable[Any]) -> None:
    """Print values on one line, separated by tabs."""
    click.echo("\t".join(_cell(value) for value in values))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else printable(str(value))
