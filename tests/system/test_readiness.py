"""/readyz asks the database each time, and a refusal that lasts is no 503."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import SERVER_URL, contact, new_database, new_organization, using_database
from tests.servers import running_service


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple]:
    """A database, a service over it and an organization with one message."""
    url = new_database(SERVER_URL)
    with using_database(url):
        alice = new_organization(None)
        alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
    with running_service(url, WEB_CONCURRENCY=1) as service:
        yield url, service, alice


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)


UNREADY = {
    "a migration that is not in the ledger": (
        "UPDATE schema_migrations SET name = '1' || name WHERE name LIKE '0003%'",
        "UPDATE schema_migrations SET name = substr(name, 2) WHERE name LIKE '10003%'",
        "run flask migrate",
    ),
    "a migration that was edited": (
        "UPDATE schema_migrations SET checksum = 'x' || checksum WHERE name LIKE '0002%'",
        "UPDATE schema_migrations SET checksum = substr(checksum, 2) WHERE name LIKE '0002%'",
        "0002_create_api_keys",
    ),
    "a renamed column that only writes use": (
        "ALTER TABLE messages RENAME COLUMN has_text TO away",
        "ALTER TABLE messages RENAME COLUMN away TO has_text",
        "has_text",
    ),
    "a renamed table": (
        "ALTER TABLE api_keys RENAME TO away",
        "ALTER TABLE away RENAME TO api_keys",
        "api_keys",
    ),
}


def test_readyz_is_503_while_the_schema_lacks_something_and_the_log_says_what(stage):
    url, service, _ = stage
    wrong = []
    for case, (change, undo, reason) in UNREADY.items():
        execute(url, change)
        status, headers, body = service.request("GET", "/readyz")
        execute(url, undo)
        if (status, headers["Retry-After"]) != (503, "1") or reason in str(body):
            wrong.append((case, status, body))
        lines = [line for line in service.log().splitlines() if "event=unavailable" in line]
        if reason not in lines[-1]:
            wrong.append((case, lines[-1]))
        if service.request("GET", "/readyz")[0] != 200:
            wrong.append((case, "is not over"))
    assert wrong == []


def test_readyz_says_by_how_much_the_clocks_differ(stage):
    _, service, _ = stage
    data = service.request("GET", "/readyz")[2]["data"]
    # Both run on this machine.
    assert abs(data["clock_skew_seconds"]) < 5


def test_a_refusal_that_time_does_not_mend_is_a_500_that_the_log_explains(stage):
    url, service, alice = stage
    message = {"direction": "inbound", "from": contact(1), "to": alice.number, "body": "hello"}
    execute(
        url,
        "ALTER TABLE conversations REPLICA IDENTITY NOTHING",
        "CREATE PUBLICATION changes FOR TABLE conversations",
    )
    try:
        status, headers, body = service.request("POST", "/v1/messages", alice.key, message)
    finally:
        execute(
            url, "DROP PUBLICATION changes", "ALTER TABLE conversations REPLICA IDENTITY DEFAULT"
        )
    assert (status, body["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert headers["Retry-After"] is None
    (line,) = [line for line in service.log().splitlines() if "refused by the database" in line]
    assert "ObjectNotInPrerequisiteState" in line
    assert "replica identity" in line
    assert service.request("POST", "/v1/messages", alice.key, message)[0] == 201
