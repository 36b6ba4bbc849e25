"""A reader of the backups of SMS Backup & Restore (XML), of Silence and of old Signal.

Source: synctech.com.au, "fields in XML backup files".
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID
from xml.etree.ElementTree import Element

from marshmallow import ValidationError

from conversations.files.instants import parse_milliseconds, read_instant
from conversations.files.rows import (
    Export,
    FileRow,
    Options,
    check_exchange,
    ends_of,
    explain,
    only_number,
    read_number,
)
from conversations.files.xml_rows import BackupRows
from conversations.inbox.message_ids import secret_message_id, smsgate_message_id
from schemas.create_message import ImportMessageSchema

CUT_OFF = "the file ends here, in the middle: what came before it counts"
HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n<smses>\n'
FOOTER = b"</smses>\n"
SEQUENCE = re.compile("-?[0-9]{1,9}")
DIRECTIONS = {"1": "inbound", "2": "outbound"}
SENDER, RECIPIENTS = ("137",), ("151", "130")
NOBODY = {"", "null", "insert-address-token"}
OTHER_CHANNEL = re.compile(r"@rcs\.google\.com|@rbm\.goog|^__textsecure_group__")
NAMES = {"contact": "address", "number": "--number", "created_at": "date"}


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read the messages of a backup.

    Raises UnreadableFile for other XML, and WrongOptions if the own number is not known.
    """
    return Export(HEADER, _Messages(options).read(BackupRows(file)), NAMES, FOOTER)


class _Messages:
    """The messages of the rows of a backup."""

    def __init__(self, options: Options):
        self._options = options
        self._schema = ImportMessageSchema(options.region)
        self._numbers = options.numbers or {None: only_number(options)}

    def read(self, elements: BackupRows) -> Iterator[FileRow]:
        """Yield the rows; a message to a group is a row for each recipient."""
        for line, raw, row in elements:
            if isinstance(row, str):
                yield FileRow(line, raw, None, row)
                continue
            try:
                messages = list(self._read_messages(row))
            except ValidationError as error:
                yield FileRow(line, raw, None, explain(error, NAMES))
            else:
                yield from (FileRow(line, raw, given) for given in messages or (None,))
        if not elements.is_complete:
            yield FileRow(elements.line, None, None, CUT_OFF)

    def _read_messages(self, row: Element) -> Iterator[dict[str, Any]]:
        """Yield the checked fields of a row's messages; none of a row that is skipped."""
        kind, box = row.tag, row.get("type" if row.tag == "sms" else "msg_box")
        if kind == "call" or row.get("status") == "64" or row.get("m_type") == "130":
            return
        if box is None:
            raise ValidationError({"type" if kind == "sms" else "msg_box": "is required"})
        people = list(row.iter("addr"))
        addresses = [each.get("address", "") for each in (row, *people)]
        is_other = any(map(OTHER_CHANNEL.search, addresses))
        if box not in DIRECTIONS or is_other or set(addresses) <= NOBODY:
            return
        own = self._own_number(row.get("sub_id"))
        text, subject = row.get("body", ""), ""
        if kind == "mms":
            text = _read_text(row)
            subject = "" if row.get("sub") == "null" else row.get("sub", "")
        fields = {
            "direction": DIRECTIONS[box],
            "body": "\n".join(filter(None, (subject, text))) or ("" if kind == "sms" else None),
            "channel": kind,
            "created_at": _read_instant("date", row),
        }
        for contact in self._contacts(row, people, own):
            given = check_exchange(self._schema, self._options, own, contact, fields)
            given |= {"id": self._message_id(row, given), "has_carrier_id": True}
            if subject and text:
                given["keyword_text"] = text
            yield given

    def _own_number(self, sub_id: str | None) -> str:
        number = self._numbers.get(sub_id) or self._numbers.get(None)
        if number is None:
            raise ValidationError({"sub_id": "must be one that --number names"})
        return number

    def _contacts(self, row: Element, people: list[Element], own: str) -> list[str]:
        """Return the contacts: the sender of a received message, all recipients of a sent one."""
        if row.tag == "sms":
            # A phone may write to itself.
            return self._read_numbers([row.get("address", "")], "")
        listed = self._read_numbers(row.get("address", "").split("~"), own)
        sent = row.get("msg_box") == "2"
        types = RECIPIENTS if sent else SENDER
        named = [each.get("address", "") for each in people if each.get("type") in types]
        told = self._read_numbers(named if sent else [*named, row.get("from_address", "")], own)
        if not (sent or told) and len(listed) > 1:
            raise ValidationError({"contact": "names a group, and addrs does not say who sent it"})
        return (told or listed) if sent else (told or listed)[:1]

    def _read_numbers(self, texts: list[str], own: str) -> list[str]:
        region = self._options.region
        numbers = [read_number("contact", t, region) for t in texts if t.strip("~ ") not in NOBODY]
        return [number for number in dict.fromkeys(numbers) if number != own]

    def _message_id(self, row: Element, given: dict[str, Any]) -> UUID:
        namespace, text = self._options.id_namespace, given.get("body") or ""
        direction, (own, contact) = given["direction"], ends_of(given)
        sent = row.get("date_sent", "").strip("0")
        if row.tag == "sms" and direction == "inbound" and sent not in ("", "null"):
            # SMSGate's hook reports the date of the network, not of the phone.
            at = _read_instant("date_sent", row)
            return smsgate_message_id(namespace, own, contact, at, text)
        at = given["created_at"]
        at = at.replace(microsecond=0) if row.tag == "mms" else at
        parts = (own, contact, direction, at.isoformat(), text)
        return secret_message_id(namespace, row.tag, *parts)


def _read_text(row: Element) -> str:
    """Return the text of the parts of an MMS, empty if there is none."""
    # The order of the parts in a file changes, and the id depends on the text.
    parts = sorted(
        (_sequence(part), part.get("cl", ""), part.get("text", ""))
        for part in row.iter("part")
        if part.get("ct") == "text/plain"
    )
    return "\n".join(text for _, _, text in parts if text not in ("", "null"))


def _sequence(part: Element) -> int:
    seq = part.get("seq", "")
    return int(seq) if SEQUENCE.fullmatch(seq) else 0


def _read_instant(name: str, row: Element) -> datetime:
    complaint = "must be milliseconds since 1970"
    return read_instant(name, row.get(name, ""), parse_milliseconds, complaint)
