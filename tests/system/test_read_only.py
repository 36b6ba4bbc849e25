"""A database that takes no writes: what can be read is answered, what cannot be written is 503."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import contact, new_organization, using_database
from tests.load import Load
from tests.servers import Postgres, Service, running_postgres, running_service, wait_until

LIST = "/v1/conversations"


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple]:
    """A PostgreSQL, the URL of a role that may only do what the service does, and an inbox."""
    with running_postgres() as postgres:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            conn.execute("CREATE ROLE tenant LOGIN")
            conn.execute("GRANT CREATE ON SCHEMA public TO tenant")
        url = postgres.url.replace("postgres@", "tenant@")
        with using_database(url):
            alice = new_organization(None)
            alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
        yield postgres, url, alice


def assert_reads_go_on_and_writes_wait(service: Service, alice) -> None:
    message = {"direction": "inbound", "from": contact(2), "to": alice.number, "body": "hello"}
    consent = {
        "phone_number_id": str(alice.phone_number_id),
        "contact_number": contact(1),
        "opted_in": True,
    }
    load = Load(service.port, alice.key, (LIST,), clients=4)
    with load.running():
        for _ in range(5):
            for path, body in (("/v1/messages", message), ("/v1/consent", consent)):
                status, headers, answer = service.request("POST", path, alice.key, body)
                assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE")
                assert headers["Retry-After"] == "1"
    assert load.statuses() == {200}
    conversation = service.request("GET", LIST, alice.key)[2]["data"][0]
    for path in (f"{LIST}/{conversation['id']}/messages", "/readyz", "/livez"):
        assert service.request("GET", path, alice.key)[0] == 200


def execute(postgres: Postgres, *statements: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = off")
        for statement in statements:
            conn.execute(statement)


def test_a_role_that_may_only_read(stage):
    postgres, url, alice = stage
    tables = "ON ALL TABLES IN SCHEMA public"
    # The owner's privileges too can be revoked, and superusers keep theirs.
    execute(postgres, f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE {tables} FROM tenant")
    try:
        with running_service(url, WEB_CONCURRENCY=1) as service:
            assert_reads_go_on_and_writes_wait(service, alice)
    finally:
        execute(postgres, f"GRANT INSERT, UPDATE, DELETE, TRUNCATE {tables} TO tenant")


def test_a_primary_that_became_read_only_and_comes_back(stage):
    postgres, url, alice = stage
    with running_service(url, WEB_CONCURRENCY=1) as service:
        assert service.request("GET", LIST, alice.key)[0] == 200
        execute(
            postgres,
            "ALTER ROLE tenant SET default_transaction_read_only = on",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant'",
        )
        wait_until(lambda: service.request("GET", LIST, alice.key)[0] == 200, seconds=5)
        assert_reads_go_on_and_writes_wait(service, alice)
        execute(postgres, "ALTER ROLE tenant RESET default_transaction_read_only")
        message = {"direction": "inbound", "from": contact(3), "to": alice.number, "body": "hi"}
        # Each refused write closes a connection, so that a new one sees that writes are allowed.
        wait_until(
            lambda: service.request("POST", "/v1/messages", alice.key, message)[0] == 201, seconds=5
        )


def test_a_standby_alone_serves_what_can_be_read(stage):
    postgres, url, alice = stage
    with running_postgres(postgres) as standby:
        url = standby.url.replace("postgres@", "tenant@")
        with running_service(url, WEB_CONCURRENCY=1) as service:
            wait_until(lambda: service.request("GET", LIST, alice.key)[0] == 200, seconds=5)
            assert_reads_go_on_and_writes_wait(service, alice)
