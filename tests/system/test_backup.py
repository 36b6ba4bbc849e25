"""A backup and its restore by the lines of docs/operations.md."""

import os
import subprocess

from conversations.database import pool, queries
from conversations.inbox import checks
from tests.conftest import DATABASE_URL, SERVER_URL, contact, new_database
from tests.servers import ROOT, programs


def lines() -> list[str]:
    """The commands of the document's block on backups."""
    document = (ROOT / "docs" / "operations.md").read_text()
    block = document.split("\n## Backup and restore\n", 1)[1].split("```")[1]
    return block.strip().splitlines()


def run(line: str, database_url: str, folder) -> None:
    path = f"{programs().folder}:{os.environ['PATH']}"
    environ = os.environ | {"DATABASE_URL": database_url, "PATH": path}
    subprocess.run(line, shell=True, check=True, cwd=folder, env=environ)  # noqa: S602


def test_a_restored_backup_lists_the_same_conversations_under_the_same_ids(alice, tmp_path):
    for number in range(3):
        alice.receive(contact(number), "2026-04-28T12:00:01+00:00", f"message {number}")
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    dump, restore = lines()
    run(dump, DATABASE_URL, tmp_path)
    restored = new_database(SERVER_URL)
    run(restore, restored, tmp_path)
    summaries = queries.fetch_all("list_summaries", organization_id=alice.id)
    with pool.using(pool.PoolSettings(restored)):
        assert queries.fetch_all("list_summaries", organization_id=alice.id) == summaries
        assert list(checks.check(alice.id, repair=False)) == []
    assert len(summaries) == 3
