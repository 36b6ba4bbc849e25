"""The write path: an import beside a bare COPY, single posts, and what the change count costs."""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import orjson
import psycopg

from bench import database, limits, load, servers
from bench.database import NUMBERS, ORGANIZATION_ID
from conversations.database import queries

CONTACTS = 500
POSTING_CONNECTIONS = 8
BLOCK = 2**17
START = datetime(2026, 4, 1, tzinfo=UTC)


def import_rates(server_url: str, messages: int) -> tuple[float, float]:
    """Return rows a second of `flask import-messages`, and of COPY into a table like messages."""
    url = database.new_database(server_url, "bench_import")
    database.use(url)
    database.new_organization(NUMBERS)
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        file = Path(folder) / "messages.ndjson"
        write_ndjson(file, messages)
        command = [sys.executable, "-m", "flask", "import-messages", str(ORGANIZATION_ID), file]
        started = time.perf_counter()
        subprocess.run(
            command,
            cwd=database.ROOT,
            env=os.environ | {"DATABASE_URL": url},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        imported = messages / (time.perf_counter() - started)
        copied = messages / _copy(url, Path(folder) / "messages.copy")
    return imported, copied


def write_ndjson(file: Path, count: int) -> None:
    """Write messages to import, 10 for each contact, in the order in which they were exchanged."""
    numbers = itertools.cycle(NUMBERS)
    with open(file, "wb") as lines:
        for i, number in zip(range(count), numbers, strict=False):
            ends = ["from", "to"] if i % 3 else ["to", "from"]
            row = {
                "direction": "inbound" if i % 3 else "outbound",
                ends[0]: f"+1666{i * 7919 % (count // 10):07d}",
                ends[1]: number,
                "body": f"Reminder {i}: your check-up is tomorrow at 3:30 pm",
                "created_at": (START + timedelta(seconds=i)).isoformat(),
            }
            lines.write(orjson.dumps(row) + b"\n")


def _copy(url: str, file: Path) -> float:
    """Copy the imported messages into a table with the same indexes; return the seconds."""
    with psycopg.connect(url, autocommit=True) as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (LIKE messages INCLUDING ALL)")
        with open(file, "wb") as blocks, cursor.copy("COPY messages TO STDOUT") as copy:
            blocks.writelines(copy)
        started = time.perf_counter()
        with open(file, "rb") as blocks, cursor.copy("COPY copied FROM STDIN") as copy:
            while block := blocks.read(BLOCK):
                copy.write(block)
        return time.perf_counter() - started


def posts(server_url: str, seconds: int) -> load.Result:
    """Post single messages over HTTP from 8 connections into one organization."""
    url = database.new_database(server_url, "bench_posts")
    database.use(url)
    key = database.new_organization(NUMBERS)
    with servers.product(url, 4) as server:
        return load.run(server.origin, new_messages(key), seconds, POSTING_CONNECTIONS)


def new_messages(key: str) -> load.Requests:
    """Return posts of single messages, of 500 contacts in turn."""
    bodies = [
        orjson.dumps(
            {
                "direction": "inbound",
                "from": f"+1555{i:07d}",
                "to": NUMBERS[i % len(NUMBERS)],
                "body": f"Reminder {i}: your check-up is tomorrow at 3:30 pm",
            }
        ).decode()
        for i in range(CONTACTS)
    ]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return load.Requests(["/v1/messages"], headers, bodies)


def counting(server_url: str, rounds: int, seconds: int) -> tuple[float, float]:
    """Return posts a second of the bare statements under pgbench, with the counts and without."""
    url = database.new_database(server_url, "bench_counting")
    database.use(url)
    database.new_organization(NUMBERS)
    scripts = [_posting_script(counted) for counted in (True, False)]
    runs = [
        [limits.rate(url, script, seconds, POSTING_CONNECTIONS) for script in scripts]
        for _ in range(rounds)
    ]
    return tuple(map(median, zip(*runs, strict=True)))


def _posting_script(counted: bool) -> str:
    """Return what one post asks of PostgreSQL, as a pgbench script."""
    number = queries.fetch_all("get_phone_numbers", organization_id=ORGANIZATION_ID)[0]
    values = {
        "organization_id": f"'{ORGANIZATION_ID}'",
        "messages": ":messages",
        "shard": f"(pg_backend_pid() % {queries.COUNT_SHARDS})",
        "change_step": "1",
        "now": "now()",
    }
    record = queries.QUERIES["record_messages"]
    if not counted:
        before, _, rest = record.partition(", counted AS (")
        record = f"{before} SELECT {rest.rpartition(') SELECT ')[2]}"
    message = (
        "SELECT json_build_array(json_build_object('id', gen_random_uuid(), 'phone_number_id',"
        f" '{number['id']}', 'phone_number', '{number['number']}',"
        " 'contact_number', '+1555' || lpad(:contact::text, 7, '0'),"
        " 'direction', 'inbound', 'channel', 'sms', 'body', 'Reminder', 'media_urls',"
        " json_build_array(), 'created_at', now())) AS messages \\gset"
    )
    return "\n".join(
        [
            f"\\set contact random(0, {CONTACTS - 1})",
            message,
            "BEGIN;",
            limits.fill(record, values),
            "COMMIT;",
        ]
    )
