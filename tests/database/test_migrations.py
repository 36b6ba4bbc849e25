import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conversations.database import migrations, pool, queries
from conversations.database.connection import connect
from schemas.numbers import PHONE_NUMBER
from tests.command_line import ROOT, flask_process
from tests.conftest import DATABASE_URL, SERVER_URL, new_database
from tests.servers import free_port, running_service

NAMES = [path.stem for path in sorted(migrations.FOLDER.glob("*.sql"))]
NEWEST = NAMES[-1]
# The migrations of all releases, as sha256sum prints them. Databases have them: they never change.
RELEASED = """
8c18cbb14b0c685fb16142121cadfbd3dec9344a477005147d9739f94ff08c35  0001_create_organizations
78e147a629ad386475f07458abbe183fcc630e8a6fc3b72aa49f870f2826b51d  0002_create_api_keys
8e4f907857f986af9004b5519c7fc900f9169de872186a4c0a82064721b11aae  0003_create_phone_numbers
3f518cb7bb5727510a4cefaf5245378da856ef5c683072ecddc97958a1b0b569  0004_create_conversations
403238e6c20940f41623224aac3cbe3cec21834142b9e9f5932b78c6b48cca94  0005_create_messages
da8e6eb15fc4e8002ae10e05b6866af2cb858d47f7fed49db5045a59d7915223  0006_create_conversation_counts
4a6589abad1c9bda2f5a0462136673d04d77761ff8e3ce49079bd847df4398cb  0007_make_conversation_ids_plain
17a18f7e2283244499ee4f8ee4d57f4fda21f8bcfcb89e798676fad27fd85a73  0008_validate_conversation_checks
24e4177856309da76eaa60d42def2a09299843b15b731cd9d10024fed74aaa96  0009_add_organization_counts
c5762597df3f528a603b097395063b642f040bf1b4e8298b08ecfadb579e60ae  0010_add_deletion_started_at
5992f425c61b019709fafdd380d025b3b01944b6990ccd34f6570036e53c9403  0011_index_retention_runs
691bbed015e8030ef1baae886adda7c25d6549595bf7ea5a799a9f11613cb7c9  0012_plan_for_large_organizations
"""


@pytest.fixture
def empty() -> str:
    """The URL of an empty database."""
    return new_database(SERVER_URL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the migrations, which this process takes for the real ones."""
    copy = shutil.copytree(migrations.FOLDER, tmp_path / "migrations")
    monkeypatch.setattr(migrations, "FOLDER", copy)
    return copy


def migrate(url: str) -> list[str]:
    with connect(url) as conn:
        return migrations.migrate(conn)


def ledger(url: str) -> list[str]:
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT name FROM schema_migrations ORDER BY applied_at, name")
        return [name for (name,) in rows]


def forget(url: str, name: str) -> None:
    """Make a database look as if a migration had not been applied yet."""
    with psycopg.connect(url) as conn:
        conn.execute("DELETE FROM schema_migrations WHERE name = %s", [name])


def test_released_migrations_never_change_and_none_is_added_between_them():
    released = [line.split() for line in RELEASED.split("\n") if line]
    files = [migrations.FOLDER / f"{name}.sql" for name in NAMES[: len(released)]]
    found = [[hashlib.sha256(file.read_bytes()).hexdigest(), file.stem] for file in files]
    assert found == released


def test_four_migrations_at_once_apply_each_once(empty):
    with ThreadPoolExecutor(4) as threads:
        attempts = [threads.submit(flask_process, "migrate", DATABASE_URL=empty) for _ in range(4)]
    done = [attempt.result() for attempt in attempts]
    assert [(each.returncode, each.stderr) for each in done] == [(0, b"")] * 4
    printed = sorted(line for each in done for line in each.stdout.decode().splitlines())
    assert [line for line in printed if line != "already up to date"] == NAMES
    assert ledger(empty) == NAMES


def test_a_new_file_alone_is_applied(empty, folder):
    migrate(empty)
    (folder / "0100_create_notes.sql").write_text("CREATE TABLE notes (id integer);")
    assert migrate(empty) == ["0100_create_notes"]
    assert migrate(empty) == []


def test_a_file_that_fails_leaves_nothing_and_keeps_those_before_it(empty, folder):
    (folder / "0100_create_notes.sql").write_text("CREATE TABLE notes (id integer);")
    bad = folder / "0101_create_more_notes.sql"
    bad.write_text("CREATE TABLE more_notes (id integer); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty)
    assert ledger(empty)[-1] == "0100_create_notes"
    bad.write_text("CREATE TABLE more_notes (id integer);")
    assert migrate(empty) == ["0101_create_more_notes"]


def test_a_file_that_was_edited_after_it_had_been_applied_is_refused(empty, folder):
    migrate(empty)
    edited = folder / f"{NAMES[0]}.sql"
    edited.write_text(edited.read_text() + "\n")
    (folder / "0100_create_notes.sql").write_text("CREATE TABLE notes (id integer);")
    for attempt in (migrate, migrations.check_database):
        with pytest.raises(migrations.SchemaMismatch, match=f"another {NAMES[0]}.sql"):
            attempt(empty)
    assert ledger(empty) == NAMES


def test_a_schema_that_is_ahead_serves_an_older_version(empty, folder):
    migrate(empty)
    (folder / f"{NEWEST}.sql").unlink()
    migrations.check_database(empty)
    assert migrate(empty) == []


def test_a_schema_that_is_behind_is_refused_by_name(empty):
    migrate(empty)
    forget(empty, NEWEST)
    with pytest.raises(pool.SchemaBehind, match=rf"\({NEWEST} not applied\)"):
        migrations.check_database(empty)


@pytest.mark.parametrize(
    "arguments", [("create-organization", "Brightside"), ("check-conversations",), ("demo",)]
)
def test_every_other_command_refuses_a_schema_that_is_behind(empty, arguments):
    done = flask_process(*arguments, DATABASE_URL=empty)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("run flask migrate")
    assert NAMES[0] in line


def start_gunicorn(database: str) -> subprocess.CompletedProcess:
    """Start the service where it must not start, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database, "PORT": str(free_port())},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_service_over_a_schema_that_is_behind_exits_and_names_the_command(empty):
    migrate(empty)
    forget(empty, NEWEST)
    done = start_gunicorn(empty)
    assert done.returncode != 0
    assert f"the schema is behind ({NEWEST} not applied): run flask migrate" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_service_over_an_edited_migration_exits_and_names_the_file(empty):
    migrate(empty)
    with psycopg.connect(empty) as conn:
        conn.execute("UPDATE schema_migrations SET checksum = 'x' WHERE name = %s", [NAMES[0]])
    done = start_gunicorn(empty)
    assert done.returncode != 0
    assert f"another {NAMES[0]}.sql" in done.stderr.decode()


def rename(database_name: str, new_name: str) -> None:
    with psycopg.connect(DATABASE_URL, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {database_name} RENAME TO {new_name}")


def test_a_service_that_finds_no_database_at_its_start_serves_503(alice):
    with running_service("postgres://127.0.0.1:1/nothing", WEB_CONCURRENCY=1) as service:
        assert service.request("GET", "/livez")[0] == 200
        for path in ("/readyz", "/v1/conversations"):
            status, headers, envelope = service.request("GET", path, alice.key)
            assert (status, envelope["error"]["code"]) == (503, "UNAVAILABLE")
            assert headers["Retry-After"].isdigit()
        assert "starting without the database" in service.log()


def test_a_worker_checks_the_schema_that_it_could_not_see_at_the_start(empty):
    # The database comes back with a schema that is behind: no answer may be made from it.
    name = psycopg.conninfo.conninfo_to_dict(empty)["dbname"]
    rename(name, "away_" + name)
    with running_service(empty, WEB_CONCURRENCY=1) as service:
        rename("away_" + name, name)
        status, _, envelope = service.request("GET", "/readyz")
        assert (status, envelope["error"]["code"]) == (503, "UNAVAILABLE")
        assert "run flask migrate" in service.log()
        migrate(empty)
        assert service.request("GET", "/readyz")[0] == 200


def test_migrations_are_numbered_in_the_order_in_which_they_apply():
    assert [name.split("_")[0] for name in NAMES] == [f"{n:04}" for n in range(1, len(NAMES) + 1)]


def test_the_tables_take_the_numbers_that_the_fields_take(app):
    # As SQL writes a quote in a text.
    rule = f"^({PHONE_NUMBER.pattern})$".replace("'", "''")
    with pool.connection() as connection:
        definitions = connection.execute(
            "SELECT conrelid::regclass::text AS name, pg_get_constraintdef(oid) AS definition"
            " FROM pg_constraint WHERE contype = 'c'"
        ).fetchall()
    tables = {row["name"] for row in definitions if rule in row["definition"]}
    assert tables >= {"phone_numbers", "conversations"}


def test_check_schema_names_every_column(app):
    with pool.connection() as conn:
        columns = conn.execute(
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name <> 'schema_migrations'"
        ).fetchall()
    text = queries.QUERIES["check_schema"]
    assert [row["name"] for row in columns if f"{row['name']} AS" not in text] == []


# Two conversations on one of three numbers, and consent, as version 1.0.0 stores and counts them.
INBOX_OF_1_0_0 = """
INSERT INTO organizations (id, name) VALUES ('00000000-0000-0000-0000-00000000000a', 'Test');

INSERT INTO phone_numbers (organization_id, id, number)
SELECT '00000000-0000-0000-0000-00000000000a', md5(n::text)::uuid, '+1555000' || n
FROM generate_series(1, 2) AS n;

INSERT INTO conversations (
    organization_id, phone_number_id, phone_number, contact_number, last_message_at,
    last_message_id, last_message_direction, last_message_preview, message_count
)
SELECT
    '00000000-0000-0000-0000-00000000000a', md5('1')::uuid, '+15550001', '+1666000' || n, now(),
    gen_random_uuid(), 'inbound', 'hello', 1
FROM generate_series(1, 2) AS n;

INSERT INTO conversations (
    organization_id, phone_number_id, phone_number, contact_number, opted_in_at, consent_updated_at
)
VALUES (
    '00000000-0000-0000-0000-00000000000a', md5('2')::uuid, '+15550002', 'DHL', now(), now()
);

INSERT INTO conversation_counts VALUES
('00000000-0000-0000-0000-00000000000a', md5('1')::uuid, 3, 0, 1, 1000, 0, 0),
('00000000-0000-0000-0000-00000000000a', md5('1')::uuid, 5, 0, 1, 2000, 0, 0),
('00000000-0000-0000-0000-00000000000a', md5('2')::uuid, 3, 0, 0, 4000, 1, 0),
('00000000-0000-0000-0000-00000000000a', md5('deleted')::uuid, 7, 0, 0, 8000, 0, 0)
"""


def test_an_inbox_of_the_first_release_keeps_its_ids_totals_and_change_count(empty, folder):
    newer = {path: path.read_text() for path in sorted(folder.glob("*.sql"))[6:]}
    for path in newer:
        path.unlink()
    migrate(empty)
    of_organization = {"organization_id": uuid.UUID(int=10)}
    with connect(empty) as conn:
        for statement in INBOX_OF_1_0_0.split(";\n"):
            conn.execute(statement)
        ids = conn.execute("SELECT id, contact_number FROM conversations").fetchall()
    for path, text in newer.items():
        path.write_text(text)
    migrate(empty)
    with connect(empty) as conn:
        assert conn.execute("SELECT id, contact_number FROM conversations").fetchall() == ids
        assert conn.execute(queries.QUERIES["compare_counts"], of_organization).fetchall() == []
        counted = conn.execute(queries.QUERIES["get_change_count"], of_organization).fetchone()
        assert counted["change_count"] == 15000
        rows = conn.execute("SELECT DISTINCT counted_id FROM conversation_counts").fetchall()
    # Without the deleted number, which costs nothing any more.
    assert len(rows) == 3
