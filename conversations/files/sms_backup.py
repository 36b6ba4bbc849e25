"""A reader of the backups of SMS Backup & Restore (XML), of Silence and of old Signal.

Source: synctech.com.au, "fields in XML backup files".
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID
from xml.parsers import expat

from marshmallow import ValidationError

from conversations.files.rows import (
    BROKEN_FILE,
    Export,
    FileRow,
    Options,
    check_exchange,
    explain,
    only_number,
    read_number,
)
from conversations.files.xml_rows import NOT_WELL_FORMED, Attributes, BackupRows, Element, RowParser
from conversations.inbox.message_ids import secret_message_id, smsgate_message_id
from schemas.create_message import ImportMessageSchema
from schemas.fields import EPOCH

CUT_OFF = "the file ends here, in the middle: what came before it counts"
HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n<smses>\n'
FOOTER = b"</smses>\n"
MILLISECONDS = re.compile("[0-9]{1,14}")
SEQUENCE = re.compile("-?[0-9]{1,9}")
DIRECTIONS = {"1": "inbound", "2": "outbound"}
SENDER, RECIPIENTS = ("137",), ("151", "130")
NOBODY = ("", "null", "insert-address-token")
OTHER_CHANNEL = re.compile(r"@rcs\.google\.com|@rbm\.goog|^__textsecure_group__")
NAMES = {"contact": "address", "number": "--number", "created_at": "date"}


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read the messages of a backup.

    Raises UnreadableFile for other XML, and WrongOptions if the own number is not known.
    """
    elements = BackupRows(file)
    elements.read_root()
    return Export(HEADER, _Messages(options).read(elements), NAMES, FOOTER)


class _Messages:
    """The messages of the rows of a backup."""

    def __init__(self, options: Options):
        self._options = options
        self._parser = RowParser()
        self._schema = ImportMessageSchema(options.region)
        self._numbers = options.numbers or {None: only_number(options)}

    def read(self, elements: BackupRows) -> Iterator[FileRow]:
        """Yield the rows; a message to a group is a row for each recipient."""
        try:
            for line, raw, complaint in elements:
                if complaint:
                    yield FileRow(line, raw, None, complaint)
                else:
                    yield from self._read_row(line, raw)
        except BROKEN_FILE as error:
            yield FileRow(elements.line, b"", None, f"cannot be read, nor what follows: {error}")
        else:
            if not elements.is_complete:
                yield FileRow(elements.line, None, None, CUT_OFF)

    def _read_row(self, line: int, raw: bytes) -> Iterator[FileRow]:
        try:
            messages = list(self._read_messages(*self._parser.parse(raw)))
        except expat.ExpatError:
            yield FileRow(line, raw, None, NOT_WELL_FORMED)
        except (ValidationError, UnicodeError) as error:
            yield FileRow(line, raw, None, explain(error, NAMES))
        else:
            for given in messages or (None,):
                yield FileRow(line, raw, given)

    def _read_messages(
        self, kind: str, row: Attributes, inner: list[Element]
    ) -> Iterator[dict[str, Any]]:
        """Yield the checked fields of a row's messages; none of a row that is skipped."""
        box_name = "type" if kind == "sms" else "msg_box"
        if kind == "call" or row.get("status") == "64" or row.get("m_type") == "130":
            return
        if box_name not in row:
            raise ValidationError({box_name: "is required"})
        people = [attributes for name, attributes in inner if name == "addr"]
        is_other = any(OTHER_CHANNEL.search(each.get("address", "")) for each in (row, *people))
        has_address = any(each.get("address", "") not in NOBODY for each in (row, *people))
        if row[box_name] not in DIRECTIONS or is_other or not has_address:
            return
        own, direction = self._own_number(row.get("sub_id")), DIRECTIONS[row[box_name]]
        text, subject = row.get("body", ""), ""
        if kind == "mms":
            text = _read_text([attributes for name, attributes in inner if name == "part"])
            subject = "" if row.get("sub") == "null" else row.get("sub", "")
        fields = {
            "direction": direction,
            "body": "\n".join(filter(None, (subject, text))) or ("" if kind == "sms" else None),
            "channel": kind,
            "created_at": _read_instant("date", row.get("date", "")).isoformat(),
        }
        for contact in self._contacts(kind, row, people, own):
            given = check_exchange(self._schema, self._options, own, contact, fields)
            given["id"] = self._message_id(kind, row, given, own)
            given["has_carrier_id"] = True
            if subject and text:
                given["keyword_text"] = text
            yield given

    def _own_number(self, sub_id: str | None) -> str:
        number = self._numbers.get(sub_id) or self._numbers.get(None)
        if number is None:
            raise ValidationError({"sub_id": "must be one that --number names"})
        return number

    def _contacts(
        self, kind: str, row: Attributes, people: list[Attributes], own: str
    ) -> list[str]:
        """Return the contacts: the sender of a received message, all recipients of a sent one."""
        if kind == "sms":
            # A phone may write to itself.
            return self._read_numbers([row.get("address", "")], "")
        listed = self._read_numbers(row.get("address", "").split("~"), own)
        sent = row["msg_box"] == "2"
        types = RECIPIENTS if sent else SENDER
        named = [each.get("address", "") for each in people if each.get("type") in types]
        told = self._read_numbers(named if sent else [*named, row.get("from_address", "")], own)
        if not (sent or told) and len(listed) > 1:
            raise ValidationError({"contact": "names a group, and addrs does not say who sent it"})
        return (told or listed) if sent else (told or listed)[:1]

    def _read_numbers(self, texts: list[str], own: str) -> list[str]:
        try:
            region = self._options.region
            numbers = [read_number(t, region) for t in texts if t.strip("~ ") not in NOBODY]
        except ValueError as error:
            raise ValidationError({"contact": str(error)}) from None
        return [number for number in dict.fromkeys(numbers) if number != own]

    def _message_id(self, kind: str, row: Attributes, given: dict[str, Any], own: str) -> UUID:
        namespace, text = self._options.id_namespace, given.get("body") or ""
        is_inbound, at = given["direction"] == "inbound", given["created_at"]
        contact = given["from_number" if is_inbound else "to_number"]
        sent = row.get("date_sent", "").strip("0")
        if kind == "sms" and is_inbound and sent not in ("", "null"):
            # SMSGate's hook reports the date of the network, not of the phone.
            at = _read_instant("date_sent", row["date_sent"])
            return smsgate_message_id(namespace, own, contact, at, text)
        at = at.replace(microsecond=0) if kind == "mms" else at
        parts = (own, contact, given["direction"], at.isoformat(), text)
        return secret_message_id(namespace, kind, *parts)


def _read_text(parts: list[Attributes]) -> str:
    """Return the text of the parts of an MMS, empty if there is none."""
    plain = [part for part in parts if part.get("ct") == "text/plain"]
    # The order of the parts in a file changes, and the id depends on the text.
    plain.sort(key=lambda part: (_sequence(part), part.get("cl", ""), part.get("text", "")))
    return "\n".join(part["text"] for part in plain if part.get("text", "") not in ("", "null"))


def _sequence(part: Attributes) -> int:
    seq = part.get("seq", "")
    return int(seq) if SEQUENCE.fullmatch(seq) else 0


def _read_instant(name: str, text: str) -> datetime:
    """Return the instant of milliseconds since 1970. Raises ValidationError."""
    try:
        if not MILLISECONDS.fullmatch(text):
            raise ValueError
        return EPOCH + timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        raise ValidationError({name: "must be milliseconds since 1970"}) from None
