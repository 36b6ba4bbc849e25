"""Commands that import files."""

import os
import sys
from collections import Counter
from typing import Any, BinaryIO
from uuid import UUID

import click

from conversations.cli.arguments import (
    CONSENT_OPTIONS,
    FILE,
    IMPORT_OPTIONS,
    ORGANIZATION,
    format_option,
    open_private,
    with_options,
)
from conversations.cli.command import command, require_organization
from conversations.database import queries
from conversations.files import formats, importer
from conversations.files.formats import CONSENT_FORMATS, MESSAGE_FORMATS, Format
from conversations.files.rows import Options, UnreadableFile, WrongOptions
from conversations.inbox import organizations
from schemas.numbers import to_e164

TALLY = ("imported", "already there", "skipped", "refused")
# After as many rows with the same reason only their number is printed.
MAX_EQUAL_REASONS = 100
MAX_REASONS = 10_000


@command("import-messages", connections=importer.CONNECTIONS)
@ORGANIZATION
@FILE
@format_option(MESSAGE_FORMATS)
@with_options(*IMPORT_OPTIONS)
def import_messages(organization_id: UUID, **given: Any) -> None:
    """Import messages. Importing a file again changes nothing."""
    require_organization(organization_id)
    _import(importer.MessageTarget(organization_id), MESSAGE_FORMATS, **given)


@command("import-consent", connections=importer.CONNECTIONS)
@ORGANIZATION
@FILE
@format_option(CONSENT_FORMATS)
@with_options(*CONSENT_OPTIONS, *IMPORT_OPTIONS)
def import_consent(organization_id: UUID, **given: Any) -> None:
    """Import consent events, in any order. Importing a file again changes nothing."""
    require_organization(organization_id)
    _import(importer.ConsentTarget(organization_id), CONSENT_FORMATS, **given)


class Progress:
    """Shows an import: its rejected rows, and on a terminal how far it is."""

    def __init__(self, file: BinaryIO):
        self._file = file
        # 0 if that is unknown, as of a pipe.
        self._size_bytes = os.fstat(file.fileno()).st_size
        self._bar = _new_bar("Reading", self._size_bytes)
        self._reasons: Counter[str] = Counter()

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
            self._bar = _new_bar("Recording", of_rows)
        self._bar.update(rows)

    def finish(self) -> None:
        """End the line of the bar, and print how many rows had a reason that was not repeated."""
        self._bar.render_finish()
        for reason, count in self._reasons.items():
            if count > MAX_EQUAL_REASONS:
                click.echo(f"{count - MAX_EQUAL_REASONS} more rows: {reason}", err=True)


def _new_bar(label: str, length: int) -> "click._termui_impl.ProgressBar[int]":
    is_hidden = not length or not sys.stderr.isatty()
    bar = click.progressbar(length=length, label=label, file=sys.stderr, hidden=is_hidden)
    bar.render_progress()
    return bar


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
    for option in given:
        if option not in format.options:
            flag = option.removesuffix("s" if option == "numbers" else "").replace("_", "-")
            raise WrongOptions(f"--{flag} is no option of --format {name}")
    own_numbers = organizations.list_phone_numbers(organization_id)
    namespace = organizations.get_id_namespace(organization_id)
    numbers = _own_numbers(given.pop("numbers", ()), own_numbers, given.get("region"))
    return Options(own_numbers, namespace, numbers=numbers, **given)


def _own_numbers(
    texts: tuple[str, ...], own_numbers: dict[str, UUID], region: str | None
) -> dict[str | None, str]:
    """Return the numbers of --number by SUB_ID. Raises WrongOptions."""
    numbers: dict[str | None, str] = {}
    for text in texts:
        sub_id, is_given, number = text.rpartition("=")
        if is_given and not sub_id.isdecimal():
            raise WrongOptions("--number must be NUMBER or SUB_ID=NUMBER, such as 1=+15551112222")
        key = sub_id if is_given else None
        if key in numbers:
            raise WrongOptions("--number must be given once, or once for each SUB_ID")
        numbers[key] = to_e164(number, region)
        if numbers[key] not in own_numbers:
            raise WrongOptions(f"--number {organizations.NOT_YOURS}")
    return numbers
