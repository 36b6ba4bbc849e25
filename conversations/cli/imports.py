"""Commands that import files."""

import functools
import gc
import os
import sys
from collections.abc import Callable
from typing import BinaryIO
from uuid import UUID

import click

from conversations.cli.arguments import FILE, ORGANIZATION, REGION, REJECTED
from conversations.cli.command import command, require_organization
from conversations.database import queries
from conversations.files import importer, ndjson, twilio
from conversations.files.formats import UnreadableFile

MESSAGE_READERS = {
    "ndjson": ndjson.read_messages,
    "twilio-csv": twilio.read_csv,
    "twilio-json": twilio.read_json,
}
# Python looks for garbage when so many objects have been added; by default after 700.
GARBAGE_THRESHOLD = 100_000
TALLY = ("imported", "already there", "skipped", "refused")


@command("import-messages", connections=importer.CONNECTIONS)
@ORGANIZATION
@FILE
@click.option(
    "--format",
    type=click.Choice(list(MESSAGE_READERS)),
    default="ndjson",
    help="The format of the file. Default: ndjson.",
)
@REGION
@REJECTED
def import_messages(
    organization_id: UUID,
    file: BinaryIO,
    format: str,
    region: str | None,
    rejected_path: str | None,
) -> None:
    """Import messages. Importing a file again changes nothing."""
    require_organization(organization_id)
    read = functools.partial(MESSAGE_READERS[format], region=region)
    _import(read, file, rejected_path, importer.MessageTarget(organization_id))


@command("import-consent", connections=importer.CONNECTIONS)
@ORGANIZATION
@FILE
@REJECTED
def import_consent(organization_id: UUID, file: BinaryIO, rejected_path: str | None) -> None:
    """Import consent events, in any order. Importing a file again changes nothing."""
    require_organization(organization_id)
    _import(ndjson.read_consent, file, rejected_path, importer.ConsentTarget(organization_id))


class Progress:
    """Shows an import: its rejected rows, and on a terminal how far it is."""

    def __init__(self, size_bytes: int):
        """The size of the file; 0 if that is unknown, as of a pipe."""
        self._bar = _new_bar("Reading", size_bytes)

    def read(self, size_bytes: int) -> None:
        """Move the bar by the bytes of a row."""
        self._bar.update(size_bytes)

    def rejected(self, line: int, reason: str) -> None:
        """Print why a row is rejected."""
        click.echo(f"line {line}: {reason}", err=True)

    def recorded(self, rows: int, of_rows: int) -> None:
        """Move the bar by the rows of a batch."""
        if self._bar.label == "Reading":
            self.finish()
            self._bar = _new_bar("Recording", of_rows)
        self._bar.update(rows)

    def finish(self) -> None:
        """End the line of the bar."""
        self._bar.render_finish()


def _new_bar(label: str, length: int) -> "click._termui_impl.ProgressBar[int]":
    is_hidden = not length or not sys.stderr.isatty()
    bar = click.progressbar(length=length, label=label, file=sys.stderr, hidden=is_hidden)
    bar.render_progress()
    return bar


def _open_for_owner(name: str, flags: int) -> int:
    """Open a file that only its owner can read: rejected rows hold texts."""
    return os.open(name, flags, 0o600)


def _import(
    read: Callable[[BinaryIO], ndjson.Export],
    file: BinaryIO,
    rejected_path: str | None,
    target: importer.Target,
) -> None:
    """Run an import and print its tally; exit 1 if a row was rejected."""
    status = os.fstat(file.fileno())
    rejected_path = rejected_path or os.devnull
    if os.path.exists(rejected_path) and os.path.samestat(status, os.stat(rejected_path)):
        raise click.UsageError("--rejected names the file that is being imported")
    progress, tally = Progress(status.st_size), None
    # Looking for garbage among the rows of a batch again and again takes a tenth of an import.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    try:
        export = read(file)
        with open(rejected_path, "wb", opener=_open_for_owner) as rejected_file:
            run = importer.Import(target, rejected_file, progress)
            tally = run.tally
            run.run(export)
    except UnreadableFile as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    except OSError as error:
        raise click.ClickException(f"{rejected_path}: {error.strerror}") from error
    finally:
        progress.finish()
        if tally is not None:
            # Also of an import that was cut off: its batches up to there are stored.
            click.echo(", ".join(f"{name} {tally[name]}" for name in TALLY))
    if tally["imported"]:
        # So that PostgreSQL plans for the new size of the tables.
        queries.execute("analyze_inbox")
    if tally["refused"]:
        sys.exit(1)
