"""The state of the deployment, as /readyz and `flask status` show it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from conversations import __version__
from conversations.database import migrations, pool, queries
from conversations.settings import Settings
from schemas.fields import format_instant


def readiness() -> dict[str, Any]:
    """Return the data of /readyz. Raises pool.Unavailable while the database is away."""
    health = queries.fetch_row("get_health")
    position = health.pop("wal_position")
    if pool.has_replica():
        with pool.connection("replica") as connection, connection.statement():
            lag = queries.fetch_row("get_replica_lag", connection, wal_position=position)
        health["replica_lag_bytes"] = lag["lag_bytes"]
    return {"status": "ok", "schema_version": migrations.version(), **health}


def describe(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each line of `flask status`."""
    row = queries.fetch_row("get_status")
    health = queries.fetch_row("get_health")
    workers, size = settings.web_concurrency, settings.database_pool_size
    # While a deploy overlaps, two of them run, and the release command takes one connection more.
    is_too_large = workers * size * 2 + 1 > row["max_connections"]
    advice = ", too many for a deploy: lower WEB_CONCURRENCY or DATABASE_POOL_SIZE"
    yield "version", __version__
    yield "schema", migrations.version()
    yield "PostgreSQL", row["server_version"]
    yield "connections", f"{row['connections']} of {row['max_connections']} in use"
    yield "pool", f"{workers} workers x {size} connections{advice * is_too_large}"
    yield "size", f"{row['database_bytes'] / 2**20:,.0f} MiB"
    yield "organizations", f"{row['organizations']:,}"
    yield "conversations", f"{row['conversations']:,}"
    yield "messages", f"{row['messages']:,}"
    yield "oldest readable", _instant(row["oldest_readable_at"], "none")
    overdue = ", overdue" if health["redaction_is_overdue"] else ""
    yield "last redaction", _instant(health["last_redaction_at"], "never") + overdue


def _instant(instant: datetime | None, otherwise: str) -> str:
    return format_instant(instant) if instant else otherwise
