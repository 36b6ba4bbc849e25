"""A backup and its restore by the lines of docs/operations.md."""

import os
import shutil
import subprocess
import sys
import uuid

import psycopg
import pytest

from conversations.database import migrations, pool, queries
from conversations.database.connection import connect
from conversations.inbox import checks, organizations
from tests.command_line import flask_process
from tests.conftest import DATABASE_URL, SERVER_URL, contact, new_database
from tests.servers import ROOT, programs_of_this_version, running_postgres


def recipes() -> list[str]:
    """Return the blocks of the document's section: how to back up, and how to restore."""
    document = (ROOT / "docs" / "operations.md").read_text()
    section = document.split("\n## Backup and restore\n", 1)[1].split("\n## ", 1)[0]
    return section.split("```")[1:4:2]


def run(script: str, folder, database_url: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a recipe in a folder, with the programs of the server's version."""
    env = os.environ | {"DATABASE_URL": database_url} | variables
    env["PATH"] = f"{programs_of_this_version().folder}:{env['PATH']}"
    return subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_a_restored_backup_lists_the_same_conversations_under_the_same_ids(alice, tmp_path):
    for number in range(3):
        alice.receive(contact(number), "2026-04-28T12:00:01+00:00", f"message {number}")
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    back_up, restore = recipes()
    assert run(back_up, tmp_path, DATABASE_URL).returncode == 0
    assert (tmp_path / "conversations.dump").stat().st_mode & 0o777 == 0o600
    restored = new_database(SERVER_URL)
    assert run(restore, tmp_path, restored).returncode == 0
    summaries = queries.fetch_all("list_summaries", organization_id=alice.id)
    with pool.using(pool.Database(restored)):
        assert queries.fetch_all("list_summaries", organization_id=alice.id) == summaries
        assert list(checks.check(alice.id, repair=False)) == []
    assert len(summaries) == 3


def schema_of(url: str, folder) -> list[str]:
    """Every table, key, index and function of a database, and the ledger of its migrations."""
    dumped = run('pg_dump --schema-only --no-owner "$DATABASE_URL"', folder, url)
    assert dumped.returncode == 0, dumped.stderr
    with psycopg.connect(url) as conn:
        ledger = conn.execute("SELECT name, checksum FROM schema_migrations ORDER BY 1").fetchall()
    # Newer versions of pg_dump add a random word as `\\restrict`.
    lines = dumped.stdout.splitlines()
    return [line for line in lines if not line.startswith("\\")] + ledger


ROWS = {
    "0001": "INSERT INTO organizations (id, name) VALUES (%(id)s, 'Test')",
    "0002": "INSERT INTO api_keys (organization_id, key_hash, prefix, label, scopes)"
    " VALUES (%(id)s, sha256('key'), 'am_live_test', '', '{messages:write}')",
    "0003": "INSERT INTO phone_numbers (organization_id, id, number)"
    " VALUES (%(id)s, %(id)s, '+15551112222')",
    "0009": "INSERT INTO conversation_counts (organization_id, counted_id, shard, opted_in_count,"
    " other_count, change_count, phone_number_count)"
    " VALUES (%(id)s, '00000000-0000-0000-0000-000000000000', 0, 0, 0, 1, 1)",
}
FILES = sorted(migrations.FOLDER.glob("*.sql"))


@pytest.mark.parametrize("count", range(1, len(FILES) + 1))
def test_a_backup_of_any_earlier_schema_is_restored_and_migrated(tmp_path, monkeypatch, count):
    id, old, restored = uuid.uuid4(), new_database(SERVER_URL), new_database(SERVER_URL)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for path in FILES[:count]:
        shutil.copy(path, earlier)
    with monkeypatch.context() as patch, connect(old) as conn:
        patch.setattr(migrations, "FOLDER", earlier)
        assert len(migrations.migrate(conn)) == count
        for path in FILES[:count]:
            if path.name[:4] in ROWS:
                conn.execute(ROWS[path.name[:4]], {"id": id})
    back_up, restore = recipes()
    assert run(back_up, tmp_path, old).returncode == 0
    assert run(restore, tmp_path, restored).returncode == 0
    migrated = flask_process("migrate", DATABASE_URL=restored).stdout.decode().splitlines()
    assert migrated == ([path.stem for path in FILES[count:]] or ["already up to date"])
    assert schema_of(restored, tmp_path) == schema_of(DATABASE_URL, tmp_path)
    with pool.using(pool.Database(restored)):
        (organization,) = organizations.list_organizations()
        assert organization["organization_id"] == id
        number = organizations.create_phone_number(id, "+15551112222")
        assert (number == id) == (count >= 3)
        assert len(queries.fetch_all("list_api_keys", organization_id=id)) == (count >= 2)
        assert list(checks.check(id, repair=True)) == []


def test_a_restore_into_a_database_that_is_not_empty_changes_nothing(tmp_path):
    # An upgraded database and an older backup would make a schema of both.
    back_up, restore = recipes()
    assert run(back_up, tmp_path, DATABASE_URL).returncode == 0
    used = new_database(SERVER_URL)
    with connect(used) as conn:
        migrations.migrate(conn)
    before = schema_of(used, tmp_path)
    assert "already exists" in run(restore, tmp_path, used).stderr
    assert schema_of(used, tmp_path) == before
    with psycopg.connect(used) as conn:
        assert conn.execute("SELECT count(*) FROM organizations").fetchone() == (0,)


def test_the_password_may_stand_beside_the_url(tmp_path):
    with running_postgres() as postgres:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            hba = postgres.data / "pg_hba.conf"
            hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            conn.execute("CREATE ROLE service LOGIN PASSWORD 'a:b@c/d'")
            conn.execute("CREATE DATABASE inbox OWNER service")
            conn.execute("SELECT pg_reload_conf()")
        url = f"postgresql://service@/inbox?host={postgres.data.parent}"
        password_file = tmp_path / "passwords"
        password_file.write_text("*:*:inbox:service:a\\:b@c/d\n")
        password_file.chmod(0o600)
        migrate = f"'{sys.executable}' -m flask --app '{ROOT / 'app.py'}' migrate"
        for script in (migrate, recipes()[0]):
            refused = run(script, tmp_path, url, PGPASSWORD="another")
            assert "password authentication failed" in refused.stderr
            assert "another" not in refused.stderr
            assert run(script, tmp_path, url, PGPASSWORD="a:b@c/d").returncode == 0
            assert run(script, tmp_path, url, PGPASSFILE=str(password_file)).returncode == 0
