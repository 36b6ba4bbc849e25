"""Exports: the messages and the consent of an organization as NDJSON, in the rows of the imports.

What is exported and imported into an organization with the same phone numbers and ids lists the
same.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any, BinaryIO
from uuid import UUID

import orjson

from conversations.database import pool, queries
from conversations.database.queries import Row
from conversations.inbox.keywords import opted_in_by


def export_messages(organization_id: UUID, file: BinaryIO) -> int:
    """Write all messages, with or without content, and return their number.

    Raises OSError, pool.Unavailable.
    """
    return _export("export_messages", organization_id, file, _message)


def export_consent(organization_id: UUID, file: BinaryIO) -> int:
    """Write the consent on record as events and return their number.

    Raises OSError, pool.Unavailable.
    """
    return _export("export_consent", organization_id, file, dict)


def _export(
    query: str, organization_id: UUID, file: BinaryIO, convert: Callable[[Row], dict[str, Any]]
) -> int:
    """Write the rows of a query, a few thousand at a time, all of them of one snapshot."""
    count = 0
    with (
        pool.snapshot() as connection,
        closing(queries.stream(query, connection, organization_id=organization_id)) as rows,
    ):
        for count, row in enumerate(rows, 1):  # noqa: B007  # returned after the loop
            line = orjson.dumps(convert(row), option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
            file.write(line)
    file.flush()
    return count


def _message(row: Row) -> dict[str, Any]:
    """Return a message as a row of import-messages; what it lacks is absent."""
    redaction = {name: row.pop(name) for name in ("redacted_at", "had_text")}
    events = {True: row.pop("opted_in_at"), False: row.pop("opted_out_at")}
    given = {name: value for name, value in row.items() if value not in (None, [])}
    if not given.keys() & {"body", "media_urls"}:
        return given | redaction
    opted_in = opted_in_by(row["body"] or "") if row["direction"] == "inbound" else None
    if opted_in is not None:
        recorded_at = events[opted_in]
        # The text was no keyword yet when it was recorded, so it must not become one now.
        if recorded_at is None or recorded_at < row["created_at"]:
            given["is_keyword"] = False
    return given
