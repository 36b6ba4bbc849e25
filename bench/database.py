"""The benchmarks' own embedded PostgreSQL, and inboxes of any size in it."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import psycopg.conninfo

from conversations.database import migrations, pool, queries
from conversations.database.connection import connect
from conversations.inbox import api_keys, checks, organizations
from tools.embedded import server, shared

ROOT = Path(__file__).parents[1]
GENERATE = (Path(__file__).parent / "generate.sql").read_text()
ORGANIZATION_ID = uuid.UUID("0b5e55ed-0000-4000-8000-000000000001")
NUMBERS = [f"+1555000000{n}" for n in range(4)]
CHECKED_SIZE = 100_000


@dataclass
class Inbox:
    """A database that holds one organization's inbox, and a key to it."""

    url: str
    conversations: int
    key: str


@dataclass
class RunningServer:
    """A PostgreSQL that runs, and the process id of its postmaster."""

    url: str
    pid: int


@contextlib.contextmanager
def running_server() -> Iterator[RunningServer]:
    """Run a PostgreSQL for the block. Its data stays for the next run."""
    home = shared.server_home()
    programs, data = server.find_programs(home), home / "bench"
    if not data.exists():
        server.create(programs, data)
    try:
        url = server.find_running(data) or server.start(programs, data, home / "bench.log")
        yield RunningServer(url, server.postmaster_pid(data))
    finally:
        server.stop(data)


def new_database(server_url: str, name: str) -> str:
    """Create a migrated database, in the place of an earlier one of that name; return its URL."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name}")
    url = psycopg.conninfo.make_conninfo(server_url, dbname=name)
    with connect(url) as conn:
        migrations.migrate(conn)
    return url


def use(url: str) -> None:
    """Point the product's own helpers at a database."""
    pool.database.close()
    pool.use(pool.Database(url))


def new_organization(numbers: list[str]) -> str:
    """Create the organization with its numbers and return a key with every scope."""
    organizations.create_organization("Bench", id=ORGANIZATION_ID)
    for number in numbers:
        organizations.create_phone_number(ORGANIZATION_ID, number)
    return api_keys.create_api_key(ORGANIZATION_ID, api_keys.SCOPES, "bench")


def inbox(server_url: str, conversations: int, say=print) -> Inbox:
    """Return an inbox of that size, generated now unless an earlier run left one that fits."""
    name = f"inbox_{conversations}"
    url = psycopg.conninfo.make_conninfo(server_url, dbname=name)
    if not _is_current(url, conversations):
        started = time.perf_counter()
        new_database(server_url, name)
        use(url)
        new_organization(NUMBERS)
        _generate(url, conversations)
        checks.repair_counts(ORGANIZATION_ID)
        seconds = time.perf_counter() - started
        say(f"{conversations:,} conversations, {conversations * 10:,} messages: {seconds:.1f} s")
        if conversations <= CHECKED_SIZE:
            for difference in checks.check(ORGANIZATION_ID, repair=False):
                raise RuntimeError(difference)
    use(url)
    return Inbox(
        url, conversations, api_keys.create_api_key(ORGANIZATION_ID, api_keys.SCOPES, "bench")
    )


@contextlib.contextmanager
def copied(server_url: str, inbox: Inbox, copy: str = "copy") -> Iterator[Inbox]:
    """Yield a copy of an inbox that may be changed; it is dropped afterwards."""
    source = f"inbox_{inbox.conversations}"
    name = f"{source}_{copy}"
    pool.database.close()  # A database that somebody is connected to cannot be copied.
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        url = psycopg.conninfo.make_conninfo(server_url, dbname=name)
        try:
            yield Inbox(url, inbox.conversations, inbox.key)
        finally:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _is_current(url: str, conversations: int) -> bool:
    try:
        with connect(url) as conn:
            if migrations.pending(conn):
                return False
            row = conn.execute(
                "SELECT sum(opted_in_count + other_count) FROM conversation_counts"
                " WHERE counted_id = '00000000-0000-0000-0000-000000000000'"
            )
            return row.fetchone()["sum"] == conversations
    except (psycopg.Error, migrations.SchemaMismatch):
        return False


def _generate(url: str, conversations: int) -> None:
    """Fill the tables set-wise: their indexes and foreign keys come back when the rows are in."""
    statement = GENERATE.replace("{compute_summaries}", queries.QUERIES["compute_summaries"])
    params = {"organization_id": ORGANIZATION_ID, "conversations": conversations, "ids": None}
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor, autocommit=True) as conn:
        conn.execute(
            "SET session_replication_role = replica; SET synchronous_commit = off;"
            "SET work_mem = '512MB'; SET maintenance_work_mem = '512MB'"
        )
        indexes = conn.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND tablename IN ('messages', 'conversations') AND indexname NOT LIKE '%_pkey'"
        ).fetchall()
        for index, _ in indexes:
            conn.execute(f"DROP INDEX {index}")
        for part in statement.split(";\n"):
            if part.strip():
                conn.execute(part, params)
        for _, definition in indexes:
            conn.execute(definition)
        conn.execute("VACUUM (ANALYZE)")
        conn.execute("CHECKPOINT")
