"""The database goes away in every way that it can, under load; the service answers 200 or 503."""

import time
from collections.abc import Iterator

import pytest

from conversations.database.connection import connect
from tests.conftest import contact, new_organization, using_database
from tests.load import Load
from tests.servers import running_postgres, running_service, wait_until

LIST = "/v1/conversations?limit=5"
PATHS = (LIST, "/livez")


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple]:
    """A PostgreSQL, a service over it and a key for an inbox of ten conversations."""
    with running_postgres() as postgres:
        with using_database(postgres.url):
            organization = new_organization(None)
            for number in range(10):
                organization.receive(contact(number), "2026-04-28T12:00:01+00:00")
        with running_service(postgres.url, WEB_CONCURRENCY=2) as service:
            yield postgres, service, organization.key


def assert_only_200_and_503(load: Load) -> None:
    assert load.statuses() <= {200, 503}
    for outcome in load.outcomes:
        assert (outcome.status == 503) == (outcome.retry_after is not None)
        assert outcome.retry_after in (None, "1")
    assert load.slowest("/v1") < 5


def assert_alive_throughout(load: Load) -> None:
    beats = [o for o in load.outcomes if o.path == "/livez"]
    assert {o.status for o in beats} == {200}
    # Most of them did not wait as long as a request waits for a connection.
    assert sorted(o.seconds for o in beats)[len(beats) // 2] < 2


@pytest.mark.parametrize(
    "seconds",
    [1, pytest.param(10, marks=pytest.mark.soak), pytest.param(30, marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_recovers_by_itself_from_an_outage(stage, mode, seconds):
    postgres, service, key = stage
    with Load(service.port, key, PATHS).running() as load:
        time.sleep(0.5)
        postgres.stop(mode)
        time.sleep(seconds)
        postgres.start()
        load.wait_for_success_after(time.monotonic())
    assert_only_200_and_503(load)
    assert_alive_throughout(load)


def test_while_the_database_is_down_nobody_waits_for_it(stage):
    postgres, service, key = stage
    postgres.stop()
    try:
        time.sleep(1)
        service.request("GET", LIST, key)
        with Load(service.port, key, (LIST,), clients=64).running() as load:
            time.sleep(2)
    finally:
        postgres.start()
    assert load.statuses() == {503}
    # If each waited its two seconds for a connection, the 64 threads would answer 128 at most.
    assert len(load.outcomes) > 256


def test_a_restart_costs_no_request_that_comes_after_it(stage):
    postgres, service, key = stage
    wait_until(lambda: service.request("GET", LIST, key)[0] == 200)
    postgres.stop()
    postgres.start()
    time.sleep(1)
    assert [service.request("GET", LIST, key)[0] for _ in range(20)] == [200] * 20


def test_a_frozen_database_is_a_503_within_three_seconds(stage):
    postgres, service, key = stage
    with Load(service.port, key, PATHS, clients=8).running() as load:
        time.sleep(0.5)
        postgres.freeze()
        time.sleep(4)
        postgres.thaw()
        load.wait_for_success_after(time.monotonic())
    assert_only_200_and_503(load)
    assert_alive_throughout(load)
    assert 503 in load.statuses()


def test_a_statement_over_its_limit_is_a_503_and_the_next_one_works(stage):
    postgres, service, key = stage
    with connect(postgres.url) as conn, conn.transaction():
        conn.execute("LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE")
        statuses = [service.request("GET", LIST, key)[0] for _ in range(2)]
    assert statuses == [503, 503]
    assert [service.request("GET", LIST, key)[0] for _ in range(20)] == [200] * 20


def test_readyz_follows_the_database_and_livez_does_not(stage):
    postgres, service, _ = stage
    assert service.request("GET", "/readyz")[0] == 200
    postgres.stop()
    try:
        status, headers, body = service.request("GET", "/readyz")
        assert (status, headers["Retry-After"], body["error"]["code"]) == (503, "1", "UNAVAILABLE")
        assert service.request("GET", "/livez")[0] == 200
    finally:
        postgres.start()
