"""What the tests of plans share: lists with each set of filters, and how a plan is read."""

import hashlib
import itertools
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import psycopg

from conversations.database import queries
from conversations.database.connection import REQUEST_PLANNING
from tests.conftest import SERVER_URL, contact

ORGANIZATION = uuid.UUID(int=1)
KEY = {"key_hash": hashlib.sha256(ORGANIZATION.bytes).digest()}
NEWEST = datetime(2026, 4, 28, 12, 0, tzinfo=UTC)
LIMIT = 50
BIG_TABLES = ("conversations", "messages", "phone_numbers", "api_keys")
TENANT_TABLES = (*BIG_TABLES, "conversation_counts")

# A value for each filter of a list: those of the conversation 1,545 minutes old, which is opted in,
# on the number with id 2, and ends with an outbound message.
FILTERS = {
    "phone_number_id": uuid.UUID(int=2),
    "contact_number": contact(772),
    "since": NEWEST - timedelta(minutes=2000),
    "opted_in": True,
}
# The filters for which the total is counted, row by row, because no count is kept for them.
COUNTED = {"contact_number", "since"}
# The filters that have no index: a page also reads the rows that they leave out.
WITHOUT_INDEX: set[str] = set()
# The index of a page of conversations: the first whose filters are all given.
INDEXES = [
    ({"contact_number"}, "conversations_with_contact"),
    ({"phone_number_id", "opted_in"}, "conversations_of_phone_number_by_consent"),
    ({"phone_number_id"}, "conversations_of_phone_number"),
    ({"opted_in"}, "conversations_by_consent"),
    (set(), "conversations_newest_first"),
]
POSITION = {"cursor_at": NEWEST - timedelta(minutes=500), "cursor_id": uuid.UUID(int=7)}
NO_POSITION = dict.fromkeys(POSITION)
POSITIONS = {"first page": NO_POSITION, "cursor": POSITION}


def drop(url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name}")


def parameters_of(name: str) -> list[str]:
    """The parameters that a query names."""
    return list(dict.fromkeys(re.findall(r"%\((\w+)\)s", queries.QUERIES[name])))


def combinations_of(name: str) -> list[frozenset[str]]:
    """Every set of the filters that a list has."""
    filters = [each for each in FILTERS if each in parameters_of(name)]
    counts = range(len(filters) + 1)
    return [frozenset(each) for n in counts for each in itertools.combinations(filters, n)]


COMBINATIONS = combinations_of("list_conversations")
CONSENT_COMBINATIONS = combinations_of("list_consent")
# Of a contact there is a handful; an index for that order would cost every writer.
IN_ORDER = [filters for filters in COMBINATIONS if "contact_number" not in filters]


def explain(conn, name: str, /, options: str = "FORMAT JSON", **params) -> dict:
    """The plan of a query of ours with these very values, and NULL for the others."""
    params = dict.fromkeys(parameters_of(name)) | params
    row = conn.execute(f"EXPLAIN ({options}) {queries.QUERIES[name]}", params).fetchone()
    return orjson.loads(orjson.dumps(row["QUERY PLAN"]))[0]["Plan"]


def explain_planned_once(conn, name: str, /, options: str = "FORMAT JSON", **params) -> dict:
    """The plan that the service's connections make of a query, for any values of what is given."""
    params = dict.fromkeys(parameters_of(name)) | params
    query = queries.specialize(name, frozenset(key for key in params if params[key] is not None))
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query)))
    numbered = query % {key: f"${number}" for number, key in enumerate(names, 1)}
    given = f"({', '.join(f'%({key})s' for key in names)})" if names else ""
    execution = f"EXPLAIN ({options}) EXECUTE query {given}"
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


def values(filters: frozenset[str]) -> dict:
    """The arguments of these filters and none for the others."""
    return {name: value if name in filters else None for name, value in FILTERS.items()}


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


def name_of(filters: frozenset) -> str:
    return "+".join(sorted(filters)) or "all"


def index_for(filters: frozenset) -> str:
    return next(index for needed, index in INDEXES if filters >= needed)


def removed_by_filter(scan: dict, filters: frozenset) -> int:
    """The rows that a scan read in vain, where the filters have an index."""
    return 0 if filters & WITHOUT_INDEX else scan.get("Rows Removed by Filter", 0)
