"""What all readers of files share: the shapes of rows, lines, JSON, and the ends of a message.

A row that cannot be read is rejected, never dropped: its bytes are kept, so that it can be copied
to a file, corrected and imported again.
"""

import functools
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from conversations.inbox.api_keys import printable
from conversations.inbox.organizations import NOT_YOURS
from schemas.base import RequestSchema
from schemas.numbers import to_e164
from schemas.strict_json import BYTE_ORDER_MARK, load_json

BROKEN_FILE = (OSError, EOFError, zlib.error)
# No message is as long. A compressed file of a few kilobytes can hold a line of gigabytes.
MAX_LINE_BYTES = 2**24
TOO_LONG = "is longer than 16 MiB; only its beginning is kept"
# A row can have thousands of names that are not known; these are enough to correct it.
MAX_SENTENCES = 10
SHORTENED_NUMBER = re.compile(r"[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}")
NUMBER_DECORATION = re.compile(
    r"^\s*=\s*\"|\"\s*$|^\s*'|[\s()\[\]{}.\u200b-\u200f\u2010-\u2015\u2060-\u2069\u202a-\u202e\ufeff-]"
)


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; the sentence says what it is and what to do."""


class WrongOptions(Exception):
    """The options of the command do not fit each other or the file: wrong usage."""


class FileRow(NamedTuple):
    """One row of a file: the line it starts on, its bytes, its checked fields or a complaint.

    Without both it is a message that was never exchanged, and is skipped. Without bytes it is no
    row, and the complaint is one about the file.
    """

    line: int
    raw: bytes | None
    given: dict[str, Any] | None
    complaint: str | None = None


Names = Mapping[str, str]
NO_OTHER_NAMES: Names = {}


class Export(NamedTuple):
    """A file: its rows, and what stands before and after them, where the format has that.

    `names` are those of the file for the fields that a complaint names.
    """

    header: bytes
    rows: Iterator[FileRow]
    names: Names = NO_OTHER_NAMES
    footer: bytes = b""


@dataclass(frozen=True)
class Options:
    """What readers know beside the file: of the organization, and from the command's options.

    `own_numbers` are the organization's phone numbers with their ids, `id_namespace` is its secret
    (`get_id_namespace`). `numbers` are those of `--number` by SUB_ID; None is that without one.
    """

    own_numbers: Mapping[str, UUID]
    id_namespace: UUID
    region: str | None = None
    numbers: Mapping[str | None, str] = field(default_factory=dict)
    columns: Names | None = None
    timezone: ZoneInfo | None = None
    date_format: str | None = None
    opted_in: bool | None = None
    at: datetime | None = None


Reader = Callable[[BinaryIO, Options], Export]
Check = Callable[[dict[str, Any]], dict[str, Any] | None]


def explain(error: Exception, names: Names = NO_OTHER_NAMES) -> str:
    """Return why a row is rejected: a sentence for each field, under its name in the file."""
    if isinstance(error, ValidationError):
        said = [
            f"{printable(names.get(name, name))} {sentence}"
            for name, sentence in error.normalized_messages().items()
        ]
        more = [f"and {len(said) - MAX_SENTENCES} more"] if len(said) > MAX_SENTENCES else []
        return "; ".join(said[:MAX_SENTENCES] + more)
    return "is not UTF-8" if isinstance(error, UnicodeError) else str(error)


def read_lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield the first MAX_LINE_BYTES of each line of a file, and whether the line goes on."""
    while line := file.readline(MAX_LINE_BYTES):
        is_cut, piece = False, line
        while len(piece) == MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = file.readline(MAX_LINE_BYTES)
            is_cut = is_cut or piece != b""
        yield line, is_cut


def read_json_lines(
    file: BinaryIO, check: Check, names: Names = NO_OTHER_NAMES
) -> Iterator[FileRow]:
    """Yield a row for each line that is not blank, with the fields that `check` returns."""
    for line, (raw, is_cut) in enumerate(read_lines(file), 1):
        text = raw.removeprefix(BYTE_ORDER_MARK) if line == 1 else raw
        if is_cut:
            yield FileRow(line, raw, None, TOO_LONG)
        elif text.strip():
            yield _json_row(line, raw, text, check, names)


def _json_row(line: int, raw: bytes, text: bytes, check: Check, names: Names) -> FileRow:
    try:
        row = load_json(text)
    except ValidationError as error:
        return FileRow(line, raw, None, explain(error))
    except ValueError:
        return FileRow(line, raw, None, "is not JSON")
    if not isinstance(row, dict):
        return FileRow(line, raw, None, "is not a JSON object")
    try:
        return FileRow(line, raw, check(row))
    except ValidationError as error:
        return FileRow(line, raw, None, explain(error, names))


def check_exchange(
    schema: RequestSchema, options: Options, own: Any, contact: Any, row: dict[str, Any]
) -> dict[str, Any]:
    """Return the checked fields of a message whose source names the ends `number` and `contact`.

    Raises ValidationError, which names the ends so.
    """
    own_end, contact_end = ("to", "from") if row["direction"] == "inbound" else ("from", "to")
    try:
        given = schema.check({own_end: own, contact_end: contact, **row})
    except ValidationError as error:
        names = {own_end: "number", contact_end: "contact"}
        said = error.normalized_messages().items()
        raise ValidationError({names.get(name, name): each for name, each in said}) from None
    if given[f"{own_end}_number"] not in options.own_numbers:
        raise ValidationError({"number": NOT_YOURS})
    return given


def ends_of(given: dict[str, Any]) -> tuple[str, str]:
    """Return the own number and the contact of the checked fields of a message."""
    sender, recipient = given["from_number"], given["to_number"]
    return (recipient, sender) if given["direction"] == "inbound" else (sender, recipient)


def only_number(options: Options) -> str:
    """Return the organization's only number. Raises WrongOptions if it has none, or several."""
    if len(options.own_numbers) != 1:
        raise WrongOptions("--number is missing: the organization does not have exactly one number")
    return next(iter(options.own_numbers))


def read_segments(value: Any) -> Any:
    """Return a number of segments as an int, None if there is none, and what is no number as it is.

    Exports write 0 where they do not know it.
    """
    if value in (None, "", "0", 0):
        return None
    return int(value) if re.fullmatch("[0-9]{1,3}", str(value)) else value


def refuse_lost_plus_signs(options: Options, *numbers: str) -> None:
    """Raise UnreadableFile if numbers of the file are the organization's own without their plus.

    So a spreadsheet saves them. With a region such numbers can be read.
    """
    if not options.region and any("+" + number in options.own_numbers for number in numbers):
        raise UnreadableFile(
            "a spreadsheet took away the plus signs of the numbers: export the file once more and "
            "import it without opening it, or name the country with --region"
        )


@functools.lru_cache(maxsize=10_000)
def read_number(name: str, text: str, region: str | None) -> str:
    """Return the number of a field without what is often written around its digits, as E.164.

    A text with a letter is a sender ID and stays as it is; so does what is no number of the region
    (ISO 3166). Raises ValidationError for one that a spreadsheet shortened, such as 1.21256E+10.
    """
    if SHORTENED_NUMBER.fullmatch(text):
        raise ValidationError({name: "was shortened by a spreadsheet"})
    if any(map(str.isalpha, text)):
        return text
    return to_e164(NUMBER_DECORATION.sub("", text), region)
