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

from conversations.database import migrations, queries
from conversations.database.connection import REQUEST_PLANNING, connect
from tests.conftest import SERVER_URL, contact, new_database, new_organization
from tests.database.tenants import OF_A_KEY, OVER_ALL_ORGANIZATIONS

ORGANIZATION = uuid.UUID(int=1)
KEY = {"key_hash": hashlib.sha256(ORGANIZATION.bytes).digest()}
NEWEST = datetime(2026, 4, 28, 12, 0, tzinfo=UTC)
LIMIT = 50
BIG_TABLES = ("conversations", "messages", "phone_numbers", "api_keys")
TENANT_TABLES = (*BIG_TABLES, "conversation_counts")

# 60,000 conversations of one organization, a minute apart, on eight numbers, a third opted in, a
# sixth opted out, each of these records as old as the last message;
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
    organization_id, phone_number_id, phone_number, contact_number,
    last_message_at, last_message_id,
    last_message_direction, last_message_preview, message_count,
    opted_in_at, opted_out_at, consent_updated_at
)
SELECT
    lpad('1', 32, '0')::uuid, lpad(to_hex(1 + n % 8), 32, '0')::uuid, '+1555111000' || 1 + n % 8,
    '+1555' || lpad((n / 2)::text, 7, '0'),
    timestamptz '2026-04-28T12:00:00Z' - n * interval '1 minute', md5(n::text)::uuid,
    'inbound', 'hello', 1,
    CASE WHEN n % 3 = 0 THEN timestamptz '2026-01-01T00:00:00Z' END,
    CASE WHEN n % 6 = 1 THEN timestamptz '2026-01-01T00:00:00Z' END,
    CASE
        WHEN n % 6 IN (0, 1, 3)
            THEN timestamptz '2026-04-28T12:00:00Z' - n * interval '1 minute'
    END
FROM generate_series(1, 60000) AS n;

INSERT INTO conversation_counts
SELECT
    organization_id, phone_number_id, shard,
    count(*) FILTER (WHERE opted_in), count(*) FILTER (WHERE NOT opted_in), 1
FROM conversations, generate_series(0, 7) AS shard
WHERE abs(hashtext(contact_number)) % 8 = shard
GROUP BY organization_id, phone_number_id, shard;

INSERT INTO messages (
    organization_id, id, conversation_id, direction, channel, body, media_urls, has_text, created_at
)
SELECT
    organization_id, last_message_id, id, 'inbound', 'sms',
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

# The contact of the conversation 1,545 minutes old: opted in, on the number with id 2.
FILTERS = {
    "phone_number_id": uuid.UUID(int=2),
    "contact_number": contact(772),
    "since": NEWEST - timedelta(minutes=2000),
    "opted_in": True,
}
COMBINATIONS = [
    frozenset(names) for count in range(5) for names in itertools.combinations(FILTERS, count)
]
POSITION = {"cursor_at": NEWEST - timedelta(minutes=500), "cursor_id": uuid.UUID(int=7)}
NO_POSITION = dict.fromkeys(POSITION)


def drop(url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name}")


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


def explain(conn, name: str, /, options: str = "FORMAT JSON", **params) -> dict:
    """The plan of a query of ours with these very values."""
    row = conn.execute(f"EXPLAIN ({options}) {queries.QUERIES[name]}", params).fetchone()
    return orjson.loads(orjson.dumps(row["QUERY PLAN"]))[0]["Plan"]


def explain_planned_once(conn, name: str, /, options: str = "FORMAT JSON", **params) -> dict:
    """The plan that the service's connections make of a query, for any values of what is given."""
    query = queries.specialize(name, frozenset(key for key in params if params[key] is not None))
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query)))
    numbered = query % {key: f"${number}" for number, key in enumerate(names, 1)}
    execution = f"EXPLAIN ({options}) EXECUTE query ({', '.join(f'%({key})s' for key in names)})"
    with conn.transaction(force_rollback=True):
        for setting in REQUEST_PLANNING.items():
            conn.execute("SELECT set_config(%s, %s, TRUE)", setting)
        conn.execute(f"PREPARE query AS {numbered}", prepare=False)
        row = psycopg.ClientCursor(conn).execute(execution, params).fetchone()
        conn.execute("DEALLOCATE query", prepare=False)
    return orjson.loads(orjson.dumps(row["QUERY PLAN"]))[0]["Plan"]


def run(conn, name: str, /, explain=explain, **params) -> list[dict]:
    """Run a query, undo what it changed, and return the nodes of its plan with what they did."""
    with conn.transaction(force_rollback=True):
        params = {"organization_id": ORGANIZATION, **KEY, **params}
        return list(nodes(explain(conn, name, "ANALYZE, FORMAT JSON", **params)))


def run_list(conn, name: str, /, **params) -> list[dict]:
    """The same of a list query, planned as for the service."""
    return run(conn, name, explain_planned_once, limit=LIMIT, **params)


def nodes(plan: dict, joined_on: str = "") -> Iterator[dict]:
    """The nodes of a plan; `Conditions` are a node's own and those of the joins above it."""
    own = " ".join(str(plan[key]) for key in plan if key.endswith(("Cond", "Filter")))
    plan["Conditions"] = f"{joined_on} {own}"
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child, plan["Conditions"])


def scans(plan: list[dict], table: str) -> list[dict]:
    """The nodes that read a table."""
    return [
        node
        for node in plan
        if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable"
    ]


def scans_below(plan: list[dict], node_type: str, table: str) -> list[dict]:
    """The nodes that read a table for a node of this type."""
    tops = [node for node in plan if node["Node Type"] == node_type]
    return [scan for top in tops for scan in scans(list(nodes(top)), table)]


def indexes_of(plan: list[dict], table: str) -> set[str]:
    """The indexes through which a table is read, or that it is read from one end to the other."""
    found = set()
    for scan in scans(plan, table):
        if scan["Node Type"] == "Bitmap Heap Scan":
            found |= {node["Index Name"] for node in nodes(scan) if "Index Name" in node}
        else:
            found.add(scan.get("Index Name", scan["Node Type"]))
    return found


def assert_nothing_is_read_or_sorted_whole(plan: list[dict]) -> None:
    for table in BIG_TABLES:
        assert "Seq Scan" not in indexes_of(plan, table)
    for node in plan:
        if node["Node Type"] in ("Sort", "Incremental Sort"):
            assert node["Actual Rows"] <= LIMIT + 1


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
# A value for whatever a query may name.
# EXPLAIN does not take these.
UTILITIES = {"analyze_inbox", "create_staged_rows", "copy_staged_rows", "list_staged_rows"}

VALUES = {
    **FILTERS,
    **POSITION,
    "organization_id": ORGANIZATION,
    "limit": LIMIT,
    "id": uuid.UUID(int=2),
    "ids": [uuid.UUID(int=number) for number in range(50)],
    "phone_number_ids": [uuid.UUID(int=2)],
    "conversation_id": uuid.UUID(int=4),
    "events": orjson.dumps([EVENT]).decode(),
    "messages": orjson.dumps([MESSAGE]).decode(),
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
    "now": NEWEST,
    "readable_from": NEWEST,
    "redacted_at": NEWEST,
    "shard": 1,
    "order": "asc",
    "wal_position": "0/0",
    "change_step": 1,
    "opted_in_count": 1,
    "other_count": 1,
    "opted_in_record_count": 1,
    "opted_out_record_count": 1,
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
    return {key: VALUES[key] for key in re.findall(r"%\((\w+)\)s", queries.QUERIES[name])}


def test_every_utility_statement_is_valid_sql(conn):
    with conn.transaction(force_rollback=True):
        conn.execute(queries.QUERIES["create_staged_rows"])
        assert conn.execute(queries.QUERIES["list_staged_rows"]).fetchall() == []


@pytest.mark.parametrize("name", sorted(set(queries.QUERIES) - UTILITIES))
def test_every_query_is_valid_sql(conn, name):
    assert explain(conn, name, **values_of(name))["Node Type"]


@pytest.mark.parametrize("name", sorted(set(queries.QUERIES) - OVER_ALL_ORGANIZATIONS))
def test_every_query_reads_every_table_inside_one_organization(conn, name):
    plan = list(nodes(explain(conn, name, **values_of(name))))
    if name in OF_A_KEY:
        assert indexes_of(plan, "api_keys") == {"key_hash_is_unique"}
    for table in set(TENANT_TABLES) - ({"api_keys"} if name in OF_A_KEY else set()):
        for scan in scans(plan, table):
            assert "organization_id = " in scan["Conditions"], table


@pytest.mark.parametrize("name", sorted(set(queries.QUERIES) - OVER_ALL_ORGANIZATIONS))
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_plan_for_any_values_reads_no_table_whole(conn, empty, name, is_empty):
    plan = nodes(explain_planned_once(empty if is_empty else conn, name, **values_of(name)))
    plan = list(plan)
    for table in BIG_TABLES:
        assert "Seq Scan" not in indexes_of(plan, table)


# The lists


def name_of(filters: frozenset) -> str:
    return "+".join(sorted(filters)) or "all"


def index_for(filters: frozenset) -> str:
    if "contact_number" in filters:
        return "conversations_with_contact"
    if filters >= {"phone_number_id", "opted_in"}:
        return "conversations_of_phone_number_by_consent"
    if "phone_number_id" in filters:
        return "conversations_of_phone_number"
    return "conversations_by_consent" if "opted_in" in filters else "conversations_newest_first"


@pytest.mark.parametrize("position", [NO_POSITION, POSITION], ids=["first page", "cursor"])
@pytest.mark.parametrize("filters", COMBINATIONS, ids=name_of)
def test_list_conversations_reads_a_page_from_the_index_of_its_filters(conn, filters, position):
    given = {name: value if name in filters else None for name, value in FILTERS.items()}
    plan = run_list(conn, "list_conversations", **given, **position)
    assert_nothing_is_read_or_sorted_whole(plan)
    (page,) = scans_below(plan, "Limit", "conversations")
    assert indexes_of([page], "conversations") == {index_for(filters)}
    assert page["Actual Rows"] <= LIMIT + 1
    assert page.get("Rows Removed by Filter", 0) <= 2


# Of a contact there is a handful; an index for that order would cost every writer.
IN_ORDER = [filters for filters in COMBINATIONS if "contact_number" not in filters]


@pytest.mark.parametrize("position", [NO_POSITION, POSITION], ids=["first page", "cursor"])
@pytest.mark.parametrize("filters", IN_ORDER, ids=name_of)
def test_a_plan_made_over_an_empty_inbox_reads_in_order(empty, filters, position):
    params = {name: value if name in filters else None for name, value in FILTERS.items()}
    params |= {"organization_id": ORGANIZATION, **position, "limit": LIMIT}
    plan = list(nodes(explain_planned_once(empty, "list_conversations", **params)))
    paging = scans_below(plan, "Limit", "conversations")
    assert indexes_of(paging, "conversations") == {index_for(filters)}


@pytest.mark.parametrize("filters", COMBINATIONS, ids=name_of)
def test_the_total_counts_no_conversations_but_for_contact_number_and_since(conn, filters):
    given = {name: value if name in filters else None for name, value in FILTERS.items()}
    plan = run_list(conn, "list_conversations", **given, **NO_POSITION)
    paging = scans_below(plan, "Limit", "conversations")
    counting = [scan for scan in scans(plan, "conversations") if scan not in paging]
    if not filters & {"contact_number", "since"}:
        assert counting == []
        return
    *probes, scan = sorted(counting, key=lambda each: each["Actual Rows"])
    assert scan.get("Rows Removed by Filter", 0) <= 2
    if "contact_number" in filters:
        assert scan["Index Name"] == "conversations_with_contact"
        assert probes == []
    else:
        # Whether anything is older than since.
        assert [probe["Actual Rows"] for probe in probes] == [1]
        # With since alone, PostgreSQL 18 may skip from one consent to the other: it costs the same.
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


@pytest.mark.parametrize("position", [NO_POSITION, POSITION], ids=["first page", "cursor"])
@pytest.mark.parametrize("filters", COMBINATIONS, ids=name_of)
def test_list_consent_finds_a_page_in_one_index_alone(conn, filters, position):
    given = {name: value if name in filters else None for name, value in FILTERS.items()}
    plan = run_list(conn, "list_consent", **given, **position)
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
    assert len(counting) == is_probed + bool(filters & {"contact_number", "since"})
    assert {scan["Index Name"] for scan in counting} <= {consent_index_for(filters)}


IN_ORDER_OF_CONSENT = [filters for filters in COMBINATIONS if "contact_number" not in filters]


@pytest.mark.parametrize("filters", IN_ORDER_OF_CONSENT, ids=name_of)
def test_a_plan_for_consent_made_over_an_empty_inbox_reads_in_order(empty, filters):
    params = {name: value if name in filters else None for name, value in FILTERS.items()}
    params |= {"organization_id": ORGANIZATION, **NO_POSITION, "limit": LIMIT}
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
def test_a_sweep_finds_expired_messages_in_the_index_of_readable_ones(conn, readable_from, found):
    plan = run(conn, "lock_expired_messages", readable_from=readable_from, limit=1000)
    assert indexes_of(plan, "messages") == {"messages_readable"}
    (scan,) = scans(plan, "messages")
    assert scan["Actual Rows"] == found
    assert scan.get("Rows Removed by Filter", 0) == 0


def test_erasing_a_contact_finds_the_messages_through_the_conversation(conn):
    plan = run(conn, "lock_contact_messages", contact_number=contact(772), limit=1000)
    assert_nothing_is_read_or_sorted_whole(plan)
    assert indexes_of(plan, "conversations") == {"conversations_with_contact"}
    assert indexes_of(plan, "messages") == {"messages_of_conversation"}


@pytest.mark.parametrize(
    ("name", "table", "index"),
    [
        ("get_api_key", "api_keys", "key_hash_is_unique"),
        ("touch_api_key", "api_keys", "api_keys_pkey"),
        ("get_messages", "messages", "messages_pkey"),
        ("redact_messages", "messages", "messages_pkey"),
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
    ("lock_contact_messages", {"limit": 1000}),
    ("lock_expired_messages", {"limit": 5, "readable_from": NEWEST}),
    ("lock_conversations", KNOWN),
    ("redact_messages", KNOWN),
    ("fill_in_message", {"id": hashed(7)}),
]


@pytest.mark.parametrize(("name", "given"), WRITES)
def test_a_write_reads_a_handful_of_rows_whatever_the_inbox_holds(conn, name, given):
    plan = run(conn, name, explain_planned_once, **values_of(name) | given)
    for table in TENANT_TABLES:
        for scan in scans(plan, table):
            removed = sum(count for key, count in scan.items() if key.startswith("Rows Removed"))
            assert (scan["Actual Rows"] + removed) * scan["Actual Loops"] <= 10, scan


@pytest.mark.parametrize("name", sorted(queries.QUERIES))
def test_a_query_is_short_enough_for_psycopg_to_remember(name):
    assert len(queries.QUERIES[name]) <= psycopg._queries.MAX_CACHED_STATEMENT_LENGTH
    assert "--" not in queries.QUERIES[name]


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
    message = {
        "id": str(uuid.uuid4()),
        "direction": "inbound",
        "from": contact(1),
        "to": alice.number,
        "body": "hello",
    }
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


def test_what_needs_no_key_costs_a_statement_at_most(statements):
    assert statements("GET", "/livez") == (200, 0)
    assert statements("GET", "/readyz") == (200, 1)
