"""What each request reads does not grow with the inbox: pages of PostgreSQL's memory, counted.

Buffers are exact, so no clock is needed. All inboxes are in one database: their indexes are the
same, and so equally deep. Erasure and redaction repeat statements that are measured here; exports
and check-conversations read all that there is.
"""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest

from conversations.database import migrations
from conversations.database.connection import connect
from conversations.database.health import NOBODY
from tests.conftest import SERVER_URL, new_database
from tests.database.plans import explain_planned_once

AT = datetime(2026, 4, 28, 12, tzinfo=UTC)
LATER = datetime(2099, 1, 1, tzinfo=UTC)
MOST = 1.2
# What depends on where rows happen to be: 51 records, each looked up through three levels of an
# index; and a changed row whose page is full, which has a new place in each of seven indexes.
BY_CHANCE = {
    "list_consent": 51 * 4,
    "upsert_conversations": 7 * 4 + 10,
    "record_consent": 7 * 4 + 30,
}
# The inboxes differ from the first one in one thing each.
SMALL, NUMBERS, MESSAGES, CONSENTS = (uuid.UUID(int=number) for number in range(1, 5))
AXES = {NUMBERS: "1,000 phone numbers", MESSAGES: "20,000 messages", CONSENTS: "20,000 consents"}
ID = "lpad(to_hex({}), 32, '0')::uuid"
COUNTED = "coalesce(phone_number_id, '00000000-0000-0000-0000-000000000000')"

# 100 conversations with contacts +1777…, the first of them with 200 messages or 20,000, and 50
# consent records without messages or 20,000.
INBOXES = f"""
INSERT INTO organizations (id, name) SELECT {ID.format("o")}, 'Test' FROM generate_series(1, 4) o;

INSERT INTO phone_numbers (organization_id, id, number)
SELECT {ID.format("o")}, {ID.format("n")}, '+1555' || 1000000 + n
FROM generate_series(1, 4) AS o, generate_series(1, CASE o WHEN 2 THEN 1000 ELSE 1 END) AS n;

INSERT INTO messages (
    organization_id, id, conversation_id, direction, channel, body, media_urls, has_text, created_at
)
SELECT
    {ID.format("o")}, md5(o || ' ' || c || ' ' || m)::uuid,
    conversation_id({ID.format(1)}, '+1777' || 1000000 + c),
    'inbound', 'sms', 'hello', '{{}}', TRUE,
    timestamptz '2026-04-28T12:00:00Z' - c * interval '1 day' - m * interval '1 second'
FROM
    generate_series(1, 4) AS o, generate_series(1, 100) AS c,
    generate_series(1, CASE WHEN c > 1 THEN 2 WHEN o = 3 THEN 20000 ELSE 200 END) AS m;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id, last_message_direction, last_message_preview, message_count
)
SELECT
    {ID.format("o")}, conversation_id({ID.format(1)}, '+1777' || 1000000 + c), {ID.format(1)},
    '+15551000001', '+1777' || 1000000 + c,
    timestamptz '2026-04-28T12:00:00Z' - c * interval '1 day' - interval '1 second',
    md5(o || ' ' || c || ' 1')::uuid, 'inbound', 'hello',
    CASE WHEN c > 1 THEN 2 WHEN o = 3 THEN 20000 ELSE 200 END
FROM generate_series(1, 4) AS o, generate_series(1, 100) AS c;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    opted_in_at, consent_updated_at
)
SELECT
    {ID.format("o")}, conversation_id({ID.format(1)}, '+1888' || 1000000 + c), {ID.format(1)},
    '+15551000001', '+1888' || 1000000 + c, now(), now() - c * interval '1 second'
FROM generate_series(1, 4) AS o, generate_series(1, CASE o WHEN 4 THEN 20000 ELSE 4000 END) AS c;

INSERT INTO conversation_counts
SELECT
    organization_id, {COUNTED}, shard, 0, count(*) FILTER (WHERE message_count > 0),
    (phone_number_id IS NULL)::integer, count(*) FILTER (WHERE message_count = 0), 0
FROM conversations, generate_series(0, 7) AS shard
WHERE abs(hashtext(contact_number)) % 8 = shard
GROUP BY GROUPING SETS ((organization_id, shard), (organization_id, shard, phone_number_id));

INSERT INTO conversation_counts
SELECT organization_id, id, shard, 0, 0, 0, 0, 0
FROM phone_numbers, generate_series(0, 7) AS shard
ON CONFLICT DO NOTHING
"""


# Organizations, each with a key, a number, and a conversation of two messages.
MORE_ORGANIZATIONS = f"""
INSERT INTO organizations (id, name, message_retention_days, last_redaction_at)
SELECT {ID.format("o")}, 'Test', 30, CASE WHEN mod(o, 10) > 0 THEN now() END
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o;

INSERT INTO api_keys (organization_id, key_hash, prefix, label, scopes)
SELECT {ID.format("o")}, sha256(o::text::bytea), 'am_live_test', '', '{{conversations:read}}'
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o;

INSERT INTO phone_numbers (organization_id, id, number)
SELECT {ID.format("o")}, {ID.format(1)}, '+15551000001'
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o;

INSERT INTO conversation_counts (
    organization_id, counted_id, shard, opted_in_count, other_count, change_count
)
SELECT {ID.format("o")}, {ID.format(0)}, 0, 0, 1, 1
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o;

INSERT INTO messages (
    organization_id, id, conversation_id, direction, channel, body, media_urls, has_text, created_at
)
SELECT
    {ID.format("o")}, md5(o || ' ' || m)::uuid, conversation_id({ID.format(1)}, '+17771000001'),
    'inbound', 'sms', 'hello', '{{}}', TRUE,
    timestamptz '2026-04-28T12:00:00Z' - m * interval '1 second'
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o, generate_series(1, 2) AS m;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number, opted_in_at,
    consent_updated_at, last_message_at, last_message_id, last_message_direction,
    last_message_preview, message_count
)
SELECT
    {ID.format("o")}, conversation_id({ID.format(1)}, '+17771000001'), {ID.format(1)},
    '+15551000001', '+17771000001', now(), now(),
    timestamptz '2026-04-28T12:00:00Z' - interval '1 second', md5(o || ' 1')::uuid, 'inbound',
    'hello', 2
FROM generate_series(%(first)s::integer, %(last)s::integer) AS o
"""


def hashed(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest())


def requests(number: int) -> Iterator[tuple[str, dict]]:
    """The statements of each request to the inbox with this number, and their parameters."""
    conversation = {
        "phone_number_id": uuid.UUID(int=1),
        "phone_number": "+15551000001",
        "contact_number": "+17771000001",
    }
    new = conversation | {"id": uuid.uuid4(), "direction": "inbound", "body": "hi", "verdicts": []}
    known = hashed(f"{number} 1 2")
    event = conversation | {"opted_in": True, "captured_at": AT}
    nothing = dict.fromkeys(("cursor_at", "cursor_id"))
    filters = dict.fromkeys(("phone_number_id", "contact_number", "since", "opted_in"))
    count = {"shard": 1, "change_step": 1}
    yield "get_api_key", {"key_hash": hashlib.sha256(b"1000").digest()}
    yield "touch_api_key", {"id": uuid.UUID(int=1)}
    yield "get_id_namespace", {}
    yield "get_health", {}
    yield "get_status", {"estimated_from": 1000}
    yield "check_schema", {"organization_id": NOBODY}
    own = {"phone_number_id": uuid.UUID(int=1)}
    for given in ({}, own, {"contact_number": "+17771000001"}, {"since": LATER}):
        for name in ("list_conversations", "list_consent"):
            yield name, nothing | filters | given | {"limit": 50}
    yield "list_phone_numbers", nothing | {"limit": 1}
    yield "list_conversations", nothing | filters | {"opted_in": False, "limit": 50}
    yield "get_change_count", {}
    yield "find_phone_numbers", {"numbers": ["+15551000001"], "ids": []}
    yield "find_phone_numbers", {"numbers": [], "ids": [uuid.UUID(int=1)]}
    yield "get_messages", {"ids": [known]}
    for message in (new, new | {"contact_number": "+19991000001"}, new | {"id": known}):
        given = {"messages": orjson.dumps([message]).decode()}
        yield "record_messages", given | count
        yield "compare_messages", given | {"places": [1]}
    yield "fill_in_message", {"message": orjson.dumps(new | {"id": known}).decode()} | count
    yield "upsert_conversations", {"events": orjson.dumps([event]).decode()}
    yield "record_consent", {"events": orjson.dumps([event]).decode()} | count
    of_conversation = {"conversation_id": None}
    for order in ("asc", "desc"):
        yield "list_messages", nothing | of_conversation | {"order": order, "limit": 50}
    yield "find_conversations", {"contact_number": "+17771000001"}
    for start_at in (None, AT - timedelta(days=1, seconds=100)):
        erased = of_conversation | {"start_at": start_at, "limit": 20}
        yield "lock_conversation_messages", erased
    yield "lock_expired_messages", {"readable_from": AT, "start_at": None, "limit": 20}
    yield "redact_messages", {"ids": [known], "redacted_at": None} | count


@pytest.fixture(scope="module")
def conn() -> Iterator[psycopg.Connection]:
    """A connection to a database of its own that holds the inboxes."""
    url = new_database(SERVER_URL)
    with connect(url) as conn:
        migrations.migrate(conn)
        with conn.transaction():
            conn.execute("SET LOCAL session_replication_role = replica")
            for statement in INBOXES.split(";\n"):
                conn.execute(statement)
        add_organizations(conn, 1000, 3000)
        yield conn
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(f"DROP DATABASE {psycopg.conninfo.conninfo_to_dict(url)['dbname']}")


def add_organizations(conn, first: int, last: int) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        for statement in MORE_ORGANIZATIONS.split(";\n"):
            conn.execute(statement, {"first": first, "last": last})
    conn.execute("VACUUM ANALYZE")


def buffers(conn, name: str, params: dict) -> int:
    """How many pages a statement reads."""
    with conn.transaction(force_rollback=True):
        plan = explain_planned_once(conn, name, "ANALYZE, BUFFERS, FORMAT JSON", **params)
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def read_by(conn, number: int, inbox: uuid.UUID) -> dict[str, int]:
    """How many pages each statement of each request to an inbox reads."""
    found = conn.execute(
        f"SELECT conversation_id({ID.format(1)}, '+17771000001') AS conversation_id"
    ).fetchone()
    read = {}
    for place, (name, params) in enumerate(requests(number)):
        given = {"organization_id": inbox} | params
        given |= found if "conversation_id" in given else {}
        read[f"{place} {name}"] = buffers(conn, name, given)
    return read


def growing(small: dict[str, int], large: dict[str, int]) -> dict[str, tuple[int, int]]:
    """The requests that read more, with what they read of both."""
    return {
        request: (small[request], pages)
        for request, pages in large.items()
        if pages > max(MOST * small[request], BY_CHANCE.get(request.split()[1], 0))
    }


def test_no_request_reads_more_pages_of_a_larger_inbox(conn):
    small = read_by(conn, 1, SMALL)
    found = {
        axis: growing(small, read_by(conn, number, inbox))
        for number, (inbox, axis) in enumerate(AXES.items(), 2)
    }
    assert found == {axis: {} for axis in AXES.values()}


def test_no_request_reads_more_pages_beside_more_organizations(conn):
    # What is read of an index depends on what writes that were undone have left in it.
    read_by(conn, 1, SMALL)
    add_organizations(conn, 3001, 3001)
    few = read_by(conn, 1, SMALL)
    add_organizations(conn, 3002, 8000)
    assert growing(few, read_by(conn, 1, SMALL)) == {}
