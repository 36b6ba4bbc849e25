"""The forms that a distributed PostgreSQL (Citus) needs, held on the files of sql/.

Distributed by organization, each query of a request must go to one node, and the statements of
modifying CTEs run there one after another.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlglot
from sqlglot import exp

from conversations.database import migrations, pool, queries
from conversations.database.connection import connect
from tests.conftest import SERVER_URL, new_database
from tests.database.tenants import OF_A_KEY, OVER_ALL_ORGANIZATIONS

# Copied to every node; all other tables are spread over the nodes by organization.
REFERENCE_TABLES = {"organizations", "api_keys"}
CITUS = Path(__file__).parents[2] / "sql" / "citus.sql"

CLOCKS = {"statement_timestamp", "current_timestamp", "current_date", "current_time"}
CHANGES = (exp.Insert, exp.Update, exp.Delete)
SCOPES = (exp.Select, *CHANGES)

# sqlglot does not know COPY in the binary format, ANALYZE has no forms, and get_replica_lag reads
# no table.
WITHOUT_FORMS = {"copy_staged_rows", "analyze_inbox", "get_replica_lag"}
PARSED = {
    name: sqlglot.parse_one(text, dialect="postgres")
    for name, text in queries.QUERIES.items()
    if name not in WITHOUT_FORMS
}
TENANTS_QUERIES = sorted(set(PARSED) - OVER_ALL_ORGANIZATIONS - OF_A_KEY)


@pytest.fixture(scope="module")
def unsteady(catalog) -> re.Pattern[str]:
    """A call of a function that is volatile, or that reads the clock."""
    rows = catalog("SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'")
    names = CLOCKS | {row["proname"] for row in rows}
    assert {"random", "gen_random_uuid", "clock_timestamp"} <= names
    return re.compile(rf"\b({'|'.join(sorted(names))})\b(?=\(| |$)", re.IGNORECASE)


def direct(node: exp.Expression, *kinds: type) -> Iterator[exp.Expression]:
    """The parts of a statement of these kinds that are not inside another statement in it."""
    for each in node.walk(prune=lambda part: part is not node and isinstance(part, SCOPES)):
        if each is not node and isinstance(each, kinds):
            yield each


def target(change: exp.Expression) -> exp.Table:
    """The table that an INSERT, UPDATE or DELETE changes."""
    return change.this if isinstance(change.this, exp.Table) else change.this.this


def reads(statement: exp.Expression) -> list[exp.Table]:
    """The tables that one statement reads, and for UPDATE and DELETE the one that it changes."""
    tables = list(direct(statement, exp.Table))
    if isinstance(statement, exp.Insert):
        tables.remove(target(statement))
    return tables


def uncast(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Cast) else node


def is_organization(node: exp.Expression) -> bool:
    return isinstance(node, exp.Placeholder) and node.name == "organization_id"


def named_tables(statement: exp.Expression) -> set[str]:
    """The tables, by alias, of which one statement reads only the rows of the parameter."""
    pairs = []
    for equal in direct(statement, exp.EQ):
        sides = uncast(equal.left), uncast(equal.right)
        if all(is_organization(side) or side.name == "organization_id" for side in sides):
            pairs.append({"%" if is_organization(side) else side.text("table") for side in sides})
    named = {"%"}
    for _ in pairs:
        for pair in pairs:
            if pair & named:
                named |= pair
    return named


# A form takes a statement and yields the parts of it that break the form.


def reads_without_the_organization(statement: exp.Expression, tenants: set[str]) -> Iterator[str]:
    for part in statement.find_all(exp.Select, exp.Update, exp.Delete):
        tables = [each for each in reads(part) if each.name in tenants]
        named = named_tables(part)
        is_alone = len(tables) == 1 and "" in named
        for table in tables:
            if not is_alone and table.alias_or_name not in named:
                yield table.sql()


def rows_of_another_organization(statement: exp.Expression, tenants: set[str]) -> Iterator[str]:
    for insert in statement.find_all(exp.Insert):
        if target(insert).name in tenants:
            place = [column.name for column in insert.this.expressions].index("organization_id")
            source = insert.expression
            for row in source.expressions if isinstance(source, exp.Values) else [source]:
                if not is_organization(uncast(row.expressions[place].unalias())):
                    yield row.sql()


def unsteady_parts(statement: exp.Expression, unsteady: re.Pattern[str]) -> Iterator[str]:
    parts = list(statement.find_all(exp.Case, exp.OnConflict))
    for update in statement.find_all(exp.Update):
        parts += update.expressions
    for part in parts:
        if unsteady.search(text := part.sql(dialect="postgres")):
            yield text


def reads_beside_a_change(statement: exp.Expression) -> Iterator[str]:
    if isinstance(statement, exp.Delete) and not statement.find(exp.CTE):
        return  # One statement and one snapshot: its own WHERE may read the table.
    changed = {target(change).name for change in statement.find_all(*CHANGES)}
    for part in statement.find_all(*SCOPES):
        for table in reads(part):
            # What an UPDATE itself changes, and the rows before it: UPDATE … FROM … AS before.
            is_its_own = isinstance(part, CHANGES) and (
                table is target(part)
                or (table.name == target(part).name and table.alias == "before")
            )
            if not is_its_own and table.name in changed:
                yield table.sql()


def subqueries_of_a_reference_row(statement: exp.Expression) -> Iterator[str]:
    for select in statement.find_all(exp.Select):
        outer = {each.alias_or_name for each in reads(select) if each.name in REFERENCE_TABLES}
        if outer:
            yield from (lateral.sql() for lateral in direct(select, exp.Lateral))
        for inner in direct(select, exp.Select):
            for column in inner.find_all(exp.Column):
                if column.table in outer:
                    yield column.sql()


def offenders(names, form, *known) -> dict[str, list[str]]:
    """The queries that break a form, each with its parts that do."""
    found = {name: list(form(PARSED[name], *known)) for name in names}
    return {name: parts for name, parts in found.items() if parts}


def test_every_read_names_the_organization_as_a_parameter(tenants):
    assert offenders(TENANTS_QUERIES, reads_without_the_organization, tenants) == {}


def test_every_new_row_takes_the_organization_from_the_parameter(tenants):
    assert offenders(TENANTS_QUERIES, rows_of_another_organization, tenants) == {}


def test_no_set_case_or_on_conflict_calls_a_volatile_or_clock_function(unsteady):
    # get_health asks for the server's own state and reads a reference table alone, on the
    # coordinator.
    assert offenders(set(PARSED) - {"get_health"}, unsteady_parts, unsteady) == {}


def test_no_table_is_read_beside_the_statement_that_changes_it():
    assert offenders(PARSED, reads_beside_a_change) == {}


def test_no_subquery_depends_on_a_row_of_a_reference_table():
    assert offenders(PARSED, subqueries_of_a_reference_row) == {}


BROKEN = [
    (
        reads_without_the_organization,
        "SELECT id FROM messages WHERE organization_id = (SELECT %(organization_id)s)",
    ),
    (
        reads_without_the_organization,
        "SELECT m.id FROM messages AS m INNER JOIN conversations AS c ON m.id = c.id"
        " WHERE m.organization_id = %(organization_id)s",
    ),
    (
        rows_of_another_organization,
        "INSERT INTO messages (organization_id) SELECT organization_id FROM conversations",
    ),
    (unsteady_parts, "UPDATE messages SET redacted_at = now()"),
    (unsteady_parts, "SELECT CASE WHEN id = 1 THEN gen_random_uuid() END"),
    (
        reads_beside_a_change,
        "WITH changed AS (DELETE FROM messages RETURNING id) SELECT count(*) FROM messages",
    ),
    (
        subqueries_of_a_reference_row,
        "SELECT 1 FROM organizations CROSS JOIN LATERAL (SELECT 1 FROM messages) AS m",
    ),
    (
        subqueries_of_a_reference_row,
        "SELECT (SELECT 1 FROM messages WHERE organization_id = o.id) FROM organizations AS o",
    ),
]


def test_each_form_finds_what_breaks_it(tenants, unsteady):
    known = {"tenants": tenants, "unsteady": unsteady}
    for form, text in BROKEN:
        needs = [known[name] for name in form.__annotations__ if name in known]
        assert list(form(sqlglot.parse_one(text, dialect="postgres"), *needs)), text


# What is said once: by the migrations, by sql/citus.sql, by each connection


def test_a_migration_is_executed_one_statement_at_a_time():
    with psycopg.connect(new_database(SERVER_URL), autocommit=True) as conn:
        for path in sorted(migrations.FOLDER.glob("*.sql")):
            for statement in migrations.split_statements(path.read_text()):
                # The extended protocol refuses two statements in one call.
                conn.execute(statement, binary=True)


def test_a_semicolon_inside_a_comment_a_string_a_name_or_a_body_ends_no_statement():
    pieces = [
        "SELECT 'it''s; one'",
        ' -- a comment; and "\nSELECT $$ ; $x$ ; $$, $body$ $$;$$ ; $body$',
        '\nSELECT 1 AS "a;b" /* ; */',
    ]
    assert migrations.split_statements(";".join(pieces) + ";\n\n") == pieces


def test_every_table_is_distributed_by_organization_or_copied_to_all_nodes(tenants):
    text = CITUS.read_text()
    distributed = re.findall(r"create_distributed_table\(\s*'(\w+)', 'organization_id'", text)
    references = re.findall(r"create_reference_table\('(\w+)'\)", text)
    assert set(references) == REFERENCE_TABLES
    assert set(distributed) | {"api_keys"} == tenants


def test_a_connection_to_citus_does_not_force_generic_plans():
    url = new_database(SERVER_URL)

    def plan_cache_mode() -> str:
        with connect(url, for_requests=True) as conn:
            return conn.execute("SHOW plan_cache_mode").fetchone()["plan_cache_mode"]

    assert plan_cache_mode() == "force_generic_plan"
    with connect(url) as conn:
        conn.execute("CREATE FUNCTION citus_version() RETURNS text RETURN 'Citus'")
    assert plan_cache_mode() == "auto"


def test_a_lost_node_is_unavailable(app):
    lost = "failure on connection marked as essential: 10.0.0.2:5432"
    with pytest.raises(pool.Unavailable), pool.connection() as conn:
        conn.execute(f"DO $$ BEGIN RAISE '{lost}' USING ERRCODE = 'XX000'; END $$")
