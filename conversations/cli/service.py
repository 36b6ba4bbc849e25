"""Commands for the deployment as a whole: its schema, its state, the demo."""

import click

from conversations.cli.command import command, current_settings
from conversations.database import migrations, pool
from conversations.inbox import demo, status


@command("migrate", needs_schema=False)
def migrate() -> None:
    """Bring the database's schema up to date."""
    with pool.connection() as connection:
        applied = migrations.migrate(connection)
    for name in applied or ["already up to date"]:
        click.echo(name)


@command("status")
def show_status() -> None:
    """Print the state of the deployment: schema, sizes, retention, connections."""
    for name, value in status.describe(current_settings()):
        click.echo(f"{name:<16} {value}")


@command("demo")
def load_demo() -> None:
    """Load the demo inbox once, and print a new key for it; earlier demo keys are revoked."""
    demo.load()
    click.echo(demo.new_demo_key())
