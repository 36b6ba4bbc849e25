"""`python -m bench.compare OTHER`: this checkout beside another one, for example an older version.

Both are used from outside alone: by their commands, and over HTTP. Both import the same file, so
that they serve the same conversations, each with the schema of its own migrations.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
import psycopg.conninfo

from bench import database, load, reading, servers, writing
from bench.database import NUMBERS
from bench.load import Requests
from bench.reading import Measured, Row
from bench.servers import Server, Usage

# Connections that post into one organization, which count in the same rows.
WRITERS = (writing.POSTING_CONNECTIONS, 32)
SCOPES = ("conversations:read", "messages:write")


@dataclass(frozen=True)
class Checkout:
    """A checkout with a database of its own."""

    root: Path
    url: str

    def flask(self, *arguments: str | Path) -> str:
        """Run a command and return what it prints. Raises CalledProcessError."""
        environ = os.environ | {"DATABASE_URL": self.url}
        command = [sys.executable, "-m", "flask", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=environ, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode().strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("--messages", type=int, default=500_000, help="how many both import")
    parser.add_argument(
        "--imports", type=int, default=2, help="how often, each into a new database"
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs a row, of which the median")
    parser.add_argument("--seconds", type=int, default=2, help="length of a run")
    parser.add_argument("--connections", type=int, default=load.CONNECTIONS, help="of readers")
    options = parser.parse_args()
    roots = options.other.resolve(), database.ROOT
    with database.running_server() as postgres, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "messages.ndjson"
        writing.write_ndjson(file, list(writing.new_rows(options.messages)))
        imports: list[list[Measured]] = [[], []]
        for _ in range(options.imports):
            checkouts = [_new_checkout(postgres.url, root, n) for n, root in enumerate(roots)]
            keys = []
            for checkout, found in zip(checkouts, imports, strict=True):
                key, measured = _import(checkout, file, options.messages, postgres.pid)
                keys.append(key)
                found.append(measured)
        _print_row(f"import of {options.messages:,} rows", imports, "row")
        with contextlib.ExitStack() as stack:
            running = [
                stack.enter_context(servers.product(checkout.url, number, checkout.root))
                for number, checkout in enumerate(checkouts)
            ]
            for name, runs in _measure(running, keys, postgres.pid, options).items():
                _print_row(name, runs, "request")


def _new_checkout(server_url: str, root: Path, number: int) -> Checkout:
    name = f"bench_compare_{number}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name}")
    checkout = Checkout(root, psycopg.conninfo.make_conninfo(server_url, dbname=name))
    checkout.flask("migrate")
    return checkout


def _import(
    checkout: Checkout, file: Path, messages: int, postgres_pid: int
) -> tuple[str, Measured]:
    """Import the file; return a key to what is then there, and what a row cost."""
    id = checkout.flask("create-organization", "Bench")
    for number in NUMBERS:
        checkout.flask("create-phone-number", id, number)
    scopes = [argument for scope in SCOPES for argument in ("--scope", scope)]
    key = checkout.flask("create-api-key", id, *scopes)
    started, before = time.perf_counter(), (_children_cpu(), Usage.of(postgres_pid).cpu)
    checkout.flask("import-messages", id, file)
    seconds, after = time.perf_counter() - started, (_children_cpu(), Usage.of(postgres_pid).cpu)
    cpu = [(b - a) / messages for a, b in zip(before, after, strict=True)]
    return key, Measured(messages / seconds, 0, 0, *cpu)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _measure(
    running: list[Server], keys: list[str], postgres_pid: int, options: argparse.Namespace
) -> dict[str, list[list[Measured]]]:
    """Send each kind of request to both in turn; return the runs of both by kind."""
    found: dict[str, list[list[Measured]]] = {}
    for name, connections in (
        ("page one", options.connections),
        ("a 304", options.connections),
        *((f"a post, {writers} writers", writers) for writers in WRITERS),
    ):
        rows = [
            Row(name, server, _requests(name, server, key))
            for server, key in zip(running, keys, strict=True)
        ]
        found[name] = [[], []]
        for _ in range(options.rounds):
            for row, runs in zip(rows, found[name], strict=True):
                runs.append(reading.measure_once(row, postgres_pid, options.seconds, connections))
    return found


def _requests(name: str, server: Server, key: str) -> Requests:
    if name.startswith("a post"):
        return writing.new_messages(key)
    headers, path = {"Authorization": f"Bearer {key}"}, "/v1/conversations"
    if name == "a 304":
        headers["If-None-Match"] = server.get(path, headers).getheader("ETag") or ""
    return Requests([path], headers)


def _print_row(name: str, runs: list[list[Measured]], what: str) -> None:
    other, ours = map(reading.typical, runs)
    rate = median(b.rate / a.rate for a, b in zip(*runs, strict=True))
    cpu = median(_cpu(b) / _cpu(a) for a, b in zip(*runs, strict=True))
    print(
        f"{name:26} {other.rate:8,.0f} → {ours.rate:8,.0f} a second ({rate:.2f} x),"
        f" CPU {_cpu(other):7,.0f} → {_cpu(ours):7,.0f} µs a {what} ({cpu:.2f} x)",
        flush=True,
    )


def _cpu(run: Measured) -> float:
    """Return the microseconds of the service and PostgreSQL together."""
    return (run.service_cpu + run.postgres_cpu) * 1e6


if __name__ == "__main__":
    main()
