"""The command line: `flask NAME`, each a thin shell over one or two SQL files.

Results go to standard output, one value a line; talk and errors to standard error.
"""

import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click
from flask import Flask, current_app

import checks
import cli
import db
import demo
import embedded
import importers
import inbox
import keys
import migrations
import ndjson
import pool
import status
import twilio
from schemas.fields import Uuid, format_instant

MESSAGE_READERS = {
    "ndjson": ndjson.read_messages,
    "twilio-csv": twilio.read_csv,
    "twilio-json": twilio.read_json,
}


def init_app(app: Flask) -> None:
    """Register the commands under `flask`."""
    for each in cli.COMMANDS.commands.values():
        app.cli.add_command(each)


@cli.command("migrate", schema_is_needed=False)
def migrate():
    """Bring the database's schema up to date."""
    with pool.connection() as conn:
        applied = migrations.migrate(conn)
    for name in applied or ["already up to date"]:
        click.echo(name)


@cli.command("create-organization")
@click.argument("name", type=cli.Checked(cli.Name()))
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


@cli.command("create-phone-number")
@cli.ORGANIZATION
@cli.NUMBER
@click.option("--id", type=cli.Checked(Uuid()), help="the id to give it, to restore or migrate")
def create_phone_number(organization_id: UUID, number: str, id: UUID | None):
    """Give an organization a number and print the number's id."""
    cli.require_organization(organization_id)
    db.fetch_one("create_phone_number", organization_id=organization_id, id=id, number=number)
    stored = inbox.find_phone_numbers(organization_id, numbers=[number]).get(number)
    if stored is None:
        raise click.ClickException(f"{id} is the id of another number")
    if id not in (None, stored):
        raise click.ClickException(f"{number} has the id {stored} already")
    click.echo(stored)


@cli.command("create-api-key")
@cli.ORGANIZATION
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(keys.SCOPES))
@click.option("--label", type=cli.Checked(cli.Name()), help="what it is for")
@click.option(
    "--expires-in", type=cli.Checked(cli.Lifetime()), help="such as 90d, 12h; no value: never"
)
def create_api_key(
    organization_id: UUID, scopes: tuple, label: str | None, expires_in: timedelta | None
):
    """Print a new API key. It is shown this once: only a hash is kept."""
    if len(set(scopes)) < len(scopes):
        raise click.UsageError("a --scope is repeated")
    cli.require_organization(organization_id)
    click.echo(keys.create(organization_id, scopes, label or "", expires_in))


@cli.command("list-api-keys")
@cli.ORGANIZATION
def list_api_keys(organization_id: UUID):
    """Print an organization's keys, tab-separated, without their secrets."""
    cli.require_organization(organization_id)
    for row in db.fetch_all("list_api_keys", organization_id=organization_id):
        _print_key(row)


@cli.command("revoke-api-key")
@click.argument("prefix_or_id", type=cli.Checked(cli.Name()))
def revoke_api_key(prefix_or_id: str):
    """Revoke a key, by its id or its display prefix; effective on the next request."""
    found = db.fetch_all("find_api_keys", prefix_or_id=prefix_or_id)
    if not found:
        raise click.ClickException("there is no such key")
    if len(found) > 1:
        ids = ", ".join(str(row["id"]) for row in found)
        raise click.ClickException(f"several keys have that prefix, name one by its id: {ids}")
    organization_id, id = found[0]["organization_id"], found[0]["id"]
    db.execute("revoke_api_key", organization_id=organization_id, id=id)
    for row in db.fetch_all("list_api_keys", organization_id=organization_id):
        if row["id"] == id:
            _print_key(row)


def _print_key(row: dict) -> None:
    click.echo("\t".join(_cell(value) for value in row.values()))


def _cell(value) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return "" if value is None else re.sub(r"\s", " ", str(value))


@cli.command("import-messages", connections=importers.WRITERS)
@cli.ORGANIZATION
@cli.FILE
@click.option("--format", type=click.Choice(list(MESSAGE_READERS)), default="ndjson")
@cli.REFUSED
def import_messages(organization_id: UUID, file, format: str, refused: str | None):
    """Import messages; again is safe: what is there already is left alone."""
    cli.require_organization(organization_id)
    _import(MESSAGE_READERS[format], file, refused, importers.into_messages(organization_id))


@cli.command("import-consent", connections=importers.WRITERS)
@cli.ORGANIZATION
@cli.FILE
@cli.REFUSED
def import_consent(organization_id: UUID, file, refused: str | None):
    """Import consent events, in any order; again is safe."""
    cli.require_organization(organization_id)
    _import(ndjson.read_consent, file, refused, importers.into_consent(organization_id))


def _import(read, file, refused: str | None, target: importers.Target) -> None:
    """Run an import: refusals as they come, on a terminal counts, at the end the tally."""
    if refused and os.path.exists(refused) and _is_same_file(file, refused):
        raise click.UsageError("--refused names the file that is being imported")
    try:
        export = read(file)
        export = export._replace(rows=_show_reading(export.rows))
        with open(refused or os.devnull, "wb") as copies:
            for tally in importers.Import(target, copies, _say_refused).run(export):
                _show(f"{tally.total():,} rows done")
    except ndjson.UnreadableFile as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        raise click.ClickException(f"{where}: {error.strerror}") from error
    names = ("imported", "already there", "skipped", "refused")
    click.echo(", ".join(f"{name} {tally[name]}" for name in names))
    if tally["imported"]:
        importers.refresh_statistics()
    if tally["refused"]:
        sys.exit(1)


def _show_reading(rows: Iterator[ndjson.Row]) -> Iterator[ndjson.Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % importers.BATCH == 0:
            _show(f"{number:,} rows read")


def _show(progress: str) -> None:
    """On a terminal, say this in the place of what was said before."""
    if sys.stderr.isatty():
        click.echo(f"\r{progress:<30}\r", nl=False, err=True)


def _is_same_file(file, path: str) -> bool:
    return os.path.samestat(os.fstat(file.fileno()), os.stat(path))


def _say_refused(line: int, reason: str) -> None:
    click.echo(f"line {line}: {reason}", err=True)


@cli.command("redact-messages")
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


@cli.command("erase-contact")
@cli.ORGANIZATION
@cli.NUMBER
def erase_contact(organization_id: UUID, number: str):
    """Remove all bodies and media exchanged with one contact, at once."""
    cli.require_organization(organization_id)
    click.echo(f"redacted {inbox.erase_contact(organization_id, number)}")


@cli.command("check-conversations")
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


@cli.command("status")
def show_status():
    """Say how the deployment is: schema, sizes, retention, connections."""
    for name, value in status.describe(current_app.config["SETTINGS"]):
        click.echo(f"{name:<16} {value}")


@cli.command("demo")
def load_demo():
    """Load the demo inbox once and print a fresh key for it; earlier demo keys are revoked."""
    demo.load()
    click.echo(demo.mint_key())


@cli.command("quickstart", schema_is_needed=False)
def quickstart():
    """Migrate, load the demo, print a curl line that works, and serve with gunicorn."""
    port = current_app.config["SETTINGS"]["PORT"]
    listener = _listen(port)
    with pool.connection() as conn:
        migrations.migrate(conn)
    demo.load()
    key = demo.mint_key()
    pool.close()
    embedded.hand_over()
    # The port is open: a request that comes before the workers do waits for them.
    click.echo(f"curl -H 'Authorization: Bearer {key}' http://localhost:{port}/v1/conversations")
    # gunicorn becomes this very process: no parent can die and leave it behind.
    fd = listener.detach()
    os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "--bind", f"fd://{fd}"])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("0.0.0.0", port))  # noqa: S104
    except OSError as error:
        raise click.ClickException(f"PORT {port}: {error.strerror}. Set another PORT.") from error
