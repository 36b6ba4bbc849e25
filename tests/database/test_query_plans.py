"""What the database does for a request: valid statements, the right index, and few of them."""

import hashlib
import itertools
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest

from conversations.api import views
from conversations.database import migrations, queries
from conversations.database.connection import connect
from tests.conftest import SERVER_URL, contact, new_database, new_organization
from tests.database.plans import (
    BIG_TABLES,
    COMBINATIONS,
    CONSENT_COMBINATIONS,
    COUNTED,
    FILTERS,
    IN_ORDER,
    KEY,
    LIMIT,
    NEWEST,
    NO_POSITION,
    ORGANIZATION,
    POSITION,
    POSITIONS,
    TENANT_TABLES,
    WITHOUT_INDEX,
    assert_nothing_is_read_or_sorted_whole,
    drop,
    explain,
    explain_planned_once,
    index_for,
    indexes_of,
    name_of,
    nodes,
    parameters_of,
    removed_by_filter,
    run,
    run_list,
    scans,
    scans_below,
    values,
)
from tests.database.tenants import OF_A_KEY, OVER_ALL_ORGANIZATIONS

# 60,000 conversations of one organization, a minute apart, on eight numbers, a third opted in, a
# sixth opted out, each of these records as old as the last message, which is outbound in a fifth;
# a message for each, redacted beyond a month, and 5,000 more for the newest.
INBOX = """
INSERT INTO organizations (id, name)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'Test' FROM generate_series(1, 2000) AS n;

INSERT INTO api_keys (organization_id, key_hash, prefix, label, scopes)
SELECT id, sha256(uuid_send(id)), 'am_live_test', '', '{conversations:read}' FROM organizations;

INSERT INTO phone_numbers (organization_id, id, number)
SELECT organizations.id, lpad(to_hex(n), 32, '0')::uuid, '+1555111000' || n
FROM organizations, generate_series(1, 8) AS n;

INSERT INTO conversations (
    organization_id, id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id,
    last_message_direction, last_message_preview, message_count,
    opted_in_at, opted_out_at, consent_updated_at
)
SELECT
    lpad('1', 32, '0')::uuid,
    conversation_id(lpad(to_hex(1 + n % 8), 32, '0')::uuid, '+1555' || lpad((n / 2)::text, 7, '0')),
    lpad(to_hex(1 + n % 8), 32, '0')::uuid, '+1555111000' || 1 + n % 8,
    '+1555' || lpad((n / 2)::text, 7, '0'),
    timestamptz '2026-04-28T12:00:00Z' - n * interval '1 minute', md5(n::text)::uuid,
    CASE WHEN n % 5 = 0 THEN 'outbound' ELSE 'inbound' END, 'hello', 1,
    CASE WHEN n % 3 = 0 THEN timestamptz '2026-01-01T00:00:00Z' END,
    CASE WHEN n % 6 = 1 THEN timestamptz '2026-01-01T00:00:00Z' END,
    CASE
        WHEN n % 6 IN (0, 1, 3)
            THEN timestamptz '2026-04-28T12:00:00Z' - n * interval '1 minute'
    END
FROM generate_series(1, 60000) AS n;

INSERT INTO conversation_counts
SELECT
    organization_id, coalesce(phone_number_id, '00000000-0000-0000-0000-000000000000'), shard,
    count(*) FILTER (WHERE opted_in), count(*) FILTER (WHERE NOT opted_in),
    (phone_number_id IS NULL)::integer
FROM conversations, generate_series(0, 7) AS shard
WHERE abs(hashtext(contact_number)) % 8 = shard
GROUP BY GROUPING SETS
((organization_id, shard), (organization_id, shard, phone_number_id));

INSERT INTO messages (
    organization_id, id, conversation_id, direction, channel, body, media_urls, has_text, created_at
)
SELECT
    organization_id, last_message_id, id, last_message_direction, 'sms',
    CASE WHEN last_message_at > '2026-03-28' THEN 'hello' END, '{}', TRUE, last_message_at
FROM conversations;

INSERT INTO messages (
    organization_id, id, conversation_id, direction, channel, body, media_urls, has_text, created_at
)
SELECT
    organization_id, md5('x' || n)::uuid, id, 'inbound', 'sms', 'hello', '{}', TRUE,
    last_message_at - n * interval '1 second'
FROM
    (SELECT * FROM conversations ORDER BY last_message_at DESC LIMIT 1) AS newest,
    generate_series(1, 5000) AS n;
"""


@pytest.fixture(scope="module")
def conn() -> Iterator[psycopg.Connection]:
    """A connection like the service's to a database of its own that holds a big inbox."""
    url = new_database(SERVER_URL)
    with connect(url) as conn:
        migrations.migrate(conn)
        # Loading first and indexing after takes a third of the time.
        indexes = conn.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        for index in indexes:
            conn.execute(f"DROP INDEX {index['indexname']}")
        for statement in filter(str.strip, INBOX.split(";\n")):
            conn.execute(statement)
        for index in indexes:
            conn.execute(index["indexdef"])
        conn.execute("VACUUM ANALYZE")
        yield conn
    drop(url)


@pytest.fixture(scope="module")
def empty() -> Iterator[psycopg.Connection]:
    """A connection to a database that never held an inbox."""
    url = new_database(SERVER_URL)
    with connect(url) as conn:
        migrations.migrate(conn)
        yield conn
    drop(url)


# Every query

EVENT = {
    "phone_number_id": uuid.UUID(int=2),
    "phone_number": "+15551110002",
    "contact_number": contact(772),
    "opted_in": True,
    "captured_at": NEWEST,
}
MESSAGE = EVENT | {
    "id": uuid.UUID(int=3),
    "direction": "inbound",
    "channel": "sms",
    "body": "hello",
    "media_urls": [],
    "segment_count": 1,
    "created_at": NEWEST,
}
# EXPLAIN does not take these.
UTILITIES = {"analyze_inbox", "create_staged_rows", "copy_staged_rows", "list_staged_rows"}
# A value for every parameter of a query.
VALUES = {
    **FILTERS,
    **POSITION,
    "organization_id": ORGANIZATION,
    "limit": LIMIT,
    "id": uuid.UUID(int=2),
    "ids": [uuid.UUID(int=number) for number in range(50)],
    "counted_id": uuid.UUID(int=2),
    "conversation_id": uuid.UUID(int=4),
    "conversation_ids": [uuid.UUID(int=number) for number in range(50)],
    "events": orjson.dumps([EVENT]).decode(),
    "messages": orjson.dumps([MESSAGE]).decode(),
    "message": orjson.dumps(MESSAGE).decode(),
    "places": [1],
    "estimated_from": 1000,
    **KEY,
    "prefix": "am_live_test",
    "prefix_or_id": "am_live_test",
    "label": "",
    "scopes": ["conversations:read"],
    "expires_in": timedelta(days=1),
    "name": "Test",
    "message_retention_days": 90,
    "number": contact(1),
    "numbers": [contact(1)],
    "readable_from": NEWEST,
    "start_at": None,
    "redacted_at": NEWEST,
    "shard": 1,
    "order": "asc",
    "wal_position": "0/0",
    "change_step": 1,
    "opted_in_count": 1,
    "other_count": 1,
    "opted_in_record_count": 1,
    "opted_out_record_count": 1,
    "phone_number_count": 1,
    "message_count": 1,
    "body": "hello",
    "media_urls": [],
    "last_message_at": NEWEST,
    "last_message_id": uuid.UUID(int=5),
    "last_message_direction": "inbound",
    "last_message_preview": "hello",
    "last_message_body_redacted_at": None,
}


def values_of(name: str) -> dict:
    return {key: VALUES[key] for key in parameters_of(name)}


def test_every_utility_statement_is_valid_sql(conn):
    with conn.transaction(force_rollback=True):
        conn.execute(queries.QUERIES["create_staged_rows"])
        assert conn.execute(queries.QUERIES["list_staged_rows"]).fetchall() == []


def test_every_query_is_valid_sql(conn, subtests):
    for name in set(queries.QUERIES) - UTILITIES:
        with subtests.test(name):
            assert explain(conn, name, **values_of(name))["Node Type"]


def test_every_query_reads_every_table_inside_one_organization(conn, subtests):
    for name in set(queries.QUERIES) - OVER_ALL_ORGANIZATIONS:
        with subtests.test(name):
            plan = list(nodes(explain(conn, name, **values_of(name))))
            if name in OF_A_KEY:
                assert indexes_of(plan, "api_keys") == {"key_hash_is_unique"}
            for table in set(TENANT_TABLES) - ({"api_keys"} if name in OF_A_KEY else set()):
                for scan in scans(plan, table):
                    assert "organization_id = " in scan["Conditions"], table


def test_a_list_tests_each_of_its_filters_for_null():
    """Else a filter would match no row when it is not given."""
    for schema in (views.LIST_CONVERSATIONS, views.LIST_CONSENT):
        name = f"list_{type(schema).__name__.removeprefix('List').removesuffix('Schema').lower()}"
        tested = {test[1] for test in queries.IS_NULL_TEST.finditer(queries.QUERIES[name])}
        assert set(schema.filters) - tested == set(), name


@pytest.mark.parametrize("inbox", ["conn", "empty"])
def test_a_plan_for_any_values_reads_no_table_whole(inbox, request, subtests):
    inbox = request.getfixturevalue(inbox)
    for name in set(queries.QUERIES) - OVER_ALL_ORGANIZATIONS:
        with subtests.test(name):
            plan = list(nodes(explain_planned_once(inbox, name, **values_of(name))))
            for table in BIG_TABLES:
                assert "Seq Scan" not in indexes_of(plan, table)


# The lists


def test_list_conversations_reads_a_page_from_the_index_of_its_filters(conn, subtests):
    for filters, (place, position) in itertools.product(COMBINATIONS, POSITIONS.items()):
        with subtests.test(f"{name_of(filters)}, {place}"):
            plan = run_list(conn, "list_conversations", **values(filters), **position)
            assert_nothing_is_read_or_sorted_whole(plan)
            (page,) = scans_below(plan, "Limit", "conversations")
            assert indexes_of([page], "conversations") == {index_for(filters)}
            assert page["Actual Rows"] <= LIMIT + 1
            assert removed_by_filter(page, filters) <= 2


def test_a_plan_made_over_an_empty_inbox_reads_in_order(empty, subtests):
    for filters, (place, position) in itertools.product(IN_ORDER, POSITIONS.items()):
        with subtests.test(f"{name_of(filters)}, {place}"):
            params = values(filters) | {"organization_id": ORGANIZATION, **position, "limit": LIMIT}
            plan = list(nodes(explain_planned_once(empty, "list_conversations", **params)))
            paging = scans_below(plan, "Limit", "conversations")
            assert indexes_of(paging, "conversations") == {index_for(filters)}


def test_the_total_counts_no_conversations_but_for_contact_number_and_since(conn, subtests):
    for filters in COMBINATIONS:
        with subtests.test(name_of(filters)):
            plan = run_list(conn, "list_conversations", **values(filters), **NO_POSITION)
            paging = scans_below(plan, "Limit", "conversations")
            counting = [scan for scan in scans(plan, "conversations") if scan not in paging]
            if not filters & COUNTED:
                assert counting == []
                continue
            *probes, scan = sorted(counting, key=lambda each: each["Actual Rows"])
            assert removed_by_filter(scan, filters) <= 2
            if "contact_number" in filters:
                assert scan["Index Name"] == "conversations_with_contact"
                assert probes == []
            elif not filters & WITHOUT_INDEX:
                # Whether anything is older than since.
                assert [probe["Actual Rows"] for probe in probes] == [1]
                # With since alone, PostgreSQL 18 may skip from one consent to the other, which
                # costs the same.
                either = {"conversations_by_consent"} if filters == {"since"} else set()
                assert scan["Index Name"] in {index_for(filters)} | either
                assert scan["Node Type"] == "Index Only Scan"
                assert scan["Heap Fetches"] == 0


@pytest.mark.parametrize("name", ["list_conversations", "list_consent"])
@pytest.mark.parametrize("others", [set(), {"phone_number_id", "opted_in"}])
def test_the_total_since_the_beginning_counts_no_conversations(conn, name, others):
    given = dict.fromkeys(FILTERS) | {key: FILTERS[key] for key in others}
    since = datetime(1, 1, 1, tzinfo=UTC)
    plan = run_list(conn, name, **given | {"since": since}, **NO_POSITION)
    for scan in scans(plan, "conversations"):
        assert scan["Actual Rows"] * scan["Actual Loops"] <= LIMIT + 1


def consent_index_for(filters: frozenset) -> str:
    if "contact_number" in filters:
        return "conversations_with_contact"
    return "conversations_with_consent"


def test_list_consent_finds_a_page_in_one_index_alone(conn, subtests):
    for filters, (place, position) in itertools.product(CONSENT_COMBINATIONS, POSITIONS.items()):
        with subtests.test(f"{name_of(filters)}, {place}"):
            plan = run_list(conn, "list_consent", **values(filters), **position)
            assert_nothing_is_read_or_sorted_whole(plan)
            (page,) = scans_below(plan, "Limit", "conversations")
            assert indexes_of([page], "conversations") == {consent_index_for(filters)}
            assert page["Actual Rows"] <= LIMIT + 1
            if "contact_number" not in filters:
                assert page["Node Type"] == "Index Only Scan"
                assert page["Heap Fetches"] == 0
            # The rows of the page are looked up one by one; what else is read counts the total.
            others = [scan for scan in scans(plan, "conversations") if scan is not page]
            lookups = [scan for scan in others if scan.get("Index Name") == "conversations_pkey"]
            assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in lookups) <= LIMIT + 1
            counting = [scan for scan in others if scan not in lookups]
            # With since, whether anything is older is looked up before the rest is counted.
            is_probed = "since" in filters and "contact_number" not in filters
            assert len(counting) == is_probed + bool(filters & COUNTED)
            assert {scan["Index Name"] for scan in counting} <= {consent_index_for(filters)}


def test_a_plan_for_consent_made_over_an_empty_inbox_reads_in_order(empty, subtests):
    for filters in (each for each in CONSENT_COMBINATIONS if "contact_number" not in each):
        with subtests.test(name_of(filters)):
            params = values(filters) | {
                "organization_id": ORGANIZATION,
                **NO_POSITION,
                "limit": LIMIT,
            }
            plan = list(nodes(explain_planned_once(empty, "list_consent", **params)))
            paging = scans_below(plan, "Limit", "conversations")
            assert indexes_of(paging, "conversations") == {"conversations_with_consent"}
            assert "Seq Scan" not in indexes_of(plan, "conversations")


@pytest.mark.parametrize("position", [NO_POSITION, POSITION], ids=["first page", "cursor"])
def test_list_phone_numbers_reads_a_page_from_its_index(conn, position):
    plan = run_list(conn, "list_phone_numbers", **position)
    assert_nothing_is_read_or_sorted_whole(plan)
    (page,) = scans_below(plan, "Limit", "phone_numbers")
    assert page["Index Name"] == "phone_numbers_oldest_first"
    assert page["Actual Rows"] <= LIMIT + 1


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "position", [NO_POSITION, POSITION | {"cursor_at": NEWEST - timedelta(minutes=40)}]
)
def test_list_messages_reads_a_page_from_its_index(conn, position, order):
    newest = conn.execute(
        "SELECT conversation_id FROM messages WHERE id = md5('x1')::uuid"
    ).fetchone()
    plan = run_list(conn, "list_messages", **newest, **position, order=order)
    assert_nothing_is_read_or_sorted_whole(plan)
    assert indexes_of(plan, "messages") == {"messages_of_conversation"}
    assert indexes_of(plan, "conversations") == {"conversations_pkey"}
    # The half of the page for the other order is never read.
    (scan,) = [scan for scan in scans(plan, "messages") if scan["Actual Loops"]]
    assert scan["Actual Rows"] == LIMIT + 1
    assert scan.get("Rows Removed by Filter", 0) == 0


@pytest.mark.parametrize(
    ("readable_from", "found"),
    [(datetime(2026, 3, 1, tzinfo=UTC), 0), (datetime(2026, 4, 1, tzinfo=UTC), 1000)],
)
def test_a_retention_run_finds_expired_messages_in_the_index_of_readable_ones(
    conn, readable_from, found
):
    given = {"readable_from": readable_from, "start_at": None, "limit": 1000}
    plan = run(conn, "lock_expired_messages", **given)
    assert indexes_of(plan, "messages") == {"messages_readable"}
    (scan,) = scans(plan, "messages")
    assert scan["Actual Rows"] == found
    assert scan.get("Rows Removed by Filter", 0) == 0


def test_erasing_a_contact_finds_the_messages_through_the_conversation(conn):
    found = run(conn, "find_conversations", contact_number=contact(772))
    assert indexes_of(found, "conversations") == {"conversations_with_contact"}
    plan = run(conn, "lock_conversation_messages", **values_of("lock_conversation_messages"))
    assert_nothing_is_read_or_sorted_whole(plan)
    assert indexes_of(plan, "messages") == {"messages_of_conversation"}


@pytest.mark.parametrize(
    ("name", "table", "index"),
    [
        ("get_api_key", "api_keys", "key_hash_is_unique"),
        ("touch_api_key", "api_keys", "api_keys_pkey"),
        ("get_messages", "messages", "messages_pkey"),
        ("redact_messages", "messages", "messages_pkey"),
        ("lock_conversation", "conversations", "conversations_pkey"),
        ("lock_conversations", "conversations", "conversations_pkey"),
        ("record_consent", "conversations", "conversations_pkey"),
    ],
)
def test_single_rows_are_found_by_their_key(conn, name, table, index):
    plan = run(conn, name, **values_of(name))
    assert_nothing_is_read_or_sorted_whole(plan)
    assert indexes_of(plan, table) == {index}


# What the routes and the commands run to record a message, a repeated one, a keyword, a consent
# event, and to redact and erase. hashed(n) is the id of a message that is there.
def hashed(number: int) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.md5(str(number).encode(), usedforsecurity=False).digest())


KNOWN = {"ids": [hashed(7)], "messages": orjson.dumps([MESSAGE | {"id": hashed(7)}]).decode()}
WRITES = [
    ("touch_api_key", {}),
    ("find_phone_numbers", {"numbers": ["+15551110002"], "ids": []}),
    ("find_phone_numbers", {"numbers": [], "ids": [uuid.UUID(int=2)]}),
    ("record_messages", {}),
    ("record_messages", KNOWN),
    ("get_messages", KNOWN),
    ("upsert_conversations", {}),
    ("record_consent", {}),
    ("find_conversations", {}),
    ("lock_conversation_messages", {"limit": 5}),
    ("lock_expired_messages", {"limit": 5, "readable_from": NEWEST}),
    ("lock_conversation", {}),
    ("lock_conversations", KNOWN),
    ("redact_messages", KNOWN),
    ("compare_messages", KNOWN),
    ("fill_in_message", {"message": orjson.dumps(MESSAGE | {"id": hashed(7)}).decode()}),
]


def test_a_write_reads_a_handful_of_rows_whatever_the_inbox_holds(conn, subtests):
    for name, given in WRITES:
        with subtests.test(f"{name} {sorted(given)}"):
            plan = run(conn, name, explain_planned_once, **values_of(name) | given)
            for table in TENANT_TABLES:
                for scan in scans(plan, table):
                    removed = sum(
                        count for key, count in scan.items() if key.startswith("Rows Removed")
                    )
                    assert (scan["Actual Rows"] + removed) * scan["Actual Loops"] <= 10, scan


def test_every_query_is_short_enough_for_psycopg_to_remember():
    for name, query in queries.QUERIES.items():
        assert len(query) <= psycopg._queries.MAX_CACHED_STATEMENT_LENGTH, name
        assert "--" not in query, name


# The number of statements, BEGIN and COMMIT aside


@pytest.fixture
def statements(client, log_lines):
    """Ask as Alice, whose key was used a moment ago, and return what the log says it cost."""
    alice = new_organization(client)
    alice.get("/v1/conversations")

    def ask(method: str, path: str, **kwargs) -> tuple[int, int]:
        headers = {**alice.auth, **kwargs.pop("headers", {})}
        response = client.open(path, method=method, headers=headers, **kwargs)
        (count,) = re.findall(r" statements=(\d+)", log_lines()[-1])
        return response.status_code, int(count)

    ask.alice = alice
    return ask


def test_a_page_costs_the_key_and_one_statement(statements):
    statements.alice.receive(contact(1), NEWEST)
    (row,) = statements.alice.conversations()
    path = f"/v1/conversations/{row['id']}/messages"
    everything = "?limit=1&since=2020-01-01T00:00:00Z&opted_in=false&contact_number=%2B15550000001"
    assert statements("GET", "/v1/conversations") == (200, 2)
    assert statements("HEAD", "/v1/conversations") == (200, 2)
    assert statements("GET", path) == (200, 2)
    assert statements("GET", f"/v1/conversations/{'A' * 22}/messages") == (404, 2)
    assert statements("GET", f"/v1/conversations{everything}") == (200, 2)
    assert statements("GET", f"/v1/consent{everything}") == (200, 2)
    assert statements("GET", "/v1/phone-numbers") == (200, 2)
    tag = {"If-None-Match": 'W/"another"'}
    assert statements("GET", "/v1/conversations", headers=tag) == (200, 3)
    assert statements("GET", "/v1/conversations?limit=0", headers=tag) == (422, 1)


def test_an_invalid_request_costs_the_key_alone(statements):
    long = b"x" * (1024 * 1024 + 1)
    wrong = {"headers": {"Authorization": f"Bearer {'x' * 42}"}}
    json = {"content_type": "application/json"}
    assert statements("GET", "/v1/conversations?limit=0") == (422, 1)
    assert statements("GET", "/v1/conversations?cursor=x") == (422, 1)
    assert statements("GET", "/v1/conversations?page=2") == (422, 1)
    assert statements("GET", "/v1/conversations/x/messages") == (400, 1)
    assert statements("GET", f"/v1/conversations/{'A' * 22}/messages?limit=x") == (422, 1)
    assert statements("GET", "/v1/consent?limit=0") == (422, 1)
    assert statements("GET", "/v1/phone-numbers?limit=0") == (422, 1)
    assert statements("POST", "/v1/contacts/x/erase") == (400, 1)
    assert statements("POST", "/v1/contacts/+15550000001/erase?x=1") == (422, 1)
    for path in ("/v1/messages", "/v1/consent"):
        assert statements("POST", path, data=b"x") == (415, 1)
        assert statements("POST", path, data=long, **json) == (413, 1)
        assert statements("POST", path, data=b"x", **json) == (400, 1)
        assert statements("POST", path, json={}) == (422, 1)
    assert statements("GET", "/v1/conversations", **wrong) == (401, 0)
    assert statements("GET", "/v1/nowhere") == (404, 0)
    assert statements("PUT", "/v1/conversations") == (405, 0)
    assert statements("OPTIONS", "/v1/conversations") == (200, 0)


def test_a_write_costs_the_key_the_number_and_what_it_writes(statements):
    alice = statements.alice
    message = alice.inbound(id=str(uuid.uuid4()))
    consent = {
        "phone_number_id": str(alice.phone_number_id),
        "contact_number": contact(1),
        "opted_in": True,
    }
    # The key, the number, the message, and the row to answer with.
    assert statements("POST", "/v1/messages", json=message) == (201, 4)
    # The key, the number, the message, what is stored, and the row to answer with.
    assert statements("POST", "/v1/messages", json=message) == (200, 5)
    assert statements("POST", "/v1/messages", json={**message, "body": "other"}) == (409, 5)
    assert statements("POST", "/v1/messages", json={**message, "to": contact(3)}) == (422, 2)
    # The key, the number, the lock, and the record.
    assert statements("POST", "/v1/consent", json=consent) == (200, 4)


def test_health_costs_two_statements_and_no_key(statements):
    assert statements("GET", "/livez") == (200, 0)
    # The schema, and the state.
    assert statements("GET", "/readyz") == (200, 2)
