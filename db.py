"""The queries of sql/queries by name, and the helpers that run them."""

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.rows import tuple_row

import pool

QUERIES = {path.stem: path.read_text() for path in Path(__file__).parent.glob("sql/queries/*.sql")}

COUNT_SLOTS = 8
MAX_STEP = 2**20


class Page(NamedTuple):
    """Rows of one page as dicts, and what the same snapshot says of the whole list."""

    rows: list[dict]
    change_count: int
    total: int


class _Usage(threading.local):
    statements = 0
    seconds = 0.0


_usage = _Usage()
_list_columns: dict[str, list[str]] = {}


def _run(name: str, conn: pool.Connection, params: dict) -> psycopg.Cursor:
    started_at = time.perf_counter()
    try:
        return conn.execute(QUERIES[name], params)
    finally:
        _usage.statements += 1
        _usage.seconds += time.perf_counter() - started_at


def fetch_all(name: str, conn: pool.Connection | None = None, /, **params) -> list[dict]:
    """Run the query of that name and return its rows; on `conn`, or on one of the pool."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(name, conn, params).fetchall()


def fetch_one(name: str, conn: pool.Connection | None = None, /, **params) -> dict | None:
    """Run the query of that name and return its first row, or None."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(name, conn, params).fetchone()


def execute(name: str, conn: pool.Connection | None = None, /, **params) -> int:
    """Run the statement of that name and return the number of rows it touched."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(name, conn, params).rowcount


def _columns(name: str, cursor: psycopg.Cursor) -> list[str]:
    """Return a list query's columns without the last two; asked of the driver once."""
    if name not in _list_columns:
        _list_columns[name] = [column.name for column in cursor.description][:-2]
    return _list_columns[name]


def fetch_page(name: str, /, **params) -> Page | None:
    """Run a list query, whose last two columns are change_count and total.

    Returns None when it returned no row at all. A row of nulls with those two is an empty page.
    """
    with pool.connection("replica" if pool.has_replica() else "primary") as conn:
        cursor = _run(name, conn, params)
        columns = _columns(name, cursor)
        cursor.row_factory = tuple_row
        rows = cursor.fetchall()
    if not rows:
        return None
    *_, change_count, total = rows[0]
    filled = rows if rows[0][0] is not None else []
    return Page([dict(zip(columns, row, strict=False)) for row in filled], change_count, total)


def counting(conn: pool.Connection) -> dict:
    """Return how a statement on this connection writes to conversation_counts.

    The slot is the connection's own. The step of change_count is random, so that changes made after
    a backup was restored do not lead to a count, and so to a tag, that was seen before it.
    """
    return {"slot": conn.info.backend_pid % COUNT_SLOTS, "step": random.randint(1, MAX_STEP)}  # noqa: S311


def take_usage() -> tuple[int, float]:
    """Return how many statements this thread ran, and for how many seconds, since it last asked."""
    usage = _usage.statements, _usage.seconds
    _usage.statements, _usage.seconds = 0, 0.0
    return usage
