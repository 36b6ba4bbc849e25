"""An import: rows of an export are read, checked and stored in batches; the refused are copied out.

A row that cannot be read is refused, never dropped: it keeps the bytes it came in, so that it can
be copied out, mended and imported again.
"""

import contextlib
import pickle
import tempfile
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from typing import BinaryIO, NamedTuple

import orjson
from marshmallow import ValidationError

import inbox
from schemas.base import RequestSchema
from schemas.create_message import ImportMessageSchema
from schemas.record_consent import RecordConsentSchema

# Namespace (RFC 9562 section 5.5) of the ids that rows without one get; never to be changed.
CONTENT_NAMESPACE = uuid.UUID("0c8a3e5e-6d0a-4b0e-9d5f-3f1f8f6f2c01")

# To write a conversation's summary costs more than a message. So rows are sorted to conversations
# before any is stored, and each summary is written about once. A part of them must fit into memory.
PARTS = 100
# A batch is one transaction: the smaller, the shorter others wait for a conversation that is in it.
BATCH = 5_000
# As many batches are written at once, each on a connection of its own.
WRITERS = 2

BROKEN_FILE = (OSError, EOFError, zlib.error)


class UnreadableFile(Exception):
    """The file as a whole is not in the format that it was said to be."""


class Row(NamedTuple):
    """One row of an export: where it starts, its bytes, and what it says or why it is refused.

    `given` is a loaded schema; None with no complaint is a message that was never exchanged.
    """

    line: int
    raw: bytes
    given: dict | None
    complaint: str | None = None


class Item(NamedTuple):
    """A row that is ready to be stored: its conversation, where it is from, and itself as JSON."""

    conversation: str
    line: int
    raw: bytes
    json: bytes


class Target(NamedTuple):
    """Where rows go.

    `prepare` returns an Item's conversation and JSON, or raises ValidationError; `store` takes the
    JSON of many, stores them in one transaction, and returns a verdict for each.
    """

    prepare: Callable[[dict], tuple[str, bytes]]
    store: Callable[[list[bytes]], list[inbox.Verdict]]


class Export(NamedTuple):
    """A file's header as it is, empty where the format has none, and its rows, read on demand."""

    header: bytes
    rows: Iterator[Row]


def read_messages(file: BinaryIO) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies."""
    check = quick_check(ImportMessageSchema())

    def load(row: dict) -> dict:
        given = check(row)
        if "id" not in given:
            content = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
            given["id"] = uuid.uuid5(CONTENT_NAMESPACE, content)
        return given

    return Export(b"", read_ndjson(file, load))


def read_consent(file: BinaryIO) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies; captured_at defaults to now."""
    check = quick_check(RecordConsentSchema())
    now = datetime.now(UTC)
    return Export(b"", read_ndjson(file, lambda row: {"captured_at": now, **check(row)}))


def read_ndjson(file: Iterable[bytes], load: Callable[[dict], dict | None]) -> Iterator[Row]:
    """Yield a Row for each line that is not blank, with what `load` makes of its object."""
    line = 0
    try:
        for line, raw in enumerate(file, 1):
            text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            if not text.isspace():
                yield _ndjson_row(line, raw, text, load)
    except BROKEN_FILE as error:
        yield Row(line + 1, b"", None, f"cannot be read, nor what follows: {error}")


def _ndjson_row(line: int, raw: bytes, text: bytes, load: Callable) -> Row:
    try:
        row = orjson.loads(text)
        if not isinstance(row, dict):
            raise ValueError("is not a JSON object")
        return Row(line, raw, load(row))
    except (ValidationError, ValueError) as error:
        return Row(line, raw, None, complain(error))


def complain(error: Exception) -> str:
    """Return why a row is refused, in a sentence a field."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{field} {sentence}" for field, sentence in error.messages.items())
    if isinstance(error, orjson.JSONDecodeError):
        return "is not JSON"
    return str(error)


def quick_check(schema: RequestSchema) -> Callable[[dict], dict]:
    """Return a function that does what schema.check does, for a valid row in a fifth of its time.

    It calls the same fields; whatever they refuse is left to schema.check, which knows the reason.
    """
    fields = {
        field.data_key or name: (name, field.read, field.allow_none)
        for name, field in schema.fields.items()
    }
    required = {name for name, field in schema.fields.items() if field.required}
    hook = getattr(schema, "require_content", lambda given: None)

    def check(row: dict) -> dict:
        given = {}
        try:
            for key, value in row.items():
                name, read, allow_none = fields[key]
                given[name] = None if value is None and allow_none else read(value)
            hook(given)
            if required <= given.keys():
                return given
        except (
            ValidationError,
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ):
            pass
        return schema.check(row)

    return check


def into_messages(organization_id: uuid.UUID) -> Target:
    """Return the Target for an organization's messages."""
    numbers = inbox.phone_numbers(organization_id)

    def prepare(given: dict) -> tuple[str, bytes]:
        message = inbox.complete_message(given, numbers)
        return message["contact_number"] + message["phone_number"], orjson.dumps(message)

    def store(messages: list[bytes]) -> list[inbox.Verdict]:
        return inbox.create_messages(organization_id, [orjson.Fragment(json) for json in messages])

    return Target(prepare, store)


def into_consent(organization_id: uuid.UUID) -> Target:
    """Return the Target for an organization's consent events."""
    numbers = {id: number for number, id in inbox.phone_numbers(organization_id).items()}

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


def import_rows(
    export: Export,
    target: Target,
    refused: BinaryIO,
    on_refused: Callable[[Row | Item, str], None],
) -> Iterator[Counter]:
    """Read all rows of an export, then store them; yield the running tally after each batch.

    Refused rows go to `refused` as they came, below the header, and to `on_refused` with why.
    """
    tally = Counter()

    def refuse(row: Row | Item, reason: str) -> None:
        tally["refused"] += 1
        refused.write(row.raw if row.raw.endswith(b"\n") else row.raw + b"\n")
        on_refused(row, reason)

    def items() -> Iterator[Item]:
        for row in export.rows:
            if row.complaint:
                refuse(row, row.complaint)
            elif row.given is None:
                tally["skipped"] += 1
            else:
                try:
                    conversation, json = target.prepare(row.given)
                    yield Item(conversation, row.line, row.raw, json)
                except ValidationError as error:
                    refuse(row, complain(error))

    refused.write(export.header)
    for batch, verdicts in _store(_by_conversation(items()), target.store):
        for item, verdict in zip(batch, verdicts, strict=True):
            if verdict is inbox.Verdict.CONFLICT:
                refuse(item, verdict.value)
            else:
                tally[verdict.value] += 1
        yield tally
    yield tally


def _by_conversation(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items sorted to conversations, however many there are: through temporary files."""
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(PARTS)]
        for item in items:
            part = zlib.crc32(item.conversation.encode()) % PARTS
            pickle.dump(tuple(item), parts[part])
        for part in parts:
            part.seek(0)
            yield from sorted(_load(part))


def _load(file: BinaryIO) -> Iterator[Item]:
    with contextlib.suppress(EOFError):
        while True:
            yield Item(*pickle.load(file))  # noqa: S301


def _store(items: Iterator[Item], store: Callable) -> Iterator[tuple[list[Item], list]]:
    """Yield each batch and its verdicts, a few batches behind those that are written."""
    with ThreadPoolExecutor(WRITERS) as writers:
        running = deque()
        try:
            # In the order of the file again: of the same id, the first counts.
            while batch := sorted(islice(items, BATCH), key=attrgetter("line")):
                running.append((batch, writers.submit(store, [item.json for item in batch])))
                if len(running) > WRITERS:
                    yield _result(*running.popleft())
            while running:
                yield _result(*running.popleft())
        finally:
            writers.shutdown(cancel_futures=True)


def _result(batch: list[Item], verdicts: Future) -> tuple[list[Item], list]:
    return batch, verdicts.result()
