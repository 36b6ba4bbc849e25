"""An import: the rows of an export are sorted to conversations and stored in batches."""

import contextlib
import pickle
import tempfile
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import chain, islice, zip_longest
from typing import BinaryIO, NamedTuple

import orjson
from marshmallow import ValidationError

import inbox
import pool
from ndjson import Export, Row, complain

# A batch is one transaction: the smaller, the shorter others wait for a conversation that is in it.
BATCH = 5_000
# A conversation's summary costs more to write than a message: so many rows are sorted to their
# conversations before they are stored, and each summary is written about once.
WINDOW = 200 * BATCH
# They are sorted part by part, and of a part no more at once than fits into memory.
PARTS = 100
RUN = 10 * BATCH
# Each has some of the parts and a connection: what a conversation gets, it gets in order.
WRITERS = 2


class Item(NamedTuple):
    """A row that is ready to be stored: its conversation, where it is from, and itself as JSON."""

    conversation: str
    line: int
    raw: bytes
    json: bytes


class Target(NamedTuple):
    """Where rows go.

    `prepare` returns an Item's conversation and JSON, or raises ValidationError; `store` takes the
    JSON of many, stores them in one transaction, and returns a verdict for each, or raises
    pool.Unavailable.
    """

    prepare: Callable[[dict], tuple[str, bytes]]
    store: Callable[[list[bytes]], list[inbox.Verdict]]


def into_messages(organization_id: uuid.UUID) -> Target:
    """Return the Target for an organization's messages."""
    numbers = inbox.list_phone_numbers(organization_id)

    def prepare(given: dict) -> tuple[str, bytes]:
        message = inbox.complete_message(given, numbers)
        return message["contact_number"] + message["phone_number"], orjson.dumps(message)

    def store(messages: list[bytes]) -> list[inbox.Verdict]:
        return inbox.create_messages(organization_id, [orjson.Fragment(json) for json in messages])

    return Target(prepare, store)


def into_consent(organization_id: uuid.UUID) -> Target:
    """Return the Target for an organization's consent events."""
    numbers = {id: number for number, id in inbox.list_phone_numbers(organization_id).items()}

    def prepare(given: dict) -> tuple[str, bytes]:
        if given["phone_number_id"] not in numbers:
            raise ValidationError({"phone_number_id": inbox.NOT_YOURS})
        number = numbers[given["phone_number_id"]]
        return given["contact_number"] + number, orjson.dumps({**given, "phone_number": number})

    def store(events: list[bytes]) -> list[inbox.Verdict]:
        _, news = inbox.record_consent(organization_id, [_event(json) for json in events])
        return [inbox.Verdict.CREATED if new else inbox.Verdict.KNOWN for new in news]

    return Target(prepare, store)


def _event(json: bytes) -> dict:
    event = orjson.loads(json)
    id, at = uuid.UUID(event["phone_number_id"]), datetime.fromisoformat(event["captured_at"])
    return event | {"phone_number_id": id, "captured_at": at}


class Import:
    """A run: its tally, and where refused rows go, as they came and with the reason."""

    def __init__(self, target: Target, refused: BinaryIO, on_refused: Callable[[int, str], None]):
        self.tally = Counter()
        self._target = target
        self._refused = refused
        self._on_refused = on_refused

    def run(self, export: Export) -> Iterator[Counter]:
        """Store an export's rows; yield the tally after each batch, and at the end.

        Raises pool.Unavailable, and OSError if there is no room for the temporary files.
        """
        self._refused.write(export.header)
        items = self._items(export.rows)
        while window := list(islice(items, BATCH)):
            with contextlib.ExitStack() as stack:
                lanes = _lanes(window, items, stack)
                for batch, verdicts in _store(lanes, self._target.store):
                    self._count(batch, verdicts)
                    yield self.tally
        yield self.tally

    def _items(self, rows: Iterator[Row]) -> Iterator[Item]:
        for row in rows:
            if row.complaint:
                self._refuse(row, row.complaint)
            elif row.given is None:
                self.tally["skipped"] += 1
            else:
                try:
                    conversation, json = self._target.prepare(row.given)
                except ValidationError as error:
                    self._refuse(row, complain(error))
                else:
                    yield Item(conversation, row.line, row.raw, json)

    def _count(self, batch: list[Item], verdicts: list[inbox.Verdict]) -> None:
        for item, verdict in zip(batch, verdicts, strict=True):
            if verdict is inbox.Verdict.CONFLICT:
                self._refuse(item, verdict.value)
            else:
                self.tally[verdict.value] += 1

    def _refuse(self, row: Row | Item, reason: str) -> None:
        self.tally["refused"] += 1
        self._refused.write(row.raw if row.raw.endswith(b"\n") else row.raw + b"\n")
        self._on_refused(row.line, reason)


def _lanes(
    batch: list[Item], items: Iterator[Item], stack: contextlib.ExitStack
) -> list[Iterator[Item]]:
    """Return what each writer stores: a last batch as it is, or a window sorted to conversations.

    It is sorted through temporary files, which end with the stack.
    """
    if len(batch) < BATCH:
        return [iter(batch)]
    parts = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(PARTS)]
    for item in islice(chain(batch, items), WINDOW):
        part = zlib.crc32(item.conversation.encode()) % PARTS
        pickle.dump(tuple(item), parts[part])
    return [_sorted(parts[number::WRITERS]) for number in range(WRITERS)]


def _sorted(parts: Iterable[BinaryIO]) -> Iterator[Item]:
    for part in parts:
        part.seek(0)
        items = _load(part)
        while run := sorted(islice(items, RUN)):
            yield from run


def _load(file: BinaryIO) -> Iterator[Item]:
    with contextlib.suppress(EOFError):
        while True:
            yield Item(*pickle.load(file))  # noqa: S301


def _store(lanes: list[Iterator[Item]], store: Callable) -> Iterator[tuple[list[Item], list]]:
    """Yield the lanes' batches with their verdicts, while the next ones are read and stored."""
    writers = [ThreadPoolExecutor(1) for _ in lanes]
    running = deque()
    try:
        for batches in zip_longest(*map(_batches, lanes)):
            for writer, batch in zip(writers, batches, strict=True):
                if batch:
                    running.append((batch, writer.submit(store, [item.json for item in batch])))
            while len(running) > len(lanes):
                yield _result(*running.popleft())
        while running:
            yield _result(*running.popleft())
    finally:
        for writer in writers:
            writer.shutdown(cancel_futures=True)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, BATCH)):
        yield batch


def _result(batch: list[Item], verdicts: Future) -> tuple[list[Item], list]:
    return batch, verdicts.result()


def refresh_statistics() -> None:
    """Tell PostgreSQL what an import left: plans made over smaller tables are made anew."""
    with pool.connection() as conn:
        conn.execute("ANALYZE conversations, messages, conversation_counts")
