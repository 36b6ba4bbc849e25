"""A backup and its restore by the lines of docs/operations.md."""

import os
import subprocess
import sys

import psycopg

from conversations.database import pool, queries
from conversations.inbox import checks
from tests.conftest import DATABASE_URL, SERVER_URL, contact, new_database
from tests.servers import ROOT, programs, running_postgres


def recipes() -> list[str]:
    """Return the blocks of the document's section: how to back up, and how to restore."""
    document = (ROOT / "docs" / "operations.md").read_text()
    section = document.split("\n## Backup and restore\n", 1)[1].split("\n## ", 1)[0]
    return section.split("```")[1:4:2]


def run(script: str, folder, database_url: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a recipe in a folder, with the programs of the server's version."""
    env = os.environ | {"DATABASE_URL": database_url} | variables
    env["PATH"] = f"{programs().folder}:{env['PATH']}"
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
    with pool.using(pool.PoolSettings(restored)):
        assert queries.fetch_all("list_summaries", organization_id=alice.id) == summaries
        assert list(checks.check(alice.id, repair=False)) == []
    assert len(summaries) == 3


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
        migrate = f"{sys.executable} -m flask --app {ROOT / 'app.py'} migrate"
        for script in (migrate, recipes()[0]):
            refused = run(script, tmp_path, url, PGPASSWORD="another")
            assert "password authentication failed" in refused.stderr
            assert "another" not in refused.stderr
            assert run(script, tmp_path, url, PGPASSWORD="a:b@c/d").returncode == 0
            assert run(script, tmp_path, url, PGPASSFILE=str(password_file)).returncode == 0
