"""The rows of a phone's backup: its elements as bytes, in constant memory.

A backup may have several GB, most of them pictures in one attribute each, which expat would read
whole. And it is not quite XML: emoji stand in it as references to two surrogates.
"""

import re
import sys
from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

from conversations.files.rows import MAX_LINE_BYTES, TOO_LONG, UnreadableFile

CHUNK_BYTES = 2**20
# More characters than a text may have, each as a reference.
MAX_VALUE_BYTES = 2**20
ROWS = (b"sms", b"mms", b"call")
ROW_ENDS = (b"/sms", b"/mms", b"/call")
NOT_WELL_FORMED = "is not well-formed XML"
VALUE = rb"\"[^\"<]*+\"|'[^'<]*+'"
# A tag and the like, with the text before it; a raw < cannot be in a value of XML.
TOKEN = re.compile(
    rb"[^<]*+(?:<!--.*?-->|<![^-]|<\?.*?\?>|<(/?[A-Za-z_][\w.:-]*+)(?:[^<>\"']++|%b)*+>)" % VALUE,
    re.DOTALL,
)
# A tag that is not read to its end, in a value: the name of the attribute, and the quote.
OPEN_VALUE = re.compile(
    rb"[^<]*+<\w(?:%b|[^<>\"'])*?\s([\w.:-]+)\s*=\s*(?:(\")[^\"<]*|(')[^'<]*)\Z" % VALUE
)
# Base64 of pictures, or another value.
DATA = re.compile(rb"\sdata\s*=\s*(?:%b)|%b" % (VALUE, VALUE))
MALFORMED = re.compile(rb"<(?!!--|\?)")
IN_COMMENT = re.compile(rb"[^<]*<!--")
NEXT_ROW = re.compile(rb"<(?=(?:sms|mms|call)\s|/smses)")
ENCODING = re.compile(rb"\bencoding\s*=\s*[\"']([^\"']*)")
REFERENCES = re.compile(rb"(?:&#(?:[0-9]{1,9}|[xX][0-9A-Fa-f]{1,8});)+")
NOT_TEXT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MARKUP = re.compile("[&<>\"'\t\n\r]")
Attributes = dict[str, str]
Element = tuple[str, Attributes]


class BackupRows:
    """The rows of a backup, from which the data of pictures is dropped on the way."""

    def __init__(self, file: BinaryIO):
        self.line = 1
        self.is_complete = False
        self._file = file
        self._dropped_lines = 0
        self._tokens = self._read_tokens()

    def read_root(self) -> None:
        """Read up to the first element. Raises UnreadableFile if that is not a backup's."""
        for _, token, name in self._tokens:
            encoding = ENCODING.search(token) if token.startswith(b"<?xml") else None
            if encoding and encoding[1].lower() not in (b"utf-8", b"utf8"):
                raise UnreadableFile("declares another encoding than UTF-8: convert it to UTF-8")
            if token.startswith(b"<!") and not token.startswith(b"<!--"):
                raise UnreadableFile("has a DOCTYPE, which no backup of a phone has")
            if name == b"calls":
                raise UnreadableFile("is a backup of calls: the messages are in another file")
            if name == b"smses":
                self.is_complete = token.endswith(b"/>")
                return
            if name is not None:
                break
        raise UnreadableFile("is no backup of SMS Backup & Restore: it does not begin with <smses>")

    def __iter__(self) -> Iterator[tuple[int, bytes, str | None]]:
        """Yield the line, the bytes and perhaps a complaint of each row."""
        raw, start = b"", 0
        for line, token, name in self._tokens:
            if raw and (name in ROWS or name == b"/smses"):
                yield start, raw, NOT_WELL_FORMED
                raw = b""
            if name in ROWS:
                raw, start = token, line
            elif raw and len(raw) <= MAX_LINE_BYTES:
                raw += token
            elif not raw and name is None and MALFORMED.match(token):
                yield line, token, NOT_WELL_FORMED
            if raw and (token.endswith(b"/>") if name in ROWS else name in ROW_ENDS):
                yield start, raw, TOO_LONG if len(raw) > MAX_LINE_BYTES else None
                raw = b""
            self.is_complete = self.is_complete or name == b"/smses"

    def _read_tokens(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield the line, the bytes and the name of each tag; of what is no tag, without a name."""
        buffer, at = b"", 0
        while chunk := self._file.read(CHUNK_BYTES):
            buffer, at = buffer[at:] + chunk, 0
            while at < len(buffer):
                if token := TOKEN.match(buffer, at):
                    yield self._count(token[0], token[1])
                    at = token.end()
                elif not IN_COMMENT.match(buffer, at) and (row := NEXT_ROW.search(buffer, at + 1)):
                    yield self._count(buffer[at : row.start()], None)
                    at = row.start()
                elif (value := OPEN_VALUE.match(buffer, at)) and (
                    value[1] == b"data" or len(buffer) - at > MAX_VALUE_BYTES
                ):
                    buffer, at = self._without_value(buffer[at:], value, at), 0
                elif len(buffer) - at > MAX_LINE_BYTES:
                    yield self._count(buffer[at:], None)
                    at = len(buffer)
                else:
                    break

    def _count(self, token: bytes, name: bytes | None) -> tuple[int, bytes, bytes | None]:
        start = max(token.find(b"<"), 0)
        line = self.line + token.count(b"\n", 0, start)
        self.line = line + token.count(b"\n", start) + self._dropped_lines
        self._dropped_lines, token = 0, token[start:]
        if name is not None and b"data" in token:
            token = DATA.sub(lambda value: value[0] if value[0][:1] in b"\"'" else b"", token)
        return line, token, name

    def _without_value(self, buffer: bytes, value: re.Match[bytes], at: int) -> bytes:
        """Return a tag and what follows it without the rest of a value, or all of it if it is data.

        What is dropped is read in pieces. It ends with its quote, or with a < that cannot be in it.
        """
        is_data = value[1] == b"data"
        kept = buffer[: value.start(1) - at] if is_data else buffer
        self._dropped_lines += buffer.count(b"\n", len(kept))
        end = re.compile(b"[%b<]" % (value[2] or value[3]))
        while chunk := self._file.read(CHUNK_BYTES):
            found = end.search(chunk)
            self._dropped_lines += chunk.count(b"\n", 0, found.start() if found else len(chunk))
            if found:
                is_quote = found[0] != b"<"
                return kept + chunk[found.start() + (is_data and is_quote) :]
        return kept


class RowParser:
    """Parses rows one after the other. One parser for all takes a third of the time of one each."""

    def __init__(self) -> None:
        self._elements: list[Element] = []
        self._start()

    def parse(self, raw: bytes) -> tuple[str, Attributes, list[Element]]:
        """Return the name and attributes of a row, and the elements in it. Raises ExpatError."""
        self._elements.clear()
        try:
            self._parser.Parse(mend(raw), False)
        except expat.ExpatError:
            self._start()
            raise
        return *self._elements[0], self._elements[1:]

    def _start(self) -> None:
        self._parser = expat.ParserCreate("utf-8")
        self._parser.Parse(b"<smses>", False)
        self._parser.StartElementHandler = lambda name, given: self._elements.append((name, given))


def mend(raw: bytes) -> bytes:
    """Return a row as XML: with surrogates joined, and without characters that XML cannot have."""
    return REFERENCES.sub(_mend_references, raw) if b"&#" in raw else raw


def _mend_references(references: re.Match[bytes]) -> bytes:
    numbers = [each.strip(b"&#") for each in references[0].split(b";")[:-1]]
    codes = [int(b"0" + each, 16) if each[:1] in b"xX" else int(each) for each in numbers]
    text = "".join(chr(code) if code <= sys.maxunicode else "\ufffd" for code in codes)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    escaped = MARKUP.sub(lambda char: f"&#{ord(char[0])};", NOT_TEXT.sub("\ufffd", joined))
    return escaped.encode()
