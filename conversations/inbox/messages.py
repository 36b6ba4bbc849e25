"""Messages: recorded in one transaction with the summaries, counts and consent they change.

HTTP, imports and the demo all record through here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NotRequired, TypedDict, cast
from uuid import UUID

import orjson
from marshmallow import ValidationError
from orjson import Fragment

from conversations.database import pool, queries
from conversations.database.connection import Connection
from conversations.inbox.consent import ConsentEvent, record_consent_events
from conversations.inbox.keywords import opted_in_by
from conversations.inbox.message_ids import new_message_id
from conversations.inbox.organizations import NOT_YOURS

ENDS = ("from_number", "to_number")


class Message(TypedDict):
    """A message to record. What its source did not give is absent, not None.

    `phone_number_id`, `phone_number` and `contact_number` name the conversation. `opted_in` is
    there if the text is a keyword, or if the carrier says that it opts in or out.
    `has_carrier_id`: a hook and an import may both report this message, each with less than all.
    `redacted_at` and `had_text` are there if an export has the message without its content.
    """

    id: UUID
    direction: str
    from_number: str
    to_number: str
    phone_number_id: UUID
    phone_number: str
    contact_number: str
    body: NotRequired[str | None]
    media_urls: NotRequired[list[str]]
    channel: NotRequired[str]
    segment_count: NotRequired[int]
    created_at: NotRequired[datetime]
    opted_in: NotRequired[bool]
    has_carrier_id: NotRequired[bool]
    redacted_at: NotRequired[datetime | None]
    had_text: NotRequired[bool]


class StoredMessage(TypedDict):
    """A message as it is stored: a row of list_messages."""

    id: UUID
    direction: str
    phone_number_id: UUID
    from_number: str
    to_number: str
    body: str | None
    media_urls: list[str]
    channel: str
    segment_count: int | None
    created_at: datetime
    redacted_at: datetime | None


class Outcome(Enum):
    """What became of a message: stored now, stored before, or its id belongs to another one.

    FILLED: stored before without the text or the media that were added to it now.
    """

    CREATED = "imported"
    KNOWN = "already there"
    FILLED = "filled in"
    CONFLICT = "same id, different content"


def complete_message(given: Mapping[str, Any], numbers: Mapping[str, UUID]) -> Message:
    """Return the message of checked CreateMessageSchema fields.

    `numbers` are the organization's phone numbers, by number. Raises ValidationError if the end of
    the message that must be one of them is not.
    """
    inbound = given["direction"] == "inbound"
    own, contact = ("to", "from") if inbound else ("from", "to")
    number = given[f"{own}_number"]
    if number not in numbers:
        raise ValidationError({own: NOT_YOURS})
    message = {
        "id": given.get("id") or new_message_id(),
        "phone_number_id": numbers[number],
        "phone_number": number,
        "contact_number": given[f"{contact}_number"],
        **given,
    }
    if inbound:
        keyword = opted_in_by(given.get("body") or "") if given.get("is_keyword", True) else None
        verdicts = {keyword, given.get("opted_in")} - {None}
        if verdicts:
            message["opted_in"] = all(verdicts)
    return cast(Message, message)


def record_message(organization_id: UUID, message: Message) -> tuple[Outcome, StoredMessage]:
    """Record one message and return what became of it and what is stored under its id.

    Raises pool.Unavailable.
    """
    with pool.transaction() as connection:
        (outcome,) = _record(connection, organization_id, [message])
        # Read before the commit: an error after it would be the answer to a message that is stored.
        stored = get_messages(organization_id, [message["id"]], connection)
    return outcome, stored[message["id"]]


def record_messages(organization_id: UUID, messages: Sequence[Message | Fragment]) -> list[Outcome]:
    """Record messages, given as they are or as JSON, and return what became of each, in order.

    Of messages with the same id the first counts. Raises pool.Unavailable.
    """
    with pool.transaction() as connection:
        outcomes = _record(connection, organization_id, messages)
    for message, outcome in zip(messages, outcomes, strict=True):
        if outcome is Outcome.FILLED:
            _fill_in(organization_id, message)
    return outcomes


def _record(
    connection: Connection, organization_id: UUID, messages: Sequence[Message | Fragment]
) -> list[Outcome]:
    text = orjson.dumps(messages).decode()
    recorded = queries.fetch_row(
        "record_messages",
        connection,
        organization_id=organization_id,
        messages=text,
        now=datetime.now(UTC),
        **queries.count_params(connection),
    )
    if recorded["consent_events"]:
        record_consent_events(connection, organization_id, recorded["consent_events"])
    if recorded["created_count"] == len(messages):
        return [Outcome.CREATED] * len(messages)
    return _outcomes(
        connection, organization_id, orjson.loads(text), set(map(str, recorded["known_ids"]))
    )


def _outcomes(
    connection: Connection,
    organization_id: UUID,
    messages: list[dict[str, Any]],
    known_ids: set[str],
) -> list[Outcome]:
    ids = {UUID(message["id"]) for message in messages}
    stored = get_messages(organization_id, ids, connection)
    outcomes = []
    for message in messages:
        id = message["id"]
        known = id in known_ids
        outcomes.append(_compare(message, stored[UUID(id)]) if known else Outcome.CREATED)
        known_ids.add(id)
    return outcomes


def _compare(message: dict[str, Any], stored_message: StoredMessage) -> Outcome:
    """Compare what a message gives with what is stored; removed content cannot differ."""
    if "has_carrier_id" in message:
        return _compare_reports(message, stored_message)
    stored = orjson.loads(orjson.dumps(stored_message))
    is_redacted = stored["redacted_at"] or message.get("redacted_at")
    removed = {"body", "media_urls"} if is_redacted else set()
    names = message.keys() & stored.keys() - removed - {"redacted_at"}
    is_same = all(message[name] == stored[name] for name in names)
    return Outcome.KNOWN if is_same else Outcome.CONFLICT


def _compare_reports(message: dict[str, Any], stored: StoredMessage) -> Outcome:
    """Compare two reports of a carrier's message by their direction, numbers and text alone.

    They differ in instants, segments and media. A text that one lacks is no difference.
    """
    text, stored_text = message.get("body"), stored["body"]
    is_same = all(message[name] == stored[name] for name in ("direction", *ENDS))  # type: ignore[literal-required]
    if not is_same or (text and stored_text and text != stored_text):
        return Outcome.CONFLICT
    brings_text = text and not stored_text
    brings_media = message.get("media_urls") and not stored["media_urls"]
    says_consent = "opted_in" in message and opted_in_by(stored_text or "") is None
    is_news = brings_text or brings_media or says_consent
    return Outcome.FILLED if is_news and not stored["redacted_at"] else Outcome.KNOWN


def _fill_in(organization_id: UUID, message: Message | Fragment) -> None:
    """Give a stored message the text and the media that it lacks, and record the consent in them.

    Each in a transaction of its own, which locks the message before its conversation, as redaction
    does: two that lock several of both would wait for each other in a circle.
    """
    given = orjson.loads(orjson.dumps(message))
    with pool.transaction() as connection:
        filled = queries.fetch_one(
            "fill_in_message",
            connection,
            organization_id=organization_id,
            id=given["id"],
            phone_number_id=given["phone_number_id"],
            body=given.get("body"),
            media_urls=given.get("media_urls") or [],
            **queries.count_params(connection),
        )
        if filled and "opted_in" in given:
            event = {**given, "captured_at": filled["created_at"]}
            record_consent_events(connection, organization_id, [cast(ConsentEvent, event)])


def get_messages(
    organization_id: UUID, ids: Iterable[UUID], connection: Connection | None = None
) -> dict[UUID, StoredMessage]:
    """Return stored messages by id. Raises pool.Unavailable."""
    rows = queries.fetch_all(
        "get_messages", connection, organization_id=organization_id, ids=list(ids)
    )
    return {row["id"]: cast(StoredMessage, row) for row in rows}
