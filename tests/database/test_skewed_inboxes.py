"""Lists of the few in a large inbox: where nearly all conversations have the same value."""

import itertools
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from conversations.database import migrations
from conversations.database.connection import connect
from tests.conftest import SERVER_URL, new_database
from tests.database.plans import (
    IN_ORDER,
    LIMIT,
    NO_POSITION,
    assert_nothing_is_read_or_sorted_whole,
    drop,
    index_for,
    indexes_of,
    name_of,
    removed_by_filter,
    run_list,
    scans,
    scans_below,
    values,
)

NUMBERS = {"old number": uuid.UUID(int=1), "new number": uuid.UUID(int=2)}

# 60,000 conversations on one number, a minute apart, without any consent.
INBOX = """
INSERT INTO organizations (id, name) VALUES (lpad('1', 32, '0')::uuid, 'Test');

INSERT INTO phone_numbers (organization_id, id, number)
SELECT lpad('1', 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, '+1555111000' || n
FROM generate_series(1, 2) AS n;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id, last_message_direction, message_count
)
SELECT
    lpad('1', 32, '0')::uuid,
    conversation_id(lpad('1', 32, '0')::uuid, '+1555' || lpad(n::text, 7, '0')),
    lpad('1', 32, '0')::uuid, '+15551110001',
    '+1555' || lpad(n::text, 7, '0'),
    timestamptz '2026-04-28T12:00:00Z' - n * interval '1 minute', md5(n::text)::uuid, 'inbound', 1
FROM generate_series(1, 60000) AS n
"""
# Twenty opted in, the newest of them 3,000 conversations down.
OPT_IN = """
UPDATE conversations SET opted_in_at = '2026-01-01', consent_updated_at = '2026-01-01'
WHERE contact_number IN (
    SELECT '+1555' || lpad((n * 3000)::text, 7, '0') FROM generate_series(1, 20) AS n
)
"""
SECOND_NUMBER = """
INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id, last_message_direction, message_count
)
SELECT
    lpad('1', 32, '0')::uuid,
    conversation_id(lpad('2', 32, '0')::uuid, '+1555' || lpad(n::text, 7, '0')),
    lpad('2', 32, '0')::uuid, '+15551110002',
    '+1555' || lpad(n::text, 7, '0'),
    timestamptz '2026-03-28T12:00:00Z' - n * interval '1 day', md5(n::text)::uuid, 'inbound', 1
FROM generate_series(1, 3) AS n
ON CONFLICT DO NOTHING
"""
STAGES = {"nobody opted in": [], "20 opted in": [OPT_IN]}
STAGES["a second number"] = [OPT_IN, SECOND_NUMBER]


@pytest.fixture(scope="module")
def inbox() -> Iterator[psycopg.Connection]:
    """A connection to a database of its own that holds the inbox, as autovacuum found it."""
    url = new_database(SERVER_URL)
    with connect(url) as conn:
        migrations.migrate(conn)
        for statement in INBOX.split(";\n"):
            conn.execute(statement)
        conn.execute("VACUUM ANALYZE")
        yield conn
    drop(url)


@pytest.fixture(scope="module", params=STAGES)
def changed(inbox, request) -> psycopg.Connection:
    """The inbox after one change and the next, of which the planner knows nothing yet."""
    for statement in STAGES[request.param]:
        inbox.execute(statement)
    return inbox


@pytest.fixture(scope="module", params=[False, True], ids=["not analyzed", "analyzed"])
def conn(changed, request) -> psycopg.Connection:
    """The same before and after autovacuum analyzed it."""
    if request.param:
        changed.execute("ANALYZE conversations")
    return changed


def test_a_list_reads_no_conversation_that_it_does_not_show(conn, subtests):
    for filters, opted_in, number in itertools.product(IN_ORDER, (True, False), NUMBERS):
        with subtests.test(f"{name_of(filters)}, {opted_in}, {number}"):
            given = {"phone_number_id": NUMBERS[number], "opted_in": opted_in}
            given = {key: value for key, value in given.items() if key in filters}
            plan = run_list(conn, "list_conversations", **values(filters) | given, **NO_POSITION)
            assert_nothing_is_read_or_sorted_whole(plan)
            (page,) = scans_below(plan, "Limit", "conversations")
            assert indexes_of([page], "conversations") == {index_for(filters)}
            assert page["Actual Rows"] <= LIMIT + 1
            for scan in scans(plan, "conversations"):
                assert removed_by_filter(scan, filters) <= 2
