"""The rows of an import in a temporary table, from which PostgreSQL returns them sorted.

A file of any size is sorted in this way with little memory in this process.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from conversations.database import pool
from conversations.database.connection import Connection
from conversations.database.queries import QUERIES

COLUMN_TYPES = ("int8", "bytea", "uuid", "int8", "bytea")
# Enough to sort a file of 100,000 messages without temporary files.
SORT_MEMORY = "64MB"


class Content(NamedTuple):
    """What is recorded of a row, as JSON, with its message id; of a consent event that is None.

    Rows are sorted by `conversation_hash`, a number of 32 bits.
    """

    message_id: UUID | None
    conversation_hash: int
    content: bytes


class StagedRow(NamedTuple):
    """A row in the order of recording. `is_repeated`: an earlier line has the same message id."""

    line: int
    raw: bytes
    content: bytes
    is_repeated: bool


@contextmanager
def staging() -> Iterator[Connection]:
    """Create the temporary table for a transaction around the block. Raises pool.Unavailable."""
    with pool.transaction() as connection:
        connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY}'".encode())
        connection.execute(QUERIES["create_staged_rows"])
        yield connection


def fill(connection: Connection, rows: Iterable[tuple[int, bytes, Content]]) -> int:
    """Copy rows, each with its line and bytes, into the table and return their number."""
    with connection.cursor() as cursor:
        with cursor.copy(QUERIES["copy_staged_rows"]) as copy:
            copy.set_types(COLUMN_TYPES)
            for line, raw, content in rows:
                copy.write_row((line, raw, *content))
        return cursor.rowcount


def batches(connection: Connection, size: int) -> Iterator[list[StagedRow]]:
    """Yield the rows of the table in the order of recording, `size` at a time."""
    with connection.cursor("staged", row_factory=args_row(StagedRow), binary=True) as cursor:
        cursor.execute(QUERIES["list_staged_rows"])
        while batch := cursor.fetchmany(size):
            yield batch
