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
from tests.api.test_tenancy import OF_A_KEY, OVER_ALL_ORGANIZATIONS, tenant_tables
from tests.conftest import SERVER_URL, new_database

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
def catalog():
    """Run SQL on the migrated database."""
    with pool.connection() as conn:
        yield lambda query: conn.execute(query).fetchall()


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


@pytest.mark.parametrize("name", TENANTS_QUERIES)
def test_every_read_names_the_organization_as_a_parameter(catalog, name):
    for statement in PARSED[name].find_all(exp.Select, exp.Update, exp.Delete):
        tables = [each for each in reads(statement) if each.name in tenant_tables(catalog)]
        named = named_tables(statement)
        for table in tables:
            is_alone = len(tables) == 1 and "" in named
            assert is_alone or table.alias_or_name in named, table.sql()


@pytest.mark.parametrize("name", TENANTS_QUERIES)
def test_every_new_row_takes_the_organization_from_the_parameter(catalog, name):
    for insert in PARSED[name].find_all(exp.Insert):
        if target(insert).name not in tenant_tables(catalog):
            continue
        place = [column.name for column in insert.this.expressions].index("organization_id")
        source = insert.expression
        rows = source.expressions if isinstance(source, exp.Values) else [source]
        for row in rows:
            assert is_organization(uncast(row.expressions[place].unalias()))


# get_health asks for the server's own state and reads a reference table alone, on the coordinator.
@pytest.mark.parametrize("name", sorted(set(PARSED) - {"get_health"}))
def test_no_set_case_or_on_conflict_calls_a_volatile_or_clock_function(unsteady, name):
    parts = list(PARSED[name].find_all(exp.Case, exp.OnConflict))
    for update in PARSED[name].find_all(exp.Update):
        parts += update.expressions
    for part in parts:
        found = unsteady.search(part.sql(dialect="postgres"))
        assert not found, f"{found[0]} in {part.sql(dialect='postgres')}"


@pytest.mark.parametrize("name", sorted(PARSED))
def test_no_table_is_read_beside_the_statement_that_changes_it(name):
    if isinstance(PARSED[name], exp.Delete) and not PARSED[name].find(exp.CTE):
        return  # One statement and one snapshot: its own WHERE may read the table.
    changes = list(PARSED[name].find_all(*CHANGES))
    changed = {target(change).name for change in changes}
    for statement in PARSED[name].find_all(*SCOPES):
        for table in reads(statement):
            # What an UPDATE itself changes, and the rows before it: UPDATE … FROM … AS before.
            is_its_own = isinstance(statement, CHANGES) and (
                table is target(statement)
                or (table.name == target(statement).name and table.alias == "before")
            )
            assert is_its_own or table.name not in changed, table.sql()


@pytest.mark.parametrize("name", sorted(PARSED))
def test_no_subquery_depends_on_a_row_of_a_reference_table(name):
    for select in PARSED[name].find_all(exp.Select):
        outer = {each.alias_or_name for each in reads(select) if each.name in REFERENCE_TABLES}
        inner = list(direct(select, exp.Select))
        assert not (outer and list(direct(select, exp.Lateral)))
        for column in (column for each in inner for column in each.find_all(exp.Column)):
            assert column.table not in outer, column.sql()


@pytest.mark.parametrize(
    ("form", "statement"),
    [
        (
            test_every_read_names_the_organization_as_a_parameter,
            "SELECT id FROM messages WHERE organization_id = (SELECT %(organization_id)s)",
        ),
        (
            test_every_read_names_the_organization_as_a_parameter,
            "SELECT m.id FROM messages AS m INNER JOIN conversations AS c ON m.id = c.id"
            " WHERE m.organization_id = %(organization_id)s",
        ),
        (
            test_every_new_row_takes_the_organization_from_the_parameter,
            "INSERT INTO messages (organization_id) SELECT organization_id FROM conversations",
        ),
        (
            test_no_set_case_or_on_conflict_calls_a_volatile_or_clock_function,
            "UPDATE messages SET redacted_at = now()",
        ),
        (
            test_no_set_case_or_on_conflict_calls_a_volatile_or_clock_function,
            "SELECT CASE WHEN id = 1 THEN gen_random_uuid() END",
        ),
        (
            test_no_table_is_read_beside_the_statement_that_changes_it,
            "WITH changed AS (DELETE FROM messages RETURNING id) SELECT count(*) FROM messages",
        ),
        (
            test_no_subquery_depends_on_a_row_of_a_reference_table,
            "SELECT 1 FROM organizations CROSS JOIN LATERAL (SELECT 1 FROM messages) AS m",
        ),
        (
            test_no_subquery_depends_on_a_row_of_a_reference_table,
            "SELECT (SELECT 1 FROM messages WHERE organization_id = o.id) FROM organizations AS o",
        ),
    ],
)
def test_each_form_finds_what_breaks_it(form, statement, catalog, unsteady, monkeypatch):
    monkeypatch.setitem(PARSED, "broken", sqlglot.parse_one(statement, dialect="postgres"))
    fixtures = {"catalog": catalog, "unsteady": unsteady, "name": "broken"}
    names = form.__code__.co_varnames[: form.__code__.co_argcount]
    with pytest.raises(AssertionError):
        form(**{name: fixtures[name] for name in names})


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


def test_every_table_is_distributed_by_organization_or_copied_to_all_nodes(catalog):
    text = CITUS.read_text()
    distributed = re.findall(r"create_distributed_table\(\s*'(\w+)', 'organization_id'", text)
    references = re.findall(r"create_reference_table\('(\w+)'\)", text)
    assert set(references) == REFERENCE_TABLES
    assert set(distributed) | {"api_keys"} == tenant_tables(catalog)


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
