"""The schema changes under running workers: 503 at worst, and the same pages afterwards."""

import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import SERVER_URL, contact, new_database, new_organization, using_database
from tests.load import Load
from tests.servers import programs, running_service, wait_until

LIST = "/v1/conversations"


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple]:
    """A database, a service over it and an organization with ten conversations."""
    url = new_database(SERVER_URL)
    with using_database(url):
        alice = new_organization(None)
        for number in range(10):
            alice.receive(contact(number), "2026-04-28T12:00:01+00:00")
    with running_service(url, WEB_CONCURRENCY=2) as service:
        yield url, service, alice


def run(program: str, *arguments: object, ends_with: int = 0) -> None:
    done = subprocess.run(
        [programs().folder / program, *map(str, arguments)], capture_output=True, check=False
    )
    assert done.returncode == ends_with, done.stderr


def assert_at_worst_503(stage: tuple, change) -> None:
    """Load the service during a change; every page that was answered is the whole page."""
    _, service, alice = stage
    expected = service.request("GET", LIST, alice.key)[2]["data"]
    assert len(expected) == 10
    load = Load(service.port, alice.key, (LIST, "/readyz"), clients=4)
    with load.running():
        time.sleep(0.2)
        change()
        time.sleep(0.5)
    assert load.statuses() <= {200, 503}, load.statuses()
    wait_until(lambda: service.request("GET", LIST, alice.key)[0] == 200, seconds=5)
    # Each connection of both workers has recovered, not only the first one that was asked.
    answers = [service.request("GET", LIST, alice.key) for _ in range(40)]
    assert {status for status, _, _ in answers} <= {200, 503}
    answers = [service.request("GET", LIST, alice.key) for _ in range(20)]
    assert [(status, body["data"]) for status, _, body in answers] == [(200, expected)] * 20


@pytest.mark.parametrize(
    "options", [("--single-transaction",), ()], ids=["in one transaction", "in steps"]
)
def test_a_restore_over_the_live_database(stage, tmp_path, options):
    url, _, _ = stage
    dump = tmp_path / "dump"
    run("pg_dump", "--format=custom", f"--file={dump}", url)
    # Of a deadlock between the restore and a request, PostgreSQL ends who looks for one first.
    target = psycopg.conninfo.make_conninfo(url, options="-c deadlock_timeout=30s")

    def restore() -> None:
        run("pg_restore", "--clean", "--no-owner", *options, f"--dbname={target}", dump)

    assert_at_worst_503(stage, restore)


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE api_keys RENAME TO away", "ALTER TABLE away RENAME TO api_keys"),
        (
            "ALTER TABLE conversations RENAME COLUMN list_item TO away",
            "ALTER TABLE conversations RENAME COLUMN away TO list_item",
        ),
        ("ALTER SCHEMA public RENAME TO away", "ALTER SCHEMA away RENAME TO public"),
        (
            # The result of a prepared statement changes its type.
            "ALTER TABLE api_keys ALTER prefix TYPE varchar(100)",
            "ALTER TABLE api_keys ALTER prefix TYPE text",
        ),
    ],
    ids=["table", "column", "schema", "type"],
)
def test_what_the_workers_read_goes_away_and_comes_back(stage, statements):
    url, _, _ = stage

    def change() -> None:
        for statement in statements:
            execute(url, statement)
            time.sleep(0.3)

    assert_at_worst_503(stage, change)
