"""The commands of `flask NAME` and their arguments.

It uses inbox, imports and database, and must not import api.
"""

from flask import Flask

from conversations.cli import imports, keys, organizations, retention, service
from conversations.cli.command import COMMANDS

__all__ = ["imports", "init_app", "keys", "organizations", "retention", "service"]


def init_app(app: Flask) -> None:
    """Register every command under `flask`."""
    for command in COMMANDS.commands.values():
        app.cli.add_command(command)
