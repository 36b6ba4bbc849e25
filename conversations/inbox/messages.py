"""Messages: recorded in one transaction with the summaries, counts and consent they change.

HTTP, imports and the demo all record through here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NotRequired, TypedDict, cast
from uuid import UUID

import orjson
from marshmallow import ValidationError
from orjson import Fragment

from conversations.database import pool, queries
from conversations.database.connection import Connection
from conversations.inbox.consent import record_consent_events
from conversations.inbox.keywords import opted_in_by
from conversations.inbox.message_ids import new_message_id
from conversations.inbox.organizations import NOT_YOURS


class Message(TypedDict):
    """A message to record. What its source did not give is absent, not None.

    `phone_number_id`, `phone_number` and `contact_number` name the conversation. `verdicts` say
    that the message opts in (True) or out (False): what its keyword does and what the carrier says.
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
    verdicts: NotRequired[list[bool]]
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

    `opted_in` is what the carrier says that the message does, and `keyword_text` the text that may
    be a keyword where that is not the body. `numbers` are the organization's phone numbers, by
    number. Raises ValidationError if the end of the message that must be one of them is not.
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
    text = message.pop("keyword_text", given.get("body")) or ""
    verdicts = {message.pop("opted_in", None)}
    if inbound:
        if given.get("is_keyword", True):
            verdicts.add(opted_in_by(text))
        if verdicts := verdicts - {None}:
            message["verdicts"] = list(verdicts)
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
    params = {"organization_id": organization_id, "messages": orjson.dumps(messages).decode()}
    rows = queries.fetch_all("record_messages", connection, **params)
    if events := [row for row in rows if row["opted_in"] is not None]:
        record_consent_events(connection, organization_id, events)
    outcomes = [Outcome.CREATED] * len(messages)
    if places := [row["place"] for row in rows if row["opted_in"] is None]:
        for row in queries.fetch_all("compare_messages", connection, **params, places=places):
            outcomes[row["place"] - 1] = Outcome[row["outcome"]]
    return outcomes


def _fill_in(organization_id: UUID, message: Message | Fragment) -> None:
    """Give a stored message the text and the media that it lacks, and record the consent in them.

    Each message in a transaction of its own, which locks the message before its conversation, as
    redaction does: two that lock several of both would wait for each other in a circle.
    """
    with pool.transaction() as connection:
        params = {"organization_id": organization_id, "message": orjson.dumps(message).decode()}
        if events := queries.fetch_all("fill_in_message", connection, **params):
            record_consent_events(connection, organization_id, events)


def get_messages(
    organization_id: UUID, ids: Iterable[UUID], connection: Connection | None = None
) -> dict[UUID, StoredMessage]:
    """Return stored messages by id. Raises pool.Unavailable."""
    params = {"organization_id": organization_id, "ids": list(ids)}
    rows = queries.fetch_all("get_messages", connection, **params)
    return {row["id"]: cast(StoredMessage, row) for row in rows}
