"""A real streaming replica: lists come from it, keys and tags never lag, promotions work."""

import http.client
import time
from collections.abc import Iterator

import orjson
import psycopg
import pytest

from conversations.database import queries
from tests.conftest import Organization, contact, new_organization, using_database
from tests.load import Load
from tests.servers import running_postgres, running_service, wait_until

LIST = "/v1/conversations?limit=5"


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple]:
    """A primary, its standby, a service that knows both, and an organization with one message."""
    with running_postgres() as primary, using_database(primary.url):
        organization = new_organization(None)
        organization.receive(contact(1), "2026-04-28T12:00:01+00:00")
        with running_postgres(primary) as standby:
            folders = [str(server.data.parent) for server in (primary, standby)]
            url, replica_url = (
                f"postgresql://postgres@/postgres?host={','.join(order)}"
                for order in (folders, folders[::-1])
            )
            with running_service(url, DATABASE_REPLICA_URL=replica_url) as service:
                yield primary, standby, service, organization


def get(service, organization: Organization, **headers) -> tuple[int, str | None, list[str]]:
    """Return status, tag and contacts of the list."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", LIST, headers={**organization.auth, **headers})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    contacts = [row["contact_number"] for row in orjson.loads(body)["data"]] if body else []
    return response.status, response.headers["ETag"], contacts


def pause_replay(standby) -> None:
    with psycopg.connect(standby.url, autocommit=True) as conn:
        conn.execute("SELECT pg_wal_replay_pause()")


def resume_replay(standby) -> None:
    with psycopg.connect(standby.url, autocommit=True) as conn:
        conn.execute("SELECT pg_wal_replay_resume()")


def test_lists_come_from_the_replica_and_a_lagging_tag_misses_nothing(stage):
    _, standby, service, organization = stage
    wait_until(lambda: get(service, organization)[2] == [contact(1)], seconds=30)
    old_tag = get(service, organization)[1]
    assert get(service, organization, **{"If-None-Match": old_tag})[0] == 304
    pause_replay(standby)
    organization.receive(contact(2), "2026-04-28T12:00:02+00:00")
    # The primary knows of a change, so no 304; the replica shows the old list, under its old tag.
    status, tag, contacts = get(service, organization, **{"If-None-Match": 'W/"none"'})
    assert (status, tag, contacts) == (200, old_tag, [contact(1)])
    resume_replay(standby)
    wait_until(lambda: len(get(service, organization)[2]) == 2, seconds=30)
    status, tag, contacts = get(service, organization, **{"If-None-Match": old_tag})
    assert (status, contacts) == (200, [contact(2), contact(1)])
    assert tag != old_tag


def test_a_standby_that_lacks_a_migration_is_passed_over(stage):
    primary, standby, service, organization = stage

    def has_counts() -> bool:
        with psycopg.connect(standby.url, autocommit=True) as conn:
            found = conn.execute("SELECT to_regclass('conversation_counts')").fetchone()[0]
            return found is not None

    with psycopg.connect(primary.url, autocommit=True) as conn:
        conn.execute("ALTER TABLE conversation_counts RENAME TO missing")
        wait_until(lambda: not has_counts(), seconds=30)
        pause_replay(standby)
        conn.execute("ALTER TABLE missing RENAME TO conversation_counts")
    assert get(service, organization)[0] == 200
    resume_replay(standby)
    wait_until(has_counts, seconds=30)


def test_a_key_is_revoked_at_once_however_far_the_replica_lags(stage):
    _, standby, service, _ = stage
    organization = new_organization(None)
    wait_until(lambda: get(service, organization)[0] == 200, seconds=30)
    pause_replay(standby)
    (key,) = queries.fetch_all("list_api_keys", organization_id=organization.id)
    queries.execute("revoke_api_key", organization_id=organization.id, id=key["id"])
    assert service.request("GET", LIST, organization.key)[0] == 401
    resume_replay(standby)


def test_readyz_shows_how_far_the_replica_lags(stage):
    _, standby, service, organization = stage
    wait_until(lambda: service.request("GET", "/readyz")[0] == 200, seconds=30)
    pause_replay(standby)
    organization.receive(contact(3), "2026-04-28T12:00:03+00:00")
    lag = service.request("GET", "/readyz")[2]["data"]["replica_lag_bytes"]
    assert lag > 0
    resume_replay(standby)
    wait_until(
        lambda: service.request("GET", "/readyz")[2]["data"]["replica_lag_bytes"] == 0, seconds=30
    )


def test_a_promotion_under_load_is_followed(stage):
    primary, standby, service, organization = stage
    wait_until(lambda: get(service, organization)[0] == 200, seconds=30)
    with Load(service.port, organization.key, (LIST,)).running() as load:
        time.sleep(0.5)
        primary.kill()
        time.sleep(0.5)
        standby.promote()
        load.wait_for_success_after(time.monotonic())
    assert load.statuses() <= {200, 503}
    assert load.slowest() < 5
    body = {"direction": "inbound", "from": contact(4), "to": organization.number, "body": "hello"}
    assert service.request("POST", "/v1/messages", organization.key, body)[0] == 201
