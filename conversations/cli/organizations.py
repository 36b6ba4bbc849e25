"""Commands for organizations and their phone numbers."""

from uuid import UUID

import click

from conversations.cli.arguments import NUMBER, ORGANIZATION, Checked, Name
from conversations.cli.command import command, require_organization
from conversations.inbox import organizations
from schemas.fields import Uuid

MAX_RETENTION_DAYS = 36500


@command("create-organization")
@click.argument("name", type=Checked(Name()))
@click.option(
    "--message-retention-days",
    type=click.IntRange(1, MAX_RETENTION_DAYS),
    help="How many days messages are kept. Default: for ever.",
)
def create_organization(name: str, message_retention_days: int | None) -> None:
    """Create an organization and print its id."""
    click.echo(organizations.create_organization(name, message_retention_days))


@command("create-phone-number")
@ORGANIZATION
@NUMBER
@click.option("--id", type=Checked(Uuid()), help="The id of the number, to restore or to migrate.")
def create_phone_number(organization_id: UUID, number: str, id: UUID | None) -> None:
    """Give an organization a phone number and print the number's id."""
    require_organization(organization_id)
    try:
        click.echo(organizations.create_phone_number(organization_id, number, id))
    except organizations.NumberTaken as error:
        raise click.ClickException(str(error)) from error
