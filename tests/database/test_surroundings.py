"""Connections owe nothing to their surroundings, and what the operator wrote wins."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conversations import settings
from conversations.database.connection import connect
from conversations.database.url import check_url
from tests.command_line import flask_process
from tests.conftest import (
    DATABASE_URL,
    SERVER_URL,
    contact,
    new_database,
    new_organization,
    using_database,
)
from tests.servers import running_postgres, running_service

# What a role, a database or another client of a pooler may have set.
HOSTILE = {
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'sql_standard'",
    "timezone": "'Asia/Kathmandu'",
    "client_encoding": "'LATIN1'",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "statement_timeout": "300",
    "lock_timeout": "300",
    "idle_in_transaction_session_timeout": "300",
    "idle_session_timeout": "300",
    "plan_cache_mode": "'force_custom_plan'",
    "jit": "on",
    "jit_above_cost": "0",
    "lc_time": "'C'",
    "xmloption": "'document'",
    "row_security": "off",
    "check_function_bodies": "off",
    "synchronous_commit": "off",
    "client_min_messages": "'debug1'",
    "search_path": "nobody, public",
}
ENVIRONMENT = {
    "PGOPTIONS": "-c datestyle=SQL,DMY -c default_transaction_read_only=on",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "nonsense",
    "PGTZ": "nonsense",
    "PGAPPNAME": "nonsense",
    "PGCONNECT_TIMEOUT": "nonsense",
    "PGTARGETSESSIONATTRS": "standby",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii:backslashreplace",
}
TEXT = "Bis später — ¿mañana? \\' 🛑"
AT = "2026-05-04T03:02:01.000100Z"


@pytest.fixture(scope="module")
def hostile() -> str:
    """The URL of a database in which everything is set to something unusual."""
    url = new_database(SERVER_URL)
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(SERVER_URL, autocommit=True) as conn:
        for setting, value in HOSTILE.items():
            conn.execute(f"ALTER DATABASE {name} SET {setting} = {value}")
        if conn.info.server_version >= 170000:
            conn.execute(f"ALTER DATABASE {name} SET transaction_timeout = 300")
    return url


def flask(*args: object, url: str, ends_with: int = 0, input: bytes | None = None) -> str:
    done = flask_process(*args, input=input, DATABASE_URL=url, **ENVIRONMENT)
    assert done.returncode == ends_with, done.stderr.decode()
    return done.stdout.decode()


def test_text_and_instants_go_right_whatever_the_database_and_the_environment_say(hostile):
    assert "0001" in flask("migrate", url=hostile)
    id = flask("create-organization", "Ünal", "--message-retention-days", "1", url=hostile).strip()
    number_id = flask("create-phone-number", id, "+15551112222", url=hostile).strip()
    scopes = ("conversations:read", "messages:write", "consent:write")
    options = [part for scope in scopes for part in ("--scope", scope)]
    key = flask("create-api-key", id, *options, "--expires-in", "90d", url=hostile).strip()
    message = {"direction": "inbound", "from": contact(1), "to": "+15551112222", "body": TEXT}
    consent = {"phone_number_id": number_id, "contact_number": contact(1), "opted_in": True}
    with running_service(hostile, WEB_CONCURRENCY=1, **ENVIRONMENT) as service:
        status, _, answer = service.request(
            "POST", "/v1/messages", key, message | {"created_at": AT}
        )
        assert (status, answer["data"]["body"], answer["data"]["created_at"]) == (201, TEXT, AT)
        status, _, answer = service.request(
            "POST", "/v1/consent", key, consent | {"captured_at": AT}
        )
        assert (status, answer["data"]["opted_in_at"]) == (200, AT)
        status, _, answer = service.request("GET", f"/v1/conversations?since={AT}", key)
        assert status == 200
        (row,) = answer["data"]
        assert (row["last_message_preview"], row["last_message_at"]) == (TEXT, AT)
        assert row["consent"] == {"opted_in": True, "opted_in_at": AT}
        assert service.request("GET", "/readyz")[0] == 200
        imported = flask(
            "import-messages",
            id,
            "-",
            input=orjson.dumps(
                message | {"created_at": AT, "id": answer["data"][0]["phone_number_id"]}
            ),
            url=hostile,
        )
        assert flask("list-api-keys", id, url=hostile).count("Z\t") > 0
        assert imported == "imported 1, already there 0, skipped 0, refused 0\n"
        assert flask("check-conversations", url=hostile) == ""
        assert "redacted 2, oldest readable none" in flask("redact-messages", url=hostile)
        (row,) = service.request("GET", "/v1/conversations", key)[2]["data"]
        assert row["last_message_preview"] == "[redacted]"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf8_is_refused_before_anything_is_applied(encoding):
    url = new_database(SERVER_URL)
    name = "x" + conninfo_to_dict(url)["dbname"]
    with psycopg.connect(SERVER_URL, autocommit=True) as conn:
        conn.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' "
            "LOCALE_PROVIDER libc LOCALE 'C'"
        )
    done = flask_process("migrate", DATABASE_URL=make_conninfo(SERVER_URL, dbname=name))
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"the encoding of the database is {encoding}" in line
    with psycopg.connect(SERVER_URL, dbname=name) as conn:
        assert conn.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 2200"
        ).fetchone() == (0,)


@contextlib.contextmanager
def slow_front(path: str, seconds: float) -> Iterator[int]:
    """Run a front that holds each new connection for a while."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def carry(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        def serve(client: socket.socket) -> None:
            time.sleep(seconds)
            with (
                client,
                socket.socket(socket.AF_UNIX) as server,
                contextlib.suppress(FileNotFoundError),  # The server has ended meanwhile.
            ):
                server.connect(path)
                back = threading.Thread(target=carry, args=(server, client), daemon=True)
                back.start()
                carry(client, server)
                back.join()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.soak
def test_a_front_that_holds_connections_works_with_the_time_that_the_url_allows():
    with running_postgres() as postgres:
        with using_database(postgres.url):
            alice = new_organization(None)
        socket_path = f"{postgres.data.parent}/.s.PGSQL.5432"
        with slow_front(socket_path, 3) as port:
            url = f"postgres://postgres@127.0.0.1:{port}/postgres?connect_timeout=15"
            with running_service(url, WEB_CONCURRENCY=1) as service:
                assert service.request("GET", "/v1/conversations", alice.key)[0] == 200


class Forgetful:
    """A network that forgets its connections without a word when it is told to."""

    def __init__(self, path: str, listener: socket.socket):
        self._path, self._listener, self._epoch = path, listener, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self) -> None:
        """Carry nothing any more for the connections of now; they stay open."""
        self._epoch += 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                for ends in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._carry, args=(*ends, self._epoch), daemon=True
                    ).start()

    def _carry(self, source: socket.socket, target: socket.socket, epoch: int) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                if epoch == self._epoch:
                    target.sendall(data)
            if epoch == self._epoch:
                target.shutdown(socket.SHUT_WR)


def test_connections_that_the_network_has_forgotten_cost_no_request():
    with running_postgres() as postgres, socket.create_server(("127.0.0.1", 0)) as listener:
        with using_database(postgres.url):
            alice = new_organization(None)
        network = Forgetful(f"{postgres.data.parent}/.s.PGSQL.5432", listener)
        url = f"postgres://postgres@127.0.0.1:{listener.getsockname()[1]}/postgres"
        message = alice.inbound()
        with running_service(url, WEB_CONCURRENCY=1) as service:
            assert service.request("GET", "/v1/conversations", alice.key)[0] == 200
            statuses = []
            for _ in range(2):
                time.sleep(1.5)
                network.forget()
                statuses.append(service.request("GET", "/v1/conversations", alice.key)[0])
                time.sleep(1.5)
                network.forget()
                statuses.append(service.request("POST", "/v1/messages", alice.key, message)[0])
        assert statuses == [200, 201, 200, 201]


def test_the_password_goes_to_the_address_of_the_url_alone():
    params = conninfo_to_dict(DATABASE_URL)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.1)
        variables = {
            "PGHOSTADDR": "127.0.0.2",
            "PGSERVICE": "other",
            "PGPORT": str(elsewhere.getsockname()[1]),
        }
        url = make_conninfo(DATABASE_URL, password="geheim", port=params.get("port", 5432))
        done = flask_process("status", DATABASE_URL=url, **variables)
        assert done.returncode == 0, done.stderr
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_a_session_that_a_cut_left_in_a_transaction_lets_go_of_its_locks():
    with connect(DATABASE_URL, for_requests=True) as conn:
        row = conn.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert row == {"idle_in_transaction_session_timeout": "3s"}
    with connect(DATABASE_URL) as conn:
        row = conn.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert row == {"idle_in_transaction_session_timeout": "0"}


def test_what_the_url_says_wins():
    url = make_conninfo(
        DATABASE_URL,
        application_name="mine",
        keepalives_idle=7,
        options="-c statement_timeout=5s -c lock_timeout=300ms -c DateStyle=SQL",
    )
    with connect(url, for_requests=True) as conn:
        given = conn.info.get_parameters()
        assert (given["application_name"], given["keepalives_idle"]) == ("mine", "7")
        shown = {
            name: conn.execute(f"SHOW {name}").fetchone()[name]
            for name in ("statement_timeout", "lock_timeout", "DateStyle", "plan_cache_mode")
        }
        assert shown == {
            "statement_timeout": "5s",
            "lock_timeout": "300ms",
            "DateStyle": "ISO, MDY",
            "plan_cache_mode": "force_generic_plan",
        }
        # Later than the server's own time-out, so that its complaint comes first.
        assert conn.response_timeout == 5.5


SECRETS = ("geheim", "hunter2")


MISREAD = [
    ("postgres://svc:geheim@hunter2@127.0.0.1/db", "%40"),
    ("postgres://svc@geheim:hunter2@127.0.0.1/db", "%40"),
    ("postgres://svc:geheim/hunter2@127.0.0.1/db", "%2F"),
    ("postgres://svc:geheim@/hunter2@127.0.0.1/db", "%40"),
    ("postgres://svc:geheim@hunter2?x@127.0.0.1/db", "%40"),
    ("postgres://svc:geheim@hunter2#x/db", "%23"),
    ("postgres://127.0.0.1?user=svc&password=geheim@hunter2", "%3F"),
    ("postgres://svc:geheim%hunter2@127.0.0.1/db", "%25"),
    ("postgres://svc:geheim%0hunter2@127.0.0.1/db", "%25"),
    ("postgres://svc:geheim hunter2@127.0.0.1/db", "%20"),
    ("postgres://geheim:hunter2/db", "is not the URL"),
    ("postgres://127.0.0.1/db?password=geheim&hunter2=x", "is not the URL"),
    ("host=127.0.0.1 password=geheim hunter2=x", "is not the URL"),
    ("host=127.0.0.1 password=geheim hunter2", "is not the URL"),
    ("postgres://svc:geheim@127.0.0.1/db?pgbouncer=true&schema=public", "know: pgbouncer"),
    ("host=127.0.0.1 pgbouncer=true", "pgbouncer"),
    ("postgres://svc:geheim@127.0.0.1/db?connect_timeout=hunter2", "connect_timeout"),
    ("mysql://svc:geheim@127.0.0.1/db", "is not the URL"),
    ("postgres://svc:x@geheim?hunter2=y@127.0.0.1/db", "%40"),
    ("postgres://svc:geheim/x?hunter2=y@127.0.0.1/db", "%2F"),
    ("postgres://127.0.0.1:65536/db", "is not the URL"),
]


def test_a_url_that_is_read_in_a_way_nobody_means_is_refused_without_showing_it(subtests):
    for url, named in MISREAD:
        with subtests.test(url=url, named=named):
            with pytest.raises(SystemExit) as refusal:
                settings.load({"DATABASE_URL": url})
            complaint = str(refusal.value)
            assert complaint.startswith("DATABASE_URL ")
            assert named in complaint
            for secret in SECRETS:
                assert secret not in complaint


WELL_READ = [
    "postgres://svc:ge#heim:hun+ter=2&!x@127.0.0.1:5432/db?sslmode=require",
    "postgres://svc:p%40ss%2Fw%25@[::1]:5432,db.example.com/db?connect_timeout=15&ssl=true",
    "postgresql://postgres@/postgres?host=/tmp/folder&port=5432",
    "postgres://%2Fvar%2Frun%2Fpostgresql/db?options=-c%20search_path%3Dsms",
    "host=/tmp dbname=db user=svc password='a b' options='-c a=b'",
    "postgres://",
    "",
]


def test_a_url_that_is_read_as_it_is_meant_is_taken(subtests):
    for url in WELL_READ:
        with subtests.test(url=url):
            check_url(url)


def test_neither_the_user_nor_the_password_is_in_the_log():
    name = conninfo_to_dict(DATABASE_URL)["dbname"]
    url = make_conninfo(SERVER_URL, user="geheim", password="hunter2", dbname=name)
    with running_service(url, WEB_CONCURRENCY=1) as service:
        status, _, _ = service.request("GET", "/readyz")
        assert status == 503
        log = service.log()
    assert "FATAL" in log
    for secret in SECRETS:
        assert secret not in log
