"""The write path: an import beside a bare COPY, single posts, and what the change count costs."""

import csv
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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


def import_rates(server_url: str, messages: int) -> tuple[dict[str, float], float]:
    """Return rows a second of `flask import-messages` by format, and of COPY into a like table."""
    rates = {}
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        for format, write in WRITERS.items():
            url = database.new_database(server_url, "bench_import")
            database.use(url)
            database.new_organization(NUMBERS)
            file = Path(folder) / format
            write(file, list(new_rows(messages)))
            command = [sys.executable, "-m", "flask", "import-messages", str(ORGANIZATION_ID)]
            numbers = [f"--number={n}={number}" for n, number in enumerate(NUMBERS)]
            started = time.perf_counter()
            subprocess.run(
                [*command, file, "--format", format, *(numbers if format == "sms-backup" else [])],
                cwd=database.ROOT,
                env=os.environ | {"DATABASE_URL": url},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            rates[format] = messages / (time.perf_counter() - started)
        copied = messages / _copy(url, Path(folder) / "messages.copy")
    return rates, copied


def new_rows(count: int) -> Iterator[dict]:
    """Yield messages to import, 10 for each contact, in the order in which they were exchanged."""
    numbers = itertools.cycle(NUMBERS)
    for i, number in zip(range(count), numbers, strict=False):
        ends = ["from", "to"] if i % 3 else ["to", "from"]
        yield {
            "direction": "inbound" if i % 3 else "outbound",
            ends[0]: f"+1666{i * 7919 % (count // 10):07d}",
            ends[1]: number,
            "body": f"Reminder {i}: your check-up is tomorrow at 3:30 pm",
            "created_at": (START + timedelta(seconds=i)).isoformat(),
        }


def write_ndjson(file: Path, rows: list[dict]) -> None:
    """Write the bodies of POST /v1/messages."""
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def write_csv(file: Path, rows: list[dict]) -> None:
    """Write a table with our names as its header."""
    with open(file, "w", newline="") as lines:
        table = csv.DictWriter(lines, ["direction", "from", "to", "body", "created_at"])
        table.writeheader()
        table.writerows(rows)


def write_log(file: Path, rows: list[dict]) -> None:
    """Write the message log of Twilio's console."""
    names = ["From", "To", "Body", "Status", "SentDate", "NumSegments", "Sid", "Direction"]
    with open(file, "w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(names)
        for i, row in enumerate(rows):
            direction = "inbound" if row["direction"] == "inbound" else "outbound-api"
            cells = [row["from"], row["to"], row["body"], "delivered", row["created_at"]]
            table.writerow([*cells, "1", f"SM{i:032x}", direction])


def write_bulk_export(file: Path, rows: list[dict]) -> None:
    """Write a day file of Twilio's bulk export."""
    messages = [
        {
            **{"sid": f"SM{i:032x}", "from": row["from"], "to": row["to"], "body": row["body"]},
            "direction": "inbound" if row["direction"] == "inbound" else "outbound-api",
            **{"status": "delivered", "date_sent": row["created_at"], "num_segments": "1"},
        }
        for i, row in enumerate(rows)
    ]
    write_ndjson(file, messages)


def write_httpsms(file: Path, rows: list[dict]) -> None:
    """Write the messages of httpSMS's API."""
    messages = []
    for i, row in enumerate(rows):
        is_inbound = row["direction"] == "inbound"
        owner, other = (row["to"], row["from"]) if is_inbound else (row["from"], row["to"])
        message = {"id": f"{i:032x}", "owner": owner, "contact": other, "content": row["body"]}
        message |= {"type": "mobile-originated" if is_inbound else "mobile-terminated"}
        messages.append(message | {"status": "sent", "order_timestamp": row["created_at"]})
    write_ndjson(file, messages)


def write_backup(file: Path, rows: list[dict]) -> None:
    """Write the backup of a phone that has a SIM for each number."""
    with open(file, "w") as lines:
        lines.write("<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n<smses>\n")
        for row in rows:
            is_inbound = row["direction"] == "inbound"
            own, address = (row["to"], row["from"]) if is_inbound else (row["from"], row["to"])
            at = int(datetime.fromisoformat(row["created_at"]).timestamp() * 1000)
            lines.write(
                f'  <sms protocol="0" address="{address}" date="{at}" type="{2 - is_inbound}"'
                f' subject="null" body="{row["body"]}" toa="null" sc_toa="null" read="1"'
                f' service_center="null" status="-1" locked="0" date_sent="{at * is_inbound}"'
                f' sub_id="{NUMBERS.index(own)}" readable_date="Apr 1, 2026 12:00:00 PM"'
                ' contact_name="(Unknown)" />\n'
            )
        lines.write("</smses>\n")


WRITERS = {
    "ndjson": write_ndjson,
    "csv": write_csv,
    "twilio-csv": write_log,
    "twilio-json": write_bulk_export,
    "httpsms": write_httpsms,
    "sms-backup": write_backup,
}


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
