"""Commands that export what the imports take."""

import errno
import sys
from collections.abc import Callable
from typing import BinaryIO
from uuid import UUID

import click

from conversations.cli.arguments import ORGANIZATION, open_private
from conversations.cli.command import command
from conversations.files import exports

EXPORT = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))


@command("export-messages")
@ORGANIZATION
@EXPORT
def export_messages(organization_id: UUID, file: str) -> None:
    """Export all messages to a file that import-messages takes; - is standard output."""
    _export(exports.export_messages, organization_id, file)


@command("export-consent")
@ORGANIZATION
@EXPORT
def export_consent(organization_id: UUID, file: str) -> None:
    """Export the consent on record to a file that import-consent takes; - is standard output."""
    _export(exports.export_consent, organization_id, file)


def _export(export: Callable[[UUID, BinaryIO], int], organization_id: UUID, path: str) -> None:
    try:
        if path == "-":
            count = export(organization_id, sys.stdout.buffer)
        else:
            with open(path, "wb", opener=open_private) as file:
                count = export(organization_id, file)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # A reader that has enough is no error; click ends the command quietly.
        raise click.ClickException(f"{path}: {error.strerror}") from error
    click.echo(f"exported {count}", err=True)
