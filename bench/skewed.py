"""Lists of the few in a large inbox, with and without what the planner is told of the filters.

One number has all conversations, nobody has opted in, and a second number is new.
"""

import time
import uuid
from datetime import UTC, datetime

import psycopg

from bench import database
from conversations.database import queries
from conversations.database.connection import Connection, connect

ORGANIZATION_ID = database.ORGANIZATION_ID
OLD_NUMBER, NEW_NUMBER = uuid.UUID(int=1), uuid.UUID(int=2)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
RUNS = 5

GENERATE = """
INSERT INTO organizations (id, name) VALUES (%(organization_id)s, 'Skewed');

INSERT INTO phone_numbers (organization_id, id, number)
VALUES
    (%(organization_id)s, %(old_number)s, '+15551110001'),
    (%(organization_id)s, %(new_number)s, '+15551110002');

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id, last_message_direction, last_message_preview, message_count
)
SELECT
    %(organization_id)s,
    conversation_id(%(old_number)s, '+1666' || lpad(n::text, 7, '0')),
    %(old_number)s, '+15551110001', '+1666' || lpad(n::text, 7, '0'),
    timestamptz '2026-04-28 12:00:00Z' - n * interval '1 minute', md5(n::text)::uuid,
    'inbound', 'hello', 1
FROM generate_series(1, %(conversations)s::integer) AS n;

VACUUM ANALYZE;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id, last_message_direction, last_message_preview, message_count
)
VALUES (
    %(organization_id)s, conversation_id(%(new_number)s, '+16660000001'),
    %(new_number)s, '+15551110002', '+16660000001',
    '2026-04-28 13:00:00Z', gen_random_uuid(), 'inbound', 'hello', 1
)
"""
FORGET = """
ALTER TABLE conversations
ALTER COLUMN opted_in RESET (n_distinct), ALTER COLUMN phone_number_id RESET (n_distinct);

ANALYZE conversations
"""
LISTS = {
    "opted_in=true": {"opted_in": True},
    "opted_in=true since=…": {"opted_in": True, "since": LONG_AGO},
    "phone_number_id=<new>": {"phone_number_id": NEW_NUMBER},
    "phone_number_id=<new> opted_in=false": {"phone_number_id": NEW_NUMBER, "opted_in": False},
    "phone_number_id=<old>": {"phone_number_id": OLD_NUMBER},
    "no filter": {},
}


def times(server_url: str, conversations: int) -> dict[str, tuple[float, float]]:
    """Return the milliseconds of each list's statement: without what the planner is told, with."""
    url = database.new_database(server_url, "bench_skewed")
    _execute(url, GENERATE, conversations)
    informed = _time_lists(url)
    _execute(url, FORGET, conversations)
    uninformed = _time_lists(url)
    return {name: (uninformed[name], informed[name]) for name in LISTS}


def _execute(url: str, script: str, conversations: int) -> None:
    params = {
        "organization_id": ORGANIZATION_ID,
        "old_number": OLD_NUMBER,
        "new_number": NEW_NUMBER,
        "conversations": conversations,
    }
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor, autocommit=True) as conn:
        for statement in script.split(";\n"):
            conn.execute(statement, params)


def _time_lists(url: str) -> dict[str, float]:
    # On a connection like those of requests, which plan a statement once.
    with connect(url, for_requests=True) as conn:
        conn.response_timeout = None
        conn.execute("SET statement_timeout = 0", prepare=False)
        return {name: _time(conn, given) for name, given in LISTS.items()}


def _time(conn: Connection, given: dict) -> float:
    nothing = ("cursor_at", "cursor_id", "phone_number_id", "contact_number", "since", "opted_in")
    params = {"organization_id": ORGANIZATION_ID, "limit": 50, **dict.fromkeys(nothing), **given}
    names = frozenset(name for name, value in params.items() if value is not None)
    query = queries.specialize("list_conversations", names)
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        conn.execute(query, params).fetchone()
        seconds.append(time.perf_counter() - started)
    return min(seconds) * 1e3
