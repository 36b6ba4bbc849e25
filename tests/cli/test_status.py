"""flask status: one screen that says how the deployment is."""

import re

import psycopg

from conversations import __version__
from conversations.database import pool, queries
from tests.command_line import flask_process
from tests.conftest import SERVER_URL, contact, new_database, new_organization, using_database


def test_status_says_how_the_deployment_is(app, alice):
    alice.receive(contact(1), "2020-04-28T12:00:01+00:00")
    result = app.test_cli_runner().invoke(args=["status"])
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["version"] == __version__
    assert re.fullmatch(r"\d+ of \d+ in use", lines["connections"])
    assert lines["pool"].startswith("2 workers x 4 connections")
    assert re.search(r"^oldest readable  \d{4}-\d\d-\d\dT", result.stdout, re.MULTILINE)


def test_status_names_an_overdue_retention_run(app, client):
    organization = new_organization(client, retention_days=1)
    with pool.connection() as conn:
        conn.execute(
            "UPDATE organizations SET created_at = now() - interval '2 days' WHERE id = %s",
            [organization.id],
        )
    result = app.test_cli_runner().invoke(args=["status"])
    assert ", overdue" in result.stdout
    assert client.get("/readyz").json["data"]["redaction_is_overdue"] is True
    app.test_cli_runner().invoke(args=["redact-messages"])
    assert client.get("/readyz").json["data"]["redaction_is_overdue"] is False


def test_status_counts_what_is_there_also_in_a_new_database():
    url = new_database(SERVER_URL)
    with using_database(url):
        organization = new_organization(None)
        for number in (1, 2, 2):
            organization.receive(contact(number), "2026-04-28T12:00:01+00:00")
    done = flask_process("status", DATABASE_URL=url)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
    counts = (lines["organizations"], lines["conversations"], lines["messages"])
    assert counts == ("1", "2", "3")


def test_status_shows_an_estimate_of_what_is_not_counted():
    url = new_database(SERVER_URL)
    with using_database(url), pool.connection() as conn:
        conn.execute(
            "INSERT INTO organizations (name, message_retention_days, last_redaction_at) "
            "SELECT 'Many', 30, now() FROM generate_series(1, 20000)"
        )
        conn.execute(
            "INSERT INTO phone_numbers (organization_id, number) "
            "SELECT id, '+15551112222' FROM organizations"
        )
        conn.execute("ANALYZE")
    read = {}
    with psycopg.connect(url) as conn:
        for name in ("get_status", "get_health"):
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries.QUERIES[name]}"
            ((plans,),) = conn.execute(explain, {"estimated_from": 1000}).fetchall()
            plan = plans[0]["Plan"]
            read[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    done = flask_process("status", DATABASE_URL=url)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
    assert lines["organizations"] == "about 20,000"
    assert "oldest readable  see redact-messages --dry-run" in done.stdout.decode()
    # The table of the organizations alone has more than 200 pages.
    assert {name: pages for name, pages in read.items() if pages > 100} == {}
