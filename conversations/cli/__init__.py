"""The wing of commands: `flask NAME` and its arguments.

It uses server, files, inbox and database, and must not import api.
"""

import sys

import click
from flask import Flask
from flask.cli import AppGroup, FlaskGroup

from conversations import __version__
from conversations.cli import (  # noqa: F401 - app.py uses env_files; the others add commands
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

HELP = f"""Conversations {__version__}: the inbox of an SMS product as an HTTP service.

Commands use the database of DATABASE_URL, or the embedded one if that is unset. Each command has
more help: {{program}} COMMAND --help. docs/operations.md has examples.
"""


class Commands(AppGroup):
    """The commands of the project, which put the project's name and version above their list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands; for the help of `flask`, write the help instead.

        Flask begins its help before it has found the project, so the help is written again, with
        the project's commands before Flask's.
        """
        flask = ctx.command
        if not isinstance(flask, FlaskGroup):
            return super().list_commands(ctx)
        formatter = ctx.make_formatter()
        flask.help = HELP.format(program=ctx.info_name)
        flask.format_usage(ctx, formatter)
        flask.format_help_text(ctx, formatter)
        click.Command.format_options(flask, ctx, formatter)
        for title, group in (("Commands", self), ("Commands of Flask", flask)):
            rows = sorted(group.commands.items())
            with formatter.section(title):
                formatter.write_dl([(name, each.get_short_help_str(80)) for name, each in rows])
        click.echo(formatter.getvalue(), color=ctx.color)
        sys.exit()  # Not ctx.exit(), which Flask takes for a failure of the application.


def init_app(app: Flask) -> None:
    """Register every command under `flask`."""
    app.cli = Commands(app.name, commands=COMMANDS.commands)
