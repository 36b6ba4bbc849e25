"""Commands for organizations and their phone numbers."""

from typing import Any
from uuid import UUID

import click

from conversations.cli.arguments import (
    FOREVER,
    MAX_RETENTION_DAYS,
    NUMBER,
    ORGANIZATION,
    Checked,
    Name,
    RetentionDays,
)
from conversations.cli.command import command, get_organization, named, print_row, print_table
from conversations.database import queries
from conversations.inbox import organizations
from conversations.inbox.organizations import Organization
from schemas.fields import Uuid

COLUMNS = "id name message_retention_days created_at"


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


@command("list-organizations")
def list_organizations() -> None:
    """Print all organizations, separated by tabs, oldest first."""
    print_table(COLUMNS, map(_line, organizations.list_organizations()))


def _line(organization: Organization) -> dict[str, Any]:
    return {"id": organization["organization_id"], **organization}


@command("set-retention")
@ORGANIZATION
@click.argument("days", type=Checked(RetentionDays()), metavar="DAYS|forever")
def set_retention(organization_id: UUID, days: int | str) -> None:
    """Set how many days messages are kept, from the next retention run on."""
    organizations.set_retention(organization_id, None if days == FOREVER else int(days))
    line = _line(get_organization(organization_id))
    print_row(line[column] for column in COLUMNS.split())


@command("delete-organization")
@ORGANIZATION
@click.option("--yes", is_flag=True, help="Delete it. Without --yes, only say what would go.")
def delete_organization(organization_id: UUID, yes: bool) -> None:
    """Delete an organization and all that it owns, for good."""
    organization = get_organization(organization_id)
    if not yes:
        owned = queries.fetch_row("get_organization_contents", organization_id=organization_id)
        counts = [f"{name.replace('_', ' ')}: {count}" for name, count in owned.items()]
        raise click.UsageError(
            f"--yes is missing. It deletes {named(organization)} for good, with all that it owns. "
            f"{', '.join(counts).capitalize()}."
        )
    organizations.delete_organization(organization_id)
    click.echo("deleted")


@command("create-phone-number")
@ORGANIZATION
@NUMBER
@click.option("--id", type=Checked(Uuid()), help="The id of the number, to restore or to migrate.")
def create_phone_number(organization_id: UUID, number: str, id: UUID | None) -> None:
    """Give an organization a phone number and print the number's id."""
    click.echo(organizations.create_phone_number(organization_id, number, id))


@command("list-phone-numbers")
@ORGANIZATION
def list_phone_numbers(organization_id: UUID) -> None:
    """Print an organization's phone numbers, separated by tabs, oldest first."""
    rows = queries.fetch_all("get_phone_numbers", organization_id=organization_id)
    print_table("id number created_at", rows)


@command("delete-phone-number")
@ORGANIZATION
@NUMBER
def delete_phone_number(organization_id: UUID, number: str) -> None:
    """Delete a phone number that has neither conversations nor consent."""
    organization = named(get_organization(organization_id))
    ids = organizations.find_phone_numbers(organization_id, numbers=[number])
    if number not in ids:
        raise click.ClickException(f"{organization} has no number {number}")
    if not organizations.delete_phone_number(organization_id, number):
        raise click.ClickException(
            f"{number} ({ids[number]}) of {organization} has conversations or consent on record"
        )
    click.echo("deleted")
