"""The command line: `flask NAME`, each a thin shell over one or two SQL files.

Results go to standard output, one value a line; talk and errors to standard error.
"""

import functools
import os
import re
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click
import psycopg
from flask import Flask, current_app

import checks
import db
import demo
import embedded
import importers
import inbox
import keys
import migrations
from schemas.fields import PHONE_NUMBER, UUID_TEXT, format_instant

EXPIRES_IN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

COMMANDS: list[click.Command] = []


def init_app(app: Flask) -> None:
    """Register the commands under `flask`."""
    for command in COMMANDS:
        app.cli.add_command(command)


def command(name: str, schema_is_needed: bool = True):
    """Make a function a command that finds the database and says in a sentence what went wrong."""

    def make(function):
        @functools.wraps(function)
        def run(**kwargs):
            settings = current_app.config["SETTINGS"]
            prepare = settings["DATABASE_PREPARED_STATEMENTS"]
            with embedded.database_url(settings["DATABASE_URL"]) as url:
                try:
                    if schema_is_needed:
                        migrations.require_current(url, prepare)
                    db.configure(url, prepare=prepare)
                    function(**kwargs)
                except (db.Unavailable, migrations.LedgerMismatch, psycopg.Error) as error:
                    raise click.ClickException(str(error).partition("\n")[0]) from error
                finally:
                    db.close()

        COMMANDS.append(click.command(name)(run))
        return COMMANDS[-1]

    return make


class UuidType(click.ParamType):
    """A hyphenated UUID."""

    name = "uuid"

    def convert(self, value, param, ctx):
        """Return a uuid.UUID, or fail as wrong usage."""
        if isinstance(value, UUID):
            return value
        if not UUID_TEXT.fullmatch(value):
            self.fail(f"{value!r} is not a UUID", param, ctx)
        return UUID(value)


class NonEmptyText(click.ParamType):
    """A text with something to read in it."""

    name = "text"

    def convert(self, value, param, ctx):
        """Return it unchanged, or fail as wrong usage."""
        if not value.strip() or "\0" in value:
            self.fail("is empty", param, ctx)
        return value


class PhoneNumberType(click.ParamType):
    """An E.164 number or a short code."""

    name = "number"

    def convert(self, value, param, ctx):
        """Return it unchanged, or fail as wrong usage."""
        if not PHONE_NUMBER.fullmatch(value):
            self.fail(f"{value!r} is not an E.164 number or a short code", param, ctx)
        return value


class LifetimeType(click.ParamType):
    """A number and s, m, h or d."""

    name = "lifetime"

    def convert(self, value, param, ctx):
        """Return a timedelta, or fail as wrong usage."""
        if isinstance(value, timedelta):
            return value
        match = EXPIRES_IN.fullmatch(value)
        if not match:
            self.fail(f"{value!r} is not a number and s, m, h or d, such as 90d", param, ctx)
        return timedelta(**{UNITS[match[2]]: int(match[1])})


ORGANIZATION = click.argument("organization_id", type=UuidType())


def require_organization(organization_id: UUID) -> None:
    """Refuse an organization that does not exist."""
    if not any(
        row["organization_id"] == organization_id for row in db.fetch_all("list_organizations")
    ):
        raise click.ClickException(f"there is no organization {organization_id}")


@command("migrate", schema_is_needed=False)
def migrate():
    """Bring the database's schema up to date."""
    with db.connection() as conn:
        applied = migrations.migrate(conn)
    for name in applied or ["already up to date"]:
        click.echo(name)


@command("create-organization")
@click.argument("name", type=NonEmptyText())
@click.option("--message-retention-days", type=click.IntRange(1, 36500), help="no value: for ever")
def create_organization(name: str, message_retention_days: int | None):
    """Create an organization and print its id."""
    row = db.fetch_one(
        "create_organization",
        organization_id=None,
        name=name,
        message_retention_days=message_retention_days,
    )
    click.echo(row["id"])


@command("create-phone-number")
@ORGANIZATION
@click.argument("number", type=PhoneNumberType())
@click.option("--id", type=UuidType(), help="the id to give it, to restore or migrate")
def create_phone_number(organization_id: UUID, number: str, id: UUID | None):
    """Give an organization a number and print the number's id."""
    require_organization(organization_id)
    db.fetch_one("create_phone_number", organization_id=organization_id, id=id, number=number)
    stored = inbox.phone_numbers(organization_id, numbers=[number]).get(number)
    if stored is None:
        raise click.ClickException(f"{id} is the id of another number")
    if id not in (None, stored):
        raise click.ClickException(f"{number} has the id {stored} already")
    click.echo(stored)


@command("create-api-key")
@ORGANIZATION
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(keys.SCOPES))
@click.option("--label", default="", help="what it is for")
@click.option("--expires-in", type=LifetimeType(), help="such as 90d, 12h; no value: never")
def create_api_key(organization_id: UUID, scopes: tuple, label: str, expires_in: timedelta | None):
    """Print a new API key. It is shown this once: only a hash is kept."""
    if len(set(scopes)) < len(scopes):
        raise click.UsageError("a --scope is repeated")
    require_organization(organization_id)
    click.echo(keys.create(organization_id, scopes, label, expires_in))


@command("list-api-keys")
@ORGANIZATION
def list_api_keys(organization_id: UUID):
    """Print an organization's keys, tab-separated, without their secrets."""
    require_organization(organization_id)
    for row in db.fetch_all("list_api_keys", organization_id=organization_id):
        click.echo("\t".join(_cell(value) for value in row.values()))


def _cell(value) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else re.sub(r"\s", " ", str(value))


@command("revoke-api-key")
@click.argument("prefix_or_id")
def revoke_api_key(prefix_or_id: str):
    """Revoke a key, by its id or its display prefix; effective on the next request."""
    found = db.fetch_all("find_api_keys", prefix_or_id=prefix_or_id)
    if not found:
        raise click.ClickException("there is no such key")
    if len(found) > 1:
        ids = ", ".join(str(row["id"]) for row in found)
        raise click.ClickException(f"several keys have that prefix, name one by its id: {ids}")
    (key,) = found
    db.execute("revoke_api_key", organization_id=key["organization_id"], id=key["id"])
    click.echo(key["id"])


@command("import-messages")
@ORGANIZATION
@click.argument("file", type=click.File("rb"))
@click.option("--format", type=click.Choice(list(importers.MESSAGE_READERS)), default="ndjson")
@click.option("--refused", type=click.Path(dir_okay=False), help="where refused rows are copied to")
def import_messages(organization_id: UUID, file, format: str, refused: str | None):
    """Import messages; again is safe: what is there already is left alone."""
    require_organization(organization_id)
    numbers = inbox.phone_numbers(organization_id)

    store = functools.partial(importers.store_messages, organization_id, numbers)
    _import(importers.MESSAGE_READERS[format], file, refused, store)


@command("import-consent")
@ORGANIZATION
@click.argument("file", type=click.File("rb"))
@click.option("--refused", type=click.Path(dir_okay=False), help="where refused rows are copied to")
def import_consent(organization_id: UUID, file, refused: str | None):
    """Import consent events, in any order; again is safe."""
    require_organization(organization_id)
    ids = set(inbox.phone_numbers(organization_id).values())

    store = functools.partial(importers.store_consent, organization_id, ids)
    _import(importers.read_consent, file, refused, store)


def _import(read, file, refused: str | None, store) -> None:
    """Run an import: refusals as they come and a count on a terminal, the tally at the end."""
    if (
        refused
        and os.path.exists(refused)
        and os.path.samestat(os.stat(refused), os.fstat(file.fileno()))
    ):
        raise click.UsageError("--refused names the file that is being imported")
    show_count = sys.stderr.isatty()
    tally = Counter()
    try:
        with open(refused or os.devnull, "wb") as refused_file:
            for tally in importers.import_rows(read(file), store, refused_file, _say_refused):
                if show_count:
                    click.echo(f"\r{tally.total():,} rows", nl=False, err=True)
    except (importers.UnreadableFile, OSError, EOFError) as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    finally:
        if show_count:
            click.echo(err=True)
    names = ("imported", "already there", "skipped", "refused")
    click.echo(", ".join(f"{name} {tally[name]}" for name in names))
    if tally["refused"]:
        sys.exit(1)


def _say_refused(row: importers.Row, reason: str) -> None:
    click.echo(f"line {row.line}: {reason}", err=True)


@command("redact-messages")
@click.option("--dry-run", is_flag=True, help="count, remove nothing")
def redact_messages(dry_run: bool):
    """Remove bodies and media past each organization's retention; made for cron."""
    now = datetime.now(UTC)
    for organization in db.fetch_all("list_organizations"):
        id, days = organization["organization_id"], organization["message_retention_days"]
        before = inbox.readable_from(days, now) if days else None
        redacted = 0
        if before and not dry_run:
            redacted = inbox.redact_expired(id, before)
            db.execute("record_sweep", organization_id=id)
        left = db.fetch_one("get_retention", organization_id=id, readable_from=before)
        redacted += left["expired_count"] if dry_run else 0
        oldest = left["oldest_readable_at"]
        oldest = format_instant(oldest) if oldest else "none"
        click.echo(f"{id}: redacted {redacted}, oldest readable {oldest}")


@command("erase-contact")
@ORGANIZATION
@click.argument("number", type=PhoneNumberType())
def erase_contact(organization_id: UUID, number: str):
    """Remove all bodies and media exchanged with one contact, at once."""
    require_organization(organization_id)
    click.echo(f"redacted {inbox.erase_contact(organization_id, number)}")


@command("check-conversations")
@click.option("--repair", is_flag=True, help="mend what differs")
def check_conversations(repair: bool):
    """Compare every summary and count with the messages; exit 1 if a difference is left."""
    left = 0
    for organization in db.fetch_all("list_organizations"):
        for difference in checks.run(organization["organization_id"], repair):
            click.echo(difference)
            left += not repair
    if left:
        sys.exit(1)


@command("demo")
def load_demo():
    """Load the demo inbox once and print a fresh key for it; earlier demo keys are revoked."""
    demo.load()
    click.echo(demo.mint_key())


@command("quickstart", schema_is_needed=False)
def quickstart():
    """Migrate, load the demo, print a curl line that works, and serve with gunicorn."""
    with db.connection() as conn:
        migrations.migrate(conn)
    demo.load()
    port = current_app.config["SETTINGS"]["PORT"]
    click.echo(
        f"curl -H 'Authorization: Bearer {demo.mint_key()}' http://localhost:{port}/v1/conversations"
    )
    sys.stdout.flush()
    db.close()
    # gunicorn takes over this process, and so the signals; it acquires the embedded server anew.
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn"])
