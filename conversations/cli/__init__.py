"""The commands of `flask NAME` and their arguments.

It uses inbox, imports and database, and must not import api.
"""

import sys

import click
from flask import Flask
from flask.cli import AppGroup, FlaskGroup

from conversations import __version__
from conversations.cli import exports, imports, keys, organizations, retention, service
from conversations.cli.command import COMMANDS

__all__ = ["exports", "imports", "init_app", "keys", "organizations", "retention", "service"]


HELP = f"""Conversations {__version__}: the inbox of an SMS product as an HTTP service.

Commands use the database of DATABASE_URL, or the embedded one if that is unset. Each command has
more help: flask COMMAND --help. docs/operations.md has examples.
"""


class Commands(AppGroup):
    """The commands of the project, which put the project's name and version above their list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands.

        Flask begins its help before it has found the project, so the help is written again.
        """
        if isinstance(ctx.command, FlaskGroup) and ctx.command.help != HELP:
            ctx.command.help = HELP
            click.echo(ctx.get_help(), color=ctx.color)
            sys.exit()  # Not ctx.exit(), which Flask takes for a failure of the application.
        return super().list_commands(ctx)


def init_app(app: Flask) -> None:
    """Register every command under `flask`."""
    app.cli = Commands(app.name)
    for command in COMMANDS.commands.values():
        app.cli.add_command(command)
