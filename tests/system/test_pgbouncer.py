"""Behind a real PgBouncer in transaction mode: nothing leaks, in either direction."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest

from tests import command_line
from tests.conftest import contact, new_organization, using_database
from tests.fronts import running_pgbouncer
from tests.servers import Postgres, running_postgres, running_service, wait_until

LIST = "/v1/conversations"
# The settings of a session, without those that say who or where it is.
SETTINGS = (
    "SELECT name, setting FROM pg_settings "
    "WHERE context IN ('user', 'superuser') AND name <> 'application_name' "
    "AND NOT starts_with(name, 'plpgsql.') ORDER BY name"
)
# What another client may leave behind in a session that is then ours.
LEFT_BEHIND = (
    "SET statement_timeout = 100",
    "SET lock_timeout = 100",
    "SET search_path = ''",
    "SET intervalstyle = 'sql_standard'",
    "SET datestyle = 'SQL, DMY'",
    "SET timezone = 'Asia/Kathmandu'",
    "SET default_transaction_isolation = 'serializable'",
    "SET enable_indexscan = off",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        # PgBouncer's user has to reach the socket.
        running.data.parent.chmod(0o711)
        yield running


@pytest.fixture
def alice(postgres):
    with using_database(postgres.url):
        return new_organization(None)


@pytest.fixture
def flask(monkeypatch):
    """Run a command over a URL and return what it printed."""

    def run(url: str, *arguments: object) -> str:
        config = command_line.service.app.config
        monkeypatch.setitem(
            config, "SETTINGS", dataclasses.replace(config["SETTINGS"], database_url=url)
        )
        return command_line.flask(*arguments).stdout

    return run


def message(alice, number: int, **fields) -> dict:
    ends = {"direction": "inbound", "from": contact(number), "to": alice.number}
    return ends | {"body": "¿mañana?", "created_at": "2026-04-28T12:00:01Z"} | fields


@pytest.fixture
def file(alice, tmp_path) -> Path:
    """A file of thirty messages to import."""
    path = tmp_path / "messages.ndjson"
    path.write_bytes(b"\n".join(orjson.dumps(message(alice, n)) for n in range(10, 40)))
    return path


def walk(url: str, alice, flask, file: Path) -> None:
    """Do what requests and commands do, and see that it is right."""
    with running_service(url, WEB_CONCURRENCY=2) as service:
        for number in range(1, 6):
            body = message(alice, number)
            assert service.request("POST", "/v1/messages", alice.key, body)[0] == 201
        consent = {"phone_number_id": str(alice.phone_number_id), "contact_number": contact(1)}
        at = "2026-05-04T03:02:01Z"
        status, _, answer = service.request(
            "POST", "/v1/consent", alice.key, consent | {"opted_in": True, "captured_at": at}
        )
        assert (status, answer["data"]["opted_in_at"]) == (200, at)
        seen, query = [], "?limit=2"
        while query:
            status, headers, answer = service.request("GET", LIST + query, alice.key)
            assert status == 200, answer
            seen += [row["contact_number"] for row in answer["data"]]
            query = headers["Link"] and headers["Link"].partition(">")[0][1:]
        assert sorted(seen) == [contact(number) for number in range(1, 6)]
        assert service.request("GET", f"{LIST}?opted_in=true", alice.key)[2]["meta"]["total"] == 1
        assert service.request("GET", "/readyz")[0] == 200
    tally = flask(url, "import-messages", alice.id, file)
    assert tally == "imported 30, already there 0, skipped 0, refused 0\n"
    assert flask(url, "check-conversations") == ""
    flask(url, "create-api-key", alice.id, "--scope", "consent:write", "--expires-in", "90d")
    assert "redacted 0" in flask(url, "redact-messages")
    flask(url, "status")


def settings(conn: psycopg.Connection) -> list[tuple]:
    return conn.execute(SETTINGS).fetchall()


def test_nothing_of_ours_stays_in_the_sessions_that_others_use(postgres, alice, flask, file):
    with running_pgbouncer(postgres.url, pool_size=3) as url:
        flask(url, "migrate")
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
            before = settings(other)
            walk(url, alice, flask, file)
            # More sessions than the pool has: every one of them is seen.
            for _ in range(20):
                assert settings(other) == before
            assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_nothing_that_others_leave_behind_reaches_us(postgres, alice, flask, file):
    with running_pgbouncer(postgres.url, pool_size=3) as url:
        flask(url, "migrate")
        stop = threading.Event()

        def leave_behind() -> None:
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
                while not stop.is_set():
                    for statement in LEFT_BEHIND:
                        # Its own statements can run into what it has left behind, too.
                        try:
                            other.execute(statement)
                        except psycopg.errors.QueryCanceled:
                            continue
                    time.sleep(0.01)

        thread = threading.Thread(target=leave_behind)
        thread.start()
        try:
            walk(url, alice, flask, file)
        finally:
            stop.set()
            thread.join()


def test_a_command_is_not_bound_by_the_time_of_a_request(postgres, alice, flask, file):
    with running_pgbouncer(postgres.url) as url, running_service(url, WEB_CONCURRENCY=1) as service:
        assert service.request("GET", LIST, alice.key)[0] == 200
        with psycopg.connect(postgres.url) as other:
            other.execute("LOCK TABLE conversations IN SHARE ROW EXCLUSIVE MODE")
            tallies: list[str] = []

            def import_messages() -> None:
                tallies.append(flask(url, "import-messages", alice.id, file))

            thread = threading.Thread(target=import_messages)
            thread.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: other.execute(waiting).fetchone() != (0,), seconds=10)
            # A request's statement would be given up by now, and one is.
            status, _, _ = service.request("POST", "/v1/messages", alice.key, message(alice, 1))
            assert status == 503
            time.sleep(1)
            other.rollback()
            thread.join()
        assert tallies == ["imported 30, already there 0, skipped 0, refused 0\n"]


def test_a_pooler_in_session_mode_works_too(postgres, alice, flask, file):
    with running_pgbouncer(postgres.url, pool_mode="session", pool_size=10) as url:
        flask(url, "migrate")
        walk(url, alice, flask, file)
