"""The commands of `flask NAME` and their arguments.

It uses server, files, inbox and database, and must not import api.
"""

import sys

import click
from flask import Flask
from flask.cli import AppGroup, FlaskGroup

from conversations import __version__
from conversations.cli import (
    env_files,
    exports,
    imports,
    keys,
    organizations,
    retention,
    service,
    status,
)
from conversations.cli.command import COMMANDS

__all__ = [
    "env_files",
    "exports",
    "imports",
    "init_app",
    "keys",
    "organizations",
    "retention",
    "service",
    "status",
]


HELP = """Conversations {version}: the inbox of an SMS product as an HTTP service.

Commands use the database of DATABASE_URL, or the embedded one if that is unset. Each command has
more help: {program} COMMAND --help. docs/operations.md has examples.
"""


class Commands(AppGroup):
    """The commands of the project, which put the project's name and version above their list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands.

        Flask begins its help before it has found the project, so the help is written again.
        """
        if isinstance(ctx.command, FlaskGroup):
            click.echo(_help(ctx, ctx.command, self), color=ctx.color)
            sys.exit()  # Not ctx.exit(), which Flask takes for a failure of the application.
        return super().list_commands(ctx)


def _help(ctx: click.Context, flask: FlaskGroup, ours: Commands) -> str:
    """Return the help of all commands, the project's before Flask's."""
    formatter = ctx.make_formatter()
    flask.help = HELP.format(version=__version__, program=ctx.info_name)
    flask.format_usage(ctx, formatter)
    flask.format_help_text(ctx, formatter)
    click.Command.format_options(flask, ctx, formatter)
    for title, group in (("Commands", ours), ("Commands of Flask", flask)):
        with formatter.section(title):
            rows = sorted(group.commands.items())
            formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in rows])
    return formatter.getvalue()


def init_app(app: Flask) -> None:
    """Register every command under `flask`."""
    app.cli = Commands(app.name)
    for command in COMMANDS.commands.values():
        app.cli.add_command(command)
