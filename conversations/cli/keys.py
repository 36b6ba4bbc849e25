"""Commands for API keys."""

from datetime import timedelta
from uuid import UUID

import click

from conversations.cli.arguments import ORGANIZATION, Checked, Lifetime, Name
from conversations.cli.command import command, named, print_row, print_table
from conversations.database import queries
from conversations.inbox import api_keys

COLUMNS = "id prefix label scopes created_at expires_at revoked_at last_used_at"
KEY = click.argument("key", type=Checked(Name()), metavar="PREFIX_OR_ID")


@command("create-api-key")
@ORGANIZATION
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(api_keys.SCOPES),
    help="What the key may do; repeat for several scopes.",
)
@click.option("--label", type=Checked(Name()), help="What the key is for.")
@click.option("--expires-in", type=Checked(Lifetime()), help="Such as 90d or 12h. Default: never.")
def create_api_key(
    organization_id: UUID, scopes: tuple[str, ...], label: str | None, expires_in: timedelta | None
) -> None:
    """Print a new API key. It cannot be shown again, because only its hash is stored."""
    if len(set(scopes)) < len(scopes):
        raise click.UsageError("a --scope is repeated")
    click.echo(api_keys.create_api_key(organization_id, scopes, label or "", expires_in))


@command("list-api-keys")
@ORGANIZATION
def list_api_keys(organization_id: UUID) -> None:
    """Print an organization's keys, separated by tabs, without their secrets."""
    print_table(COLUMNS, queries.fetch_all("list_api_keys", organization_id=organization_id))


@command("revoke-api-key")
@KEY
def revoke_api_key(key: str) -> None:
    """Revoke a key, effective on the next request.

    Name it by its id or its prefix, or give the whole key.
    """
    organization_id, id = _find_api_key(key)
    api_keys.revoke_api_key(organization_id, id)
    for row in queries.fetch_all("list_api_keys", organization_id=organization_id):
        if row["id"] == id:
            print_row(row.values())


@command("rotate-api-key")
@KEY
def rotate_api_key(key: str) -> None:
    """Print a new key in the place of another, which is revoked at once.

    The new key has the same organization, scopes, label and expiry. Name the old one by its id or
    its prefix, or give the whole key.
    """
    click.echo(api_keys.rotate_api_key(*_find_api_key(key)))


def _find_api_key(key: str) -> tuple[UUID, UUID]:
    """Return the ids of the organization and of the key that an operator names."""
    # A whole key is looked up by its hash alone: a log of PostgreSQL may hold parameters.
    hash = api_keys.hash_key(key.strip())
    found = queries.fetch_all("find_api_keys", prefix_or_id=api_keys.conceal(key), key_hash=hash)
    if not found:
        raise click.ClickException("there is no such key")
    if len(found) > 1:
        ids = ", ".join(f"{row['id']} of {named(row)}" for row in found)
        raise click.ClickException(f"several keys have that prefix, name one by its id: {ids}")
    return found[0]["organization_id"], found[0]["id"]
