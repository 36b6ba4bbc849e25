"""An import: the rows of a file are checked, sorted by PostgreSQL, and recorded in batches."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol
from uuid import UUID
from zlib import crc32

import orjson
from marshmallow import ValidationError

from conversations.database import queries, staging
from conversations.database.staging import Content, StagedRow
from conversations.files.rows import Export, explain
from conversations.inbox import consent, organizations
from conversations.inbox.message_ids import name_based_id
from conversations.inbox.messages import Outcome, complete_message, record_messages

# A batch is one transaction. The smaller it is, the shorter others wait for a conversation in it.
BATCH_ROWS = 5_000


class MessageTarget:
    """The messages of an organization."""

    writers = 2

    def __init__(self, organization_id: UUID):
        self.organization_id = organization_id
        self._id_namespace = organizations.get_id_namespace(organization_id)
        self._numbers = organizations.list_phone_numbers(organization_id)

    def prepare(self, given: dict[str, Any]) -> Content:
        """Return what is recorded of checked ImportMessageSchema fields. Raises ValidationError.

        A message without an id gets a UUIDv5 (RFC 9562 section 5.5) of its content, so that the
        file can be imported again.
        """
        if "id" not in given:
            content = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
            given["id"] = name_based_id(self._id_namespace, content)
        message = complete_message(given, self._numbers)
        return _to_stage(message["id"], message)

    def record(self, contents: list[bytes]) -> list[Outcome]:
        """Record a batch in one transaction. Raises pool.Unavailable."""
        return record_messages(self.organization_id, [orjson.Fragment(text) for text in contents])


class ConsentTarget:
    """The consent of an organization's contacts."""

    # Whether an event is news depends on the events before it: one connection records them all.
    writers = 1

    def __init__(self, organization_id: UUID):
        numbers = organizations.list_phone_numbers(organization_id)
        self.organization_id = organization_id
        self._numbers = {id: number for number, id in numbers.items()}
        # One instant for all events without one: so an opt-out wins, in whatever batch it is.
        self._now = queries.fetch_row("get_now")["now"]

    def prepare(self, given: dict[str, Any]) -> Content:
        """Return what is recorded of checked RecordConsentSchema fields. Raises ValidationError."""
        number = self._numbers.get(given["phone_number_id"])
        if number is None:
            raise ValidationError({"phone_number_id": organizations.NOT_YOURS})
        return _to_stage(None, {"captured_at": self._now, **given, "phone_number": number})

    def record(self, contents: list[bytes]) -> list[Outcome]:
        """Record a batch in one transaction. Raises pool.Unavailable."""
        events = [orjson.Fragment(text) for text in contents]
        _, news = consent.record_consent(self.organization_id, events)
        return [Outcome.CREATED if new else Outcome.KNOWN for new in news]


Target = MessageTarget | ConsentTarget
# One connection more than those that write holds the staged rows.
CONNECTIONS = MessageTarget.writers + 1


def _to_stage(id: UUID | None, fields: Mapping[str, Any]) -> Content:
    conversation = crc32(f"{fields['contact_number']} {fields['phone_number']}".encode())
    return Content(id, conversation, orjson.dumps(fields))


class Listener(Protocol):
    """A listener of an import, which is told of each row and batch."""

    def read(self) -> None:
        """Called for each row that was read."""

    def rejected(self, line: int, reason: str) -> None:
        """Called for each rejected row."""

    def recorded(self, rows: int, of_rows: int) -> None:
        """Called for each batch, with the number of its rows and of all that are to be recorded."""


@dataclass
class Import:
    """One run of an import.

    `rejected_file` receives the header of the file and each rejected row as it came, so that the
    rows can be corrected and imported again. `tally` counts rows by outcome. `is_cut_off`: the
    file ends in the middle.
    """

    target: Target
    rejected_file: BinaryIO
    listener: Listener
    tally: Counter[str] = field(default_factory=Counter)
    is_cut_off: bool = False
    _last_rejected: bytes = b""

    def check(self, export: Export) -> None:
        """Read and check the rows and record none. What is there already counts as imported."""
        for _ in self._prepared(export):
            self.tally["imported"] += 1

    def run(self, export: Export) -> None:
        """Record the rows of an export. Raises pool.Unavailable."""
        self.rejected_file.write(export.header)
        with staging.staging() as connection, ThreadPoolExecutor(self.target.writers) as writers:
            count = staging.fill(connection, self._prepared(export))
            running: deque[tuple[list[StagedRow], Future[list[Outcome]]]] = deque()
            for rows in staging.batches(connection, BATCH_ROWS):
                # A repeated id must not be recorded before the first row that has it.
                most_running = 0 if rows[-1].is_repeated else self.target.writers
                while len(running) > most_running:
                    self._finish(*running.popleft(), count)
                contents = [row.content for row in rows]
                running.append((rows, writers.submit(self.target.record, contents)))
            while running:
                self._finish(*running.popleft(), count)
        self.rejected_file.write(export.footer)

    def _prepared(self, export: Export) -> Iterator[tuple[int, bytes, Content]]:
        for line, raw, given, complaint in export.rows:
            if raw is None:
                self.is_cut_off = True
                self.listener.rejected(line, complaint or "")
                continue
            self.listener.read()
            if complaint:
                self._reject(line, raw, complaint)
            elif given is None:
                self.tally["skipped"] += 1
            else:
                try:
                    yield line, raw, self.target.prepare(given)
                except ValidationError as error:
                    self._reject(line, raw, explain(error, export.names))

    def _finish(self, rows: list[StagedRow], outcomes: Future[list[Outcome]], of_rows: int) -> None:
        """Count the rows of a batch once they are recorded. Raises pool.Unavailable."""
        for row, outcome in zip(rows, outcomes.result(), strict=True):
            if outcome is Outcome.CONFLICT:
                self._reject(row.line, row.raw, outcome.value)
            else:
                # What was filled in was there already.
                self.tally["imported" if outcome is Outcome.CREATED else "already there"] += 1
        self.listener.recorded(len(rows), of_rows)

    def _reject(self, line: int, raw: bytes, reason: str) -> None:
        self.tally["refused"] += 1
        self.listener.rejected(line, reason)
        # A message to a group is one row of the file, and several of the import.
        if raw is not self._last_rejected:
            self._last_rejected = raw
            self.rejected_file.write(raw if raw.endswith(b"\n") else raw + b"\n")
            self.rejected_file.flush()
