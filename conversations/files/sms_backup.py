"""A reader of the backups of SMS Backup & Restore (XML), of Silence and of old Signal.

Source: synctech.com.au, "fields in XML backup files".
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID
from xml.etree import ElementTree

from marshmallow import ValidationError

from conversations.files.rows import (
    BROKEN_FILE,
    Export,
    FileRow,
    Options,
    check_exchange,
    clean_number,
    explain,
    only_number,
)
from conversations.files.xml_rows import NOT_WELL_FORMED, BackupRows, mend
from conversations.inbox.message_ids import secret_message_id, smsgate_message_id
from schemas.create_message import ImportMessageSchema
from schemas.fields import EPOCH
from schemas.numbers import to_e164

CUT_OFF = "the file ends here, in the middle: what came before it counts"
HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n<smses>\n'
FOOTER = b"</smses>\n"
MILLISECONDS = re.compile("[0-9]{1,14}")
SEQUENCE = re.compile("-?[0-9]{1,9}")
DIRECTIONS = {"1": "inbound", "2": "outbound"}
SENDER, RECIPIENTS = "137", ("151", "130")
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
            # What is parsed begins with a row, so no DOCTYPE is in it.
            row = ElementTree.fromstring(mend(raw))  # noqa: S314
            messages = list(self._read_messages(row))
        except ElementTree.ParseError:
            yield FileRow(line, raw, None, NOT_WELL_FORMED)
        except (ValidationError, UnicodeError) as error:
            yield FileRow(line, raw, None, explain(error, NAMES))
        else:
            yield from (FileRow(line, raw, given) for given in messages)
            if not messages:
                yield FileRow(line, raw, None)

    def _read_messages(self, row: ElementTree.Element) -> Iterator[dict[str, Any]]:
        """Yield the checked fields of a row's messages; none of a row that is skipped."""
        box = row.get("type" if row.tag == "sms" else "msg_box")
        addresses = [
            row.get("address", ""),
            *(each.get("address", "") for each in row.iter("addr")),
        ]
        if row.tag == "call" or row.get("status") == "64" or row.get("m_type") == "130":
            return
        if box is None:
            raise ValidationError({"type" if row.tag == "sms" else "msg_box": "is required"})
        if box not in DIRECTIONS or any(map(OTHER_CHANNEL.search, addresses)):
            return
        own, direction = self._own_number(row.get("sub_id")), DIRECTIONS[box]
        for contact in self._contacts(row, direction, own):
            yield self._read_message(row, direction, own, contact)

    def _own_number(self, sub_id: str | None) -> str:
        number = self._numbers.get(sub_id) or self._numbers.get(None)
        if number is None:
            raise ValidationError({"sub_id": "must be one that --number names"})
        return number

    def _contacts(self, row: ElementTree.Element, direction: str, own: str) -> list[str]:
        """Return the contacts: the sender of a received message, all recipients of a sent one."""
        listed = self._read_numbers(row.get("address", "").split("~"), own)
        if row.tag == "sms":
            # A phone may write to itself.
            return listed or self._read_numbers([row.get("address", "")], "")
        of_type: dict[str | None, list[str]] = {}
        for each in row.iter("addr"):
            of_type.setdefault(each.get("type"), []).append(each.get("address", ""))
        if direction == "outbound":
            recipients = [address for each in RECIPIENTS for address in of_type.get(each, [])]
            return self._read_numbers(recipients, own) or listed
        told = self._read_numbers([*of_type.get(SENDER, []), row.get("from_address", "")], own)
        if not told and len(listed) > 1:
            raise ValidationError({"contact": "names a group, and addrs does not say who sent it"})
        return (told or listed)[:1]

    def _read_numbers(self, texts: list[str], own: str) -> list[str]:
        try:
            numbers = [clean_number(text) for text in texts if text.strip("~ ") not in NOBODY]
        except ValueError as error:
            raise ValidationError({"contact": str(error)}) from None
        read = dict.fromkeys(to_e164(number, self._options.region) for number in numbers)
        return [number for number in read if number != own]

    def _read_message(
        self, row: ElementTree.Element, direction: str, own: str, contact: str
    ) -> dict[str, Any]:
        is_mms = row.tag == "mms"
        text, subject = _read_text(row) if is_mms else (row.get("body", ""), "")
        body = "\n".join(filter(None, (subject, text)))
        at = _read_instant("date", row.get("date", ""))
        fields: dict[str, Any] = {
            "direction": direction,
            "body": body if body or not is_mms else None,
            "channel": row.tag,
            "created_at": at.isoformat(),
        }
        given = check_exchange(self._schema, self._options, own, contact, fields)
        if subject and text:
            given["keyword_text"] = text
        # The date of a report by SMSGate's hook is that of the network, not of the phone.
        sent = row.get("date_sent", "") if row.tag == "sms" and direction == "inbound" else ""
        given["id"] = self._message_id(row.tag, sent, given, own, contact)
        return given | {"has_carrier_id": True}

    def _message_id(
        self, kind: str, date_sent: str, given: dict[str, Any], own: str, contact: str
    ) -> UUID:
        namespace, text = self._options.id_namespace, given.get("body") or ""
        if date_sent.strip("0") not in ("", "null"):
            at = _read_instant("date_sent", date_sent)
            return smsgate_message_id(namespace, own, contact, at, text)
        at = given["created_at"].replace(microsecond=0) if kind == "mms" else given["created_at"]
        parts = (own, contact, given["direction"], at.isoformat(), text)
        return secret_message_id(namespace, kind, *parts)


def _read_text(row: ElementTree.Element) -> tuple[str, str]:
    """Return the text of an MMS, and its subject; each is empty if there is none."""
    parts = [part.attrib for part in row.iter("part") if part.get("ct") == "text/plain"]
    # The order of the parts in a file changes, and the id depends on the text.
    parts.sort(key=lambda part: (_sequence(part), part.get("cl", ""), part.get("text", "")))
    texts = [part.get("text", "") for part in parts]
    subject = row.get("sub", "")
    text = "\n".join(text for text in texts if text not in ("", "null"))
    return text, "" if subject == "null" else subject


def _sequence(part: dict[str, str]) -> int:
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
