"""Commands for the deployment as a whole: its schema and the demo."""

import click

from conversations.cli.command import command
from conversations.database import migrations, pool
from conversations.inbox import demo


@command("migrate", needs_schema=False)
def migrate() -> None:
    """Bring the database's schema up to date."""
    with pool.connection() as connection:
        applied = migrations.migrate(connection)
    for name in applied or ["already up to date"]:
        click.echo(name)


@command("demo")
def load_demo() -> None:
    """Load the demo inbox once, and print a new key for it; earlier demo keys are revoked."""
    demo.load()
    click.echo(demo.new_demo_key())
