"""What `flask status` shows: how the deployment is, on one screen."""

from collections.abc import Iterator

import db
import migrations
from schemas.fields import format_instant
from version import VERSION


def describe(settings: dict) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line."""
    row = db.fetch_one("get_status")
    health = db.fetch_one("get_health")
    workers, size = settings["WEB_CONCURRENCY"], settings["DATABASE_POOL_SIZE"]
    yield "version", VERSION
    yield "schema", migrations.version()
    yield "PostgreSQL", row["server_version"]
    yield "connections", f"{row['connections']} of {row['max_connections']} in use"
    yield "pool", f"{workers} workers x {size} connections{_warn(workers * size, row)}"
    yield "size", f"{row['database_bytes'] / 2**20:,.0f} MiB"
    yield "organizations", f"{row['organizations']:,}"
    yield "conversations", f"about {row['conversations']:,}"
    yield "messages", f"about {row['messages']:,}"
    yield "oldest readable", _instant(row["oldest_readable_at"], "none")
    overdue = ", overdue" if health["sweep_is_overdue"] else ""
    yield "last sweep", _instant(health["last_sweep_at"], "never") + overdue


def _warn(needed: int, row: dict) -> str:
    # A deploy overlaps two of them, and its release command takes one more.
    if needed * 2 + 1 <= row["max_connections"]:
        return ""
    return ", too many for a deploy: lower WEB_CONCURRENCY or DATABASE_POOL_SIZE"


def _instant(instant, otherwise: str) -> str:
    return format_instant(instant) if instant else otherwise
