"""The queries of sql/queries by name, and the functions that run them."""

import contextlib
import functools
import random
import re
import threading
import time
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, NamedTuple, cast
from uuid import UUID

import psycopg
from orjson import Fragment

from conversations.database import pool
from conversations.database.connection import Connection

Row = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "sql" / "queries"
COUNT_SHARDS = 32
MAX_CHANGE_STEP = 2**20
STREAM_ROWS = 5000
IS_NULL_TEST = re.compile(r"%\((\w+)\)s::\w+ IS (NOT )?NULL")


class Page(NamedTuple):
    """One page of a list, all of it of one snapshot.

    `items` is a JSON array of `row_count` rows. `total` counts the rows of all pages,
    `change_count` the changes of the organization. `last_at` and `last_id` are the position of the
    last row if more follow, else None.
    """

    items: Fragment
    row_count: int
    total: int
    change_count: int
    last_at: datetime | None
    last_id: UUID | None


def _read(path: Path) -> LiteralString:
    """Return a query without comments and indentation.

    psycopg keeps the conversion of a statement and its parameters only for statements below 4 KB.
    """
    text = " ".join(re.sub("--.*", "", path.read_text(encoding="utf-8")).split())
    return cast(LiteralString, text)


QUERIES = {path.stem: _read(path) for path in FOLDER.glob("*.sql")}


class _Usage(threading.local):
    statements = 0
    seconds = 0.0


_usage = _Usage()


def take_usage() -> tuple[int, float]:
    """Return how many statements this thread ran since the last call, and for how many seconds."""
    usage = _usage.statements, _usage.seconds
    _usage.statements, _usage.seconds = 0, 0.0
    return usage


def _run(query: LiteralString, connection: Connection | None, params: Row) -> psycopg.Cursor[Row]:
    """Run a query, on a connection of the pool if none is given; all of its rows are fetched."""
    if connection is None:
        with pool.connection() as used, used.statement():
            return _run(query, used, params)
    if "%(shard)s" in query:
        params = params | _count_params(connection)
    started_at = time.perf_counter()
    try:
        return connection.execute(query, params)
    finally:
        _usage.statements += 1
        _usage.seconds += time.perf_counter() - started_at


def fetch_all(name: str, connection: Connection | None = None, /, **params: Any) -> list[Row]:
    """Run a query, on a connection of the pool if none is given, and return its rows.

    Raises pool.Unavailable.
    """
    return _run(QUERIES[name], connection, params).fetchall()


def fetch_one(name: str, connection: Connection | None = None, /, **params: Any) -> Row | None:
    """Run a query as fetch_all does and return its first row, or None."""
    return _run(QUERIES[name], connection, params).fetchone()


def fetch_row(name: str, connection: Connection | None = None, /, **params: Any) -> Row:
    """Run a query that always returns a row and return that row."""
    return fetch_all(name, connection, **params)[0]


def execute(name: str, connection: Connection | None = None, /, **params: Any) -> int:
    """Run a statement as fetch_all does and return the number of rows that it touched."""
    return _run(QUERIES[name], connection, params).rowcount


def stream(name: str, connection: Connection, /, **params: Any) -> Generator[Row, None, None]:
    """Yield the rows of a query in a transaction that has begun, a few thousand at a time."""
    with connection.cursor(name) as cursor:
        cursor.itersize = STREAM_ROWS
        yield from cursor.execute(QUERIES[name], params)


def fetch_page(name: str, /, **params: Any) -> Page | None:
    """Run a list query and return its page, or None if there is no such list.

    Lists are read from the replica where there is one. What the replica lacks is read from the
    primary: the replica may be behind, and may lack a table that a migration has just added.
    Raises pool.Unavailable.
    """
    page = None
    if pool.database.replica_url:
        with contextlib.suppress(pool.SchemaBehind):
            page = _fetch_page(name, "replica", params)
    return page or _fetch_page(name, "primary", params)


def _fetch_page(name: str, role: str, params: Row) -> Page | None:
    given = frozenset(param for param, value in params.items() if value is not None)
    with pool.connection(role) as connection, connection.statement():
        row = _run(specialize(name, given), connection, params).fetchone()
    return Page(**row) if row else None


@functools.cache
def specialize(name: str, given: frozenset[str]) -> LiteralString:
    """Return a list query for one set of given parameters.

    `%(param)s::type IS NULL` becomes FALSE or TRUE, so that PostgreSQL plans each set of filters as
    a statement of its own, with the index that fits it.
    """
    text = IS_NULL_TEST.sub(
        lambda test: str((test[1] in given) == bool(test[2])).upper(), QUERIES[name]
    )
    return cast(LiteralString, text)


def _count_params(connection: Connection) -> dict[str, int]:
    """Return the parameters with which a statement on this connection adds to conversation_counts.

    Each connection has a shard, so that writers seldom wait for the same row. The change count
    grows by random steps, so that a restored backup repeats no ETag.
    """
    return {
        "shard": connection.info.backend_pid % COUNT_SHARDS,
        "change_step": random.randint(1, MAX_CHANGE_STEP),  # noqa: S311
    }
