"""Commands that import files."""

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import BinaryIO, cast
from uuid import UUID

import click

from conversations.cli.arguments import FILE, ORGANIZATION, REGION, REJECTED
from conversations.cli.command import command, require_organization
from conversations.imports import importer, ndjson, twilio
from conversations.imports.formats import UnreadableFile

MESSAGE_READERS = {
    "ndjson": ndjson.read_messages,
    "twilio-csv": twilio.read_csv,
    "twilio-json": twilio.read_json,
}
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
    target = importer.MessageTarget(organization_id)
    read = functools.partial(MESSAGE_READERS[format], region=region)
    _import(read, file, rejected_path, target)


@command("import-consent", connections=importer.CONNECTIONS)
@ORGANIZATION
@FILE
@REJECTED
def import_consent(organization_id: UUID, file: BinaryIO, rejected_path: str | None) -> None:
    """Import consent events, in any order. Importing a file again changes nothing."""
    require_organization(organization_id)
    target = importer.ConsentTarget(organization_id)
    _import(ndjson.read_consent, file, rejected_path, target)


class Progress:
    """Shows an import: its rejected rows, and on a terminal how far it is."""

    def __init__(self, file: BinaryIO):
        self._size = _file_size(file)
        self._bar = self._new_bar("Reading", self._size) if self._size else None
        self._is_reading = True

    def _new_bar(self, label: str, length: int) -> "click._termui_impl.ProgressBar[int]":
        bar = click.progressbar(
            length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
        )
        bar.render_progress()
        return bar

    def read(self, size_bytes: int) -> None:
        """Move the bar by the bytes of a row."""
        if self._bar:
            self._bar.update(size_bytes)

    def rejected(self, line: int, reason: str) -> None:
        """Print why a row is rejected."""
        click.echo(f"line {line}: {reason}", err=True)

    def recorded(self, rows: int, of_rows: int) -> None:
        """Move the bar by the rows of a batch."""
        if self._is_reading:
            self.finish()
            self._bar, self._is_reading = self._new_bar("Recording", of_rows), False
        if self._bar:
            self._bar.update(rows)

    def finish(self) -> None:
        """End the line of the bar."""
        if self._bar:
            self._bar.render_finish()


class RejectedFile(io.FileIO):
    """The file that rejected rows are copied to, which only its owner can read: they hold texts.

    A row is in the file as soon as it is written. An error names the file.
    """

    def __init__(self, path: str):
        super().__init__(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600))

    def write(self, row: bytes) -> int:  # type: ignore[override]
        """Write all of a row."""
        written = 0
        try:
            while written < len(row):
                written += super().write(row[written:])
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.name) from error
        return written


def _file_size(file: BinaryIO) -> int | None:
    """Return the size of a regular file; None for a pipe or a terminal."""
    size = os.fstat(file.fileno()).st_size
    return size or None


def _import(
    read: Callable[[BinaryIO], ndjson.Export],
    file: BinaryIO,
    rejected_path: str | None,
    target: importer.Target,
) -> None:
    """Run an import and print its tally; exit 1 if a row was rejected."""
    if rejected_path and os.path.exists(rejected_path) and _is_same_file(file, rejected_path):
        raise click.UsageError("--rejected names the file that is being imported")
    progress, run = Progress(file), None
    try:
        export = read(file)
        with RejectedFile(rejected_path or os.devnull) as rejected_file:
            run = importer.Import(target, cast(BinaryIO, rejected_file), progress)
            run.run(export)
    except UnreadableFile as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    except OSError as error:
        where = error.filename or file.name
        raise click.ClickException(f"{where}: {error.strerror}") from error
    finally:
        progress.finish()
        if run:
            # Also of an import that was cut off: its batches up to there are stored.
            click.echo(", ".join(f"{name} {run.tally[name]}" for name in TALLY))
    if run.tally["imported"]:
        importer.refresh_statistics()
    if run.tally["refused"]:
        sys.exit(1)


def _is_same_file(file: BinaryIO, path: str) -> bool:
    return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
