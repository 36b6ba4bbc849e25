"""The rows of CSV files (RFC 4180): their header, and their cells under our names."""

import csv
import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from marshmallow import ValidationError

from conversations.files.rows import (
    BROKEN_FILE,
    MAX_LINE_BYTES,
    TOO_LONG,
    Check,
    FileRow,
    Names,
    explain,
    read_lines,
)

QUOTED = re.compile(r'"[^"]*"')


class _RememberingLines:
    """The lines of a CSV file as text, and the bytes of those that the current row took."""

    def __init__(self, file: BinaryIO):
        self.count = 0
        self._lines = read_lines(file)
        self._taken: list[bytes] = []
        self._taken_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, is_cut = next(self._lines)
        self.count += 1
        self._taken.append(line)
        self._taken_bytes += len(line)
        if is_cut or self._taken_bytes > MAX_LINE_BYTES:
            raise ValueError(TOO_LONG)
        return line.decode("utf-8-sig" if self.count == 1 else "utf-8", "surrogateescape")

    def take(self) -> bytes:
        """Return what was taken since the last time."""
        raw = b"".join(self._taken)
        self._taken.clear()
        self._taken_bytes = 0
        return raw


class CsvFile:
    """A CSV file whose header was read: `header` are the names, `header_bytes` all up to its end.

    The cells are separated by the one of `delimiters` that the header has most of.
    """

    def __init__(self, file: BinaryIO, delimiters: str = ","):
        self._lines = _RememberingLines(file)
        self.header: list[str] = []
        with suppress(csv.Error, ValueError, *BROKEN_FILE):
            first = next((line for line in self._lines if line.strip()), "")
            counts = {each: QUOTED.sub("", first).count(each) for each in delimiters}
            delimiter = max(counts, key=counts.__getitem__)
            lines = itertools.chain([first], self._lines)
            self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
            self.header = [name.strip() for name in next(self._reader, [])]
        self.header_bytes = self._lines.take()

    def rows(self, columns: Mapping[str, str], check: Check, names: Names) -> Iterator[FileRow]:
        """Yield the rows. `columns` are those that are read: our names with the header's."""
        places = {name: self.header.index(column) for name, column in columns.items()}
        while True:
            start, given, complaint = self._lines.count + 1, None, None
            try:
                cells = next(self._reader)
                # Spreadsheets write a row of empty cells where a person sees none.
                is_blank = not any(map(str.strip, cells))
                given = None if is_blank else check(self._read(cells, places))
            except StopIteration:
                return
            except csv.Error as error:
                is_blank, complaint = False, f"is not CSV: {error}"
            except (ValidationError, ValueError) as error:
                is_blank, complaint = False, explain(error, names)
            raw = self._lines.take()
            if not is_blank:
                yield FileRow(start, raw, given, complaint)

    def _read(self, cells: list[str], places: Mapping[str, int]) -> dict[str, Any]:
        """Return the cells that are read by name. Raises ValueError."""
        ",".join(cells).encode()  # Raises UnicodeEncodeError: bytes that are no UTF-8 were escaped.
        # Spreadsheets leave out the last cells if they are empty.
        if not max(places.values()) < len(cells) <= len(self.header):
            raise ValueError(f"has {len(cells)} columns where the header has {len(self.header)}")
        return {name: cells[at] for name, at in places.items()}
