"""Commands that import files."""

import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO
from uuid import UUID

import click

from conversations.cli.arguments import (
    ORGANIZATION,
    Checked,
    Columns,
    DateFormat,
    Zone,
    open_private,
)
from conversations.cli.command import command
from conversations.database import queries
from conversations.files import formats, importer
from conversations.files.formats import CONSENT_FORMATS, MESSAGE_FORMATS, Format
from conversations.files.rows import Options, UnreadableFile, WrongOptions
from conversations.inbox import organizations
from schemas.fields import PastInstant, QueryFlag, Region, Strict
from schemas.numbers import to_e164

TALLY = ("imported", "already there", "skipped", "refused")
# After as many rows with the same reason only their number is printed.
MAX_EQUAL_REASONS = 100
MAX_REASONS = 10_000
FILE = click.argument("file", type=click.File("rb"))


def _option(name: str, field: Strict, metavar: str, help: str) -> click.Option:
    return click.Option([name], type=Checked(field), metavar=metavar, help=help)


# The options that only some formats take.
FORMAT_OPTIONS = (
    _option("--opted-in", QueryFlag(), "true|false", "What all contacts of a CSV said."),
    _option("--at", PastInstant(), "INSTANT", "When (RFC 3339), for a CSV that does not say it."),
    _option("--region", Region(), "CC", "The country (ISO 3166) of numbers without a plus sign."),
    click.Option(
        ["--number", "numbers"],
        multiple=True,
        metavar="[SUB_ID=]NUMBER",
        help="Your number, if the file does not say it; of two SIMs one for each SUB_ID.",
    ),
    _option("--columns", Columns(), "NAME=COLUMN,…", "What a CSV's columns are: contact=Phone,…"),
    _option("--timezone", Zone(), "ZONE", "Of local times in a CSV, such as Europe/Berlin."),
    _option("--date-format", DateFormat(), "FORMAT", "How a CSV writes dates, such as %d.%m.%Y."),
)
REJECTED = click.Option(
    ["--rejected", "--refused", "rejected_path"],
    type=click.Path(dir_okay=False),
    help="The file that rejected rows are copied to.",
)
DRY_RUN = click.Option(["--dry-run"], is_flag=True, help="Check the whole file and write nothing.")


def _parameters(formats: Mapping[str, Format]) -> list[click.Parameter]:
    """Return the options of an import of files of these formats."""
    taken = {option for format in formats.values() for option in format.options}
    names = click.Choice(list(formats))
    format_option = click.Option(["--format"], type=names, default="ndjson", show_default=True)
    options = [option for option in FORMAT_OPTIONS if option.name in taken]
    return [format_option, *options, REJECTED, DRY_RUN]


@command("import-messages", connections=importer.CONNECTIONS, params=_parameters(MESSAGE_FORMATS))
@ORGANIZATION
@FILE
def import_messages(organization_id: UUID, **given: Any) -> None:
    """Import messages. Importing a file again changes nothing."""
    _import(importer.MessageTarget(organization_id), MESSAGE_FORMATS, **given)


@command("import-consent", connections=importer.CONNECTIONS, params=_parameters(CONSENT_FORMATS))
@ORGANIZATION
@FILE
def import_consent(organization_id: UUID, **given: Any) -> None:
    """Import consent events, in any order. Importing a file again changes nothing."""
    _import(importer.ConsentTarget(organization_id), CONSENT_FORMATS, **given)


class Progress:
    """Shows an import: its rejected rows, and on a terminal how far it is."""

    def __init__(self, file: BinaryIO):
        self._file = file
        # 0 if that is unknown, as of a pipe, or if no bar is shown.
        self._size_bytes = os.fstat(file.fileno()).st_size if sys.stderr.isatty() else 0
        self._reasons: Counter[str] = Counter()
        self._begin_bar("Reading", self._size_bytes)

    def _begin_bar(self, label: str, length: int) -> None:
        is_hidden = not length or not sys.stderr.isatty()
        self._bar = click.progressbar(length=length, label=label, file=sys.stderr, hidden=is_hidden)
        self._bar.render_progress()

    def read(self) -> None:
        """Move the bar to the place that is read in the file."""
        if self._size_bytes:
            self._bar.update(self._file.tell() - self._bar.pos)

    def rejected(self, line: int, reason: str) -> None:
        """Print why a row is rejected, unless that was printed often enough."""
        if reason in self._reasons or len(self._reasons) < MAX_REASONS:
            self._reasons[reason] += 1
        if self._reasons[reason] <= MAX_EQUAL_REASONS:
            click.echo(f"line {line}: {reason}", err=True)

    def recorded(self, rows: int, of_rows: int) -> None:
        """Move the bar by the rows of a batch."""
        if self._bar.label == "Reading":
            self._bar.render_finish()
            self._begin_bar("Recording", of_rows)
        self._bar.update(rows)

    def finish(self) -> None:
        """End the line of the bar, and print how many rows had a reason that was not repeated."""
        self._bar.render_finish()
        for reason, count in self._reasons.items():
            if count > MAX_EQUAL_REASONS:
                click.echo(f"{count - MAX_EQUAL_REASONS} more rows: {reason}", err=True)


def _import(target: importer.Target, table: dict[str, Format], **given: Any) -> None:
    """Run an import and print its tally; exit 1 if a row was rejected."""
    file, format, is_dry = (given.pop(name) for name in ("file", "format", "dry_run"))
    rejected_path = given.pop("rejected_path")
    rejected_path = os.devnull if is_dry or rejected_path is None else rejected_path
    _refuse_same_file(file, rejected_path)
    progress, tally = Progress(file), None
    try:
        options = _options(target.organization_id, format, table[format], given)
        export = formats.open_export(file, format, table, options)
        with open(rejected_path, "wb", opener=open_private) as rejected_file:
            run = importer.Import(target, rejected_file, progress)
            tally = run.tally
            (run.check if is_dry else run.run)(export)
    except WrongOptions as error:
        raise click.UsageError(str(error)) from error
    except UnreadableFile as error:
        tally = None
        raise click.ClickException(f"{file.name}: {error}") from error
    except OSError as error:
        raise click.ClickException(f"{rejected_path}: {error.strerror}") from error
    finally:
        progress.finish()
        if tally is not None:
            # Also of an import that was cut off: its batches up to there are stored.
            click.echo(", ".join(f"{name} {tally[name]}" for name in TALLY))
    if tally["imported"] and not is_dry:
        # So that PostgreSQL plans for the new size of the tables.
        queries.execute("analyze_inbox")
    if tally["refused"] or run.is_cut_off:
        sys.exit(1)


def _refuse_same_file(file: BinaryIO, rejected_path: str) -> None:
    status = os.fstat(file.fileno())
    if os.path.exists(rejected_path) and os.path.samestat(status, os.stat(rejected_path)):
        raise click.UsageError("--rejected names the file that is being imported")


def _options(organization_id: UUID, name: str, format: Format, given: dict[str, Any]) -> Options:
    """Return the options of a reader. Raises WrongOptions for one that its format does not take."""
    given = {option: value for option, value in given.items() if value not in (None, ())}
    for option in FORMAT_OPTIONS:
        if option.name in given and option.name not in format.options:
            raise WrongOptions(f"{option.opts[0]} is no option of --format {name}")
    own_numbers = organizations.list_phone_numbers(organization_id)
    namespace = organizations.get_id_namespace(organization_id)
    numbers = _read_numbers(given.pop("numbers", ()), given.get("region"))
    if not own_numbers.keys() >= set(numbers.values()):
        raise WrongOptions(f"--number {organizations.NOT_YOURS}")
    return Options(own_numbers, namespace, numbers=numbers, **given)


def _read_numbers(texts: tuple[str, ...], region: str | None) -> dict[str | None, str]:
    """Return the numbers of --number by SUB_ID. Raises WrongOptions."""
    numbers: dict[str | None, str] = {}
    for text in texts:
        sub_id, is_given, number = text.rpartition("=")
        if is_given and not sub_id.isdecimal():
            raise WrongOptions("--number must be NUMBER or SUB_ID=NUMBER, such as 1=+15551112222")
        numbers[sub_id if is_given else None] = to_e164(number, region)
    if len(numbers) < len(texts):
        raise WrongOptions("--number must be given once, or once for each SUB_ID")
    return numbers
