"""The queries of sql/queries by name, and the helpers that run them."""

import contextlib
import functools
import random
import re
import threading
import time
from pathlib import Path

import psycopg

import pool


def _read(path: Path) -> str:
    """Return a query without comments and indentation.

    psycopg remembers how to convert a statement and its parameters only if it is below 4 KB.
    """
    return " ".join(re.sub("--.*", "", path.read_text()).split())


QUERIES = {path.stem: _read(path) for path in Path(__file__).parent.glob("sql/queries/*.sql")}

COUNT_SLOTS = 8
MAX_STEP = 2**20


class _Usage(threading.local):
    statements = 0
    seconds = 0.0


_usage = _Usage()


def _run(query: str, conn: pool.Connection, params: dict) -> psycopg.Cursor:
    started_at = time.perf_counter()
    try:
        return conn.execute(query, params)
    finally:
        _usage.statements += 1
        _usage.seconds += time.perf_counter() - started_at


def fetch_all(name: str, conn: pool.Connection | None = None, /, **params) -> list[dict]:
    """Run the query of that name and return its rows; on `conn`, or on one of the pool."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(QUERIES[name], conn, params).fetchall()


def fetch_one(name: str, conn: pool.Connection | None = None, /, **params) -> dict | None:
    """Run the query of that name and return its first row, or None."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(QUERIES[name], conn, params).fetchone()


def execute(name: str, conn: pool.Connection | None = None, /, **params) -> int:
    """Run the statement of that name and return the number of rows it touched."""
    with contextlib.nullcontext(conn) if conn else pool.connection() as conn:
        return _run(QUERIES[name], conn, params).rowcount


def fetch_page(name: str, role: str, /, **params) -> dict | None:
    """Run a list query on a server of that role; return a live key's row with its page, or None."""
    given = frozenset(param for param, value in params.items() if value is not None)
    with pool.connection(role) as conn:
        return _run(query_given(name, given), conn, params).fetchone()


@functools.cache
def query_given(name: str, given: frozenset[str]) -> str:
    """Return a query that knows which of its parameters are given, so each such set has its plan.

    `%(param)s::type IS NULL`, on which a filter depends, becomes FALSE or TRUE.
    """

    def answer(question: re.Match) -> str:
        return str((question[1] in given) == bool(question[2])).upper()

    return re.sub(r"%\((\w+)\)s::\w+ IS (NOT )?NULL", answer, QUERIES[name])


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
