"""The command that prints the state of the deployment."""

from collections.abc import Iterator

import click

from conversations import __version__
from conversations.cli.command import command, current_settings, instant_or
from conversations.database import migrations, queries
from conversations.settings import Settings

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
    oldest = instant_or(row["oldest_readable_at"], "none")
    yield "oldest readable", oldest if row["has_few_numbers"] else "see redact-messages --dry-run"
    overdue = ", overdue" if health["redaction_is_overdue"] else ""
    yield "last redaction", instant_or(health["last_redaction_at"], "never") + overdue
