"""Commands that remove or verify what is stored: retention, erasure, the check of the summaries."""

import sys
from uuid import UUID

import click

from conversations.cli.arguments import NUMBER, ORGANIZATION
from conversations.cli.command import command, instant_or
from conversations.database import queries
from conversations.inbox import checks, organizations, retention


@command("redact-messages")
@click.option("--dry-run", is_flag=True, help="Count what would be redacted; redact nothing.")
def redact_messages(dry_run: bool) -> None:
    """Remove bodies and media past each organization's retention; made for cron."""
    now = queries.fetch_row("get_now")["now"]
    for organization in organizations.list_organizations():
        id, days = organization["organization_id"], organization["message_retention_days"]
        before = retention.readable_from(days, now) if days else None
        redacted = 0
        if before and not dry_run:
            redacted = retention.redact_expired(id, before)
            queries.execute("record_retention_run", organization_id=id)
        left = queries.fetch_row("get_retention", organization_id=id, readable_from=before)
        redacted += left["expired_count"] if dry_run else 0
        oldest = instant_or(left["oldest_readable_at"], "none")
        click.echo(f"{id}: redacted {redacted}, oldest readable {oldest}")


@command("erase-contact")
@ORGANIZATION
@NUMBER
def erase_contact(organization_id: UUID, number: str) -> None:
    """Remove all bodies and media exchanged with one contact, at once."""
    click.echo(f"redacted {retention.erase_contact(organization_id, number)}")


@command("check-conversations")
@click.option("--repair", is_flag=True, help="Repair what differs.")
def check_conversations(repair: bool) -> None:
    """Compare every summary and count with the messages; exit 1 if a difference is left."""
    is_left = False
    for organization in organizations.list_organizations():
        id = organization["organization_id"]
        if organization["deletion_started_at"]:
            click.echo(f"{id}: its deletion was cut off: run flask delete-organization again")
            is_left = True
            continue
        left = []
        for difference in checks.check(id, repair):
            click.echo(difference)
            left.append(difference)
        if repair and left:
            left = list(checks.check(id, repair=False))
            for difference in left:
                click.echo(f"not repaired: {difference}", err=True)
        is_left = is_left or left != []
    if is_left:
        sys.exit(1)
