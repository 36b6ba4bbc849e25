"""The rows of a phone's backup: its elements, in constant memory.

A backup may have several GB, most of them pictures in one attribute each, which a parser would
read whole. A backup is not quite XML either: emoji stand in it as references to two surrogates. So
the file is split where rows begin, as no attribute can have a `<` in it, and a malformed row spoils
no other one.
"""

import itertools
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError, fromstring

from conversations.files.rows import MAX_LINE_BYTES, TOO_LONG, UnreadableFile
from schemas.strict_json import BYTE_ORDER_MARK

HEAD_BYTES = 2**16
CHUNK_BYTES = 2**20
# More than the longest tag that a row begins with, of which a chunk may have the first bytes.
TAIL_BYTES = 16
# Rows of one tag, which most are, are parsed together.
MAX_TOGETHER = 100
SHORT_BYTES = 2**13
NOT_WELL_FORMED = "is not well-formed XML"
# What stands before the first element of XML.
PROLOG = re.compile(rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
OTHER_ENCODING = re.compile(rb"\bencoding\s*=\s*[\"'](?!(?i:utf-?8)[\"'])")
ROOT = re.compile(rb"<smses\b[^<>]*>")
ROW = re.compile(rb"<(?=(?:sms|mms|call)\s|/smses)")
ROWS = ("sms", "mms", "call")
# The Base64 of a picture, which may not have ended yet.
PICTURE = re.compile(
    rb"(<part\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?\sdata\s*=\s*[\"'])[^\"'<]+", re.DOTALL
)
REFERENCES = re.compile(rb"(?:&#(?:[0-9]{1,9}|[xX][0-9A-Fa-f]{1,8});)+")
NOT_TEXT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MARKUP = re.compile("[&<>\"'\t\n\r]")


class BackupRows:
    """The rows of a backup. `line` is the one that was reached, `is_complete` that the root ended.

    Raises UnreadableFile if the file does not begin as a backup.
    """

    def __init__(self, file: BinaryIO):
        head = file.read(HEAD_BYTES).removeprefix(BYTE_ORDER_MARK)
        start = PROLOG.sub(b"", head, count=1)
        if OTHER_ENCODING.search(head.removesuffix(start)):
            raise UnreadableFile("declares another encoding than UTF-8: convert it to UTF-8")
        root = ROOT.match(start)
        if not root:
            raise UnreadableFile(
                "is no backup of SMS Backup & Restore: it does not begin with <smses>"
            )
        rest = start[root.end() :]
        self.line = 1 + head.removesuffix(rest).count(b"\n")
        self.is_complete = root[0].endswith(b"/>")
        self._chunks = itertools.chain([rest], iter(lambda: file.read(CHUNK_BYTES), b""))

    def __iter__(self) -> Iterator[tuple[int, bytes, Element | str]]:
        """Yield the line, the bytes without pictures, and the element or a complaint of each row.

        A row in whose middle the file ends is left out.
        """
        tags: list[tuple[int, bytes]] = []
        for line, piece, is_last in self._pieces():
            raw = piece.strip()
            is_tag = raw.endswith(b"/>") and raw.count(b"<") == 1 and len(raw) <= SHORT_BYTES
            if is_tag and not is_last and len(tags) < MAX_TOGETHER:
                tags.append((line, raw))
                continue
            yield from _parse_rows(tags)
            tags = []
            if raw.startswith(b"</smses"):
                self.is_complete = True
            elif len(piece) >= MAX_LINE_BYTES:
                yield line, raw, TOO_LONG
            elif not is_last or _parse(raw) is not None:
                yield from _parse_rows([(line, raw)])

    def _pieces(self) -> Iterator[tuple[int, bytes, bool]]:
        """Yield the line and the bytes between the beginnings of rows; True with the last ones."""
        rest, dropped_lines = b"", 0
        for chunk in self._chunks:
            rest += chunk
            starts = [0, *(row.start() for row in ROW.finditer(rest, 1))]
            for start, end in itertools.pairwise(starts):
                yield self.line, _shorten(rest[start:end]), False
                self.line += rest.count(b"\n", start, end) + dropped_lines
                dropped_lines = 0
            last = rest[starts[-1] :]
            rest = _shorten(last)
            dropped_lines += last.count(b"\n") - rest.count(b"\n")
        yield self.line, rest[: rest.rfind(b">") + 1], True
        self.line += rest.rstrip().count(b"\n") + dropped_lines


def _shorten(raw: bytes) -> bytes:
    """Return a row, or the first part of one, without pictures and at most MAX_LINE_BYTES long."""
    raw = PICTURE.sub(rb"\1", raw) if b"data" in raw else raw
    if len(raw) > MAX_LINE_BYTES:
        return raw[: MAX_LINE_BYTES - TAIL_BYTES] + raw[-TAIL_BYTES:]
    return raw


def _parse_rows(pieces: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, Element | str]]:
    """Yield the rows of a piece of any kind, or of several that are one tag each.

    These are parsed together, because each call of the parser has a cost of its own.
    """
    elements = _parse(b"".join(raw for _, raw in pieces))
    if len(pieces) > 1 and (elements is None or len(elements) != len(pieces)):
        for piece in pieces:
            yield from _parse_rows([piece])
    elif elements is None:
        yield *pieces[0], NOT_WELL_FORMED
    else:
        for piece, element in zip(itertools.cycle(pieces), elements, strict=False):
            if element.tag in ROWS:
                yield *piece, element


def _parse(raw: bytes) -> Element | None:
    """Return an element with those of a row in it; None if the row is not well-formed."""
    xml = REFERENCES.sub(_mend, raw) if b"&#" in raw else raw
    try:
        # No entities can be declared inside of an element.
        return fromstring(b"<smses>%b</smses>" % xml)  # noqa: S314
    except ParseError:
        return None


def _mend(references: re.Match[bytes]) -> bytes:
    """Return references with surrogates joined, without characters that XML cannot have."""
    numbers = [each.strip(b"&#") for each in references[0].split(b";")[:-1]]
    codes = [int(b"0" + each, 16) if each[:1] in b"xX" else int(each) for each in numbers]
    text = "".join(chr(code) if code <= sys.maxunicode else "\ufffd" for code in codes)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    escaped = MARKUP.sub(lambda char: f"&#{ord(char[0])};", NOT_TEXT.sub("\ufffd", joined))
    return escaped.encode()
