"""The command that says how the deployment is."""

from collections.abc import Iterator
from datetime import datetime

import click

from conversations import __version__
from conversations.cli.command import command, current_settings
from conversations.database import migrations, queries
from conversations.settings import Settings
from schemas.fields import format_instant

# From here on PostgreSQL's own estimate is shown: counting would read the whole table.
ESTIMATED_FROM = 1000


@command("status")
def show_status() -> None:
    """Print the state of the deployment: schema, sizes, retention, connections."""
    for name, value in _describe(current_settings()):
        click.echo(f"{name:<16} {value}")


def _describe(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each line."""
    row = queries.fetch_row("get_status", estimated_from=ESTIMATED_FROM)
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
    for name in ("organizations", "conversations", "messages"):
        yield name, f"{'about ' * (row[name] >= ESTIMATED_FROM)}{row[name]:,}"
    if row["has_few_numbers"]:
        yield "oldest readable", _instant(row["oldest_readable_at"], "none")
    else:
        yield "oldest readable", "see redact-messages --dry-run"
    overdue = ", overdue" if health["redaction_is_overdue"] else ""
    yield "last redaction", _instant(health["last_redaction_at"], "never") + overdue


def _instant(instant: datetime | None, otherwise: str) -> str:
    return format_instant(instant) if instant else otherwise
