"""The README's two lines: what pg_dump wrote, pg_restore brings back, ids and summaries too."""

import os
import subprocess

from conftest import DATABASE_URL, SERVER_URL, contact, new_database
from servers import ROOT, bin_folder

import checks
import db
import pool


def lines() -> list[str]:
    """The commands of the README's block on backups."""
    block = (ROOT / "README.md").read_text().split("**Back up**", 1)[1].split("```")[1]
    return block.strip().splitlines()


def run(line: str, database_url: str, folder) -> None:
    path = f"{bin_folder()}:{os.environ['PATH']}"
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
    summaries = db.fetch_all("list_summaries", organization_id=alice.id)
    with pool.configured(restored):
        assert db.fetch_all("list_summaries", organization_id=alice.id) == summaries
        assert list(checks.run(alice.id, repair=False)) == []
    assert len(summaries) == 3
