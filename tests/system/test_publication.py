"""Logical replication: every write works under a publication, and a subscriber has the same."""

import json
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from conversations.database import migrations, pool, queries
from conversations.database.connection import connect
from conversations.inbox import api_keys, checks, organizations, retention
from tests.command_line import flask
from tests.conftest import contact, new_organization, using_database
from tests.servers import running_postgres, wait_until

AT = "2026-04-28T12:00:01+00:00"
LATER = "2026-04-29T12:00:01+00:00"
TABLES = (
    "organizations",
    "api_keys",
    "phone_numbers",
    "conversations",
    "messages",
    "conversation_counts",
    "schema_migrations",
)


@pytest.fixture(scope="module")
def urls(app) -> Iterator[tuple[str, str]]:
    """Two databases, of which the second subscribes to all tables of the first."""
    with running_postgres(wal_level="logical") as server:
        with psycopg.connect(server.url, autocommit=True) as conn:
            conn.execute("CREATE DATABASE subscriber")
        subscriber = psycopg.conninfo.make_conninfo(server.url, dbname="subscriber")
        with connect(subscriber) as conn:
            migrations.migrate(conn)
        configured = app.config["SETTINGS"]
        app.config["SETTINGS"] = replace(configured, database_url=server.url)
        with using_database(server.url):
            with pool.connection() as conn:
                conn.execute("CREATE PUBLICATION everything FOR ALL TABLES")
            with pool.connection() as conn:
                conn.execute("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
            with psycopg.connect(subscriber, autocommit=True) as conn:
                # Its rows come with the subscription.
                conn.execute("TRUNCATE schema_migrations")
                # Both databases are on one server, where a subscription cannot make its own slot.
                conn.execute(
                    f"CREATE SUBSCRIPTION everything CONNECTION '{server.url}'"
                    " PUBLICATION everything WITH (create_slot = false, slot_name = slot)"
                )
            yield server.url, subscriber
        app.config["SETTINGS"] = configured


def rows(url: str) -> dict[str, list[str]]:
    """All rows of all tables, generated columns included."""
    with psycopg.connect(url) as conn:
        return {
            table: [row for (row,) in conn.execute(f"SELECT {table}::text FROM {table} ORDER BY 1")]
            for table in TABLES
        }


def write_each_kind(client, tmp_path) -> None:
    """Do one write of each kind, in an organization of its own."""
    alice, bob = new_organization(client, retention_days=1), new_organization(client)
    alice.receive(contact(1), AT, "hello")
    alice.receive(contact(2), AT, "STOP")
    reported = alice.receive(contact(3), AT, None, has_carrier_id=True)
    alice.receive(contact(3), AT, "START", id=reported, has_carrier_id=True)
    alice.record_consent(contact(4), True, AT)
    response = alice.post(
        "/v1/messages",
        {"direction": "inbound", "from": contact(5), "to": alice.number, "body": "now"},
    )
    assert response.status_code == 201
    assert alice.post(f"/v1/contacts/{contact(2)}/erase", {}).status_code == 200
    ends = {"direction": "inbound", "from": contact(6), "to": alice.number}
    pair = {"phone_number_id": str(alice.phone_number_id), "contact_number": "DHL"}
    rows = {
        "messages": ends | {"body": "in a file", "created_at": AT},
        "consent": pair | {"opted_in": True},
    }
    for kind, row in rows.items():
        file = tmp_path / f"{kind}.ndjson"
        file.write_text(json.dumps(row))
        flask(f"import-{kind}", alice.id, file)
    alice.new_number("1und1")
    assert organizations.delete_phone_number(alice.id, "1und1")
    (key,) = queries.fetch_all("list_api_keys", organization_id=alice.id)
    alice.key = api_keys.rotate_api_key(alice.id, key["id"])
    organizations.set_retention(alice.id, 30)
    flask("redact-messages")
    with pool.connection() as conn:
        conn.execute("UPDATE conversations SET message_count = 7 WHERE message_count > 0")
        conn.execute("UPDATE conversation_counts SET other_count = other_count + 1")
    assert list(checks.check(alice.id, repair=True)) != []
    assert list(checks.check(alice.id, repair=False)) == []
    assert retention.erase_contact(alice.id, contact(5)) == 1
    bob.receive(contact(1), LATER, "hello")
    organizations.delete_organization(bob.id)


def test_every_kind_of_write_works_under_a_publication_and_a_subscriber_follows(
    urls, client, tmp_path
):
    published, subscriber = urls
    write_each_kind(client, tmp_path)
    wait_until(lambda: rows(subscriber) == rows(published))
    assert all(rows(published).values())
    with psycopg.connect(subscriber) as conn:
        of_all = conn.execute("SELECT count(*), count(list_item) FROM conversations").fetchone()
        # Two pairs have consent alone.
        assert of_all == (7, 5)
        failures = conn.execute("SELECT sum(apply_error_count) FROM pg_stat_subscription_stats")
        assert failures.fetchone() == (0,)
