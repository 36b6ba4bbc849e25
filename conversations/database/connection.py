"""Connections to PostgreSQL: how they are opened, and what is fixed for each."""

import contextlib
import os
import re
import select
import time
from collections.abc import Iterator
from typing import Any, Self

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads

CONNECT_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 2.0
RESPONSE_TIMEOUT_SECONDS = 2.5
# A session that is idle in a transaction keeps its locks, also when nobody is left to end it.
IDLE_TRANSACTION_TIMEOUT_SECONDS = 3.0
# A network may forget an idle connection without a word, so one that was idle for so long is
# tried before it is used.
TRUSTED_IDLE_SECONDS = 1.0
PING_TIMEOUT_SECONDS = 0.5

# Settings that change how text, instants, numbers or transactions behave. A role, a database or
# another client of a pooler may have set them to anything.
FIXED = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
}
# Request statements are planned once for each connection, because planning takes longer than most
# of them take to run. Such a plan must not depend on guesses of table sizes: it may be made while
# the tables are empty, when reading them whole looks cheapest.
REQUEST_PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}
# Citus refuses to run a generic plan of a statement that reads distributed tables.
CUSTOM_PLANS_ON_CITUS = (
    "SELECT set_config('plan_cache_mode', 'auto', {is_local}) "
    "WHERE to_regproc('citus_version') IS NOT NULL"
)
# libpq takes these two from the environment alone. It sends them as the connection is opened, and
# a value that PostgreSQL does not know would prevent that.
os.environ |= {"PGTZ": FIXED["TimeZone"], "PGDATESTYLE": FIXED["DateStyle"]}
# These would send the password of the URL to another address than that of the URL.
for _name in ("PGHOSTADDR", "PGSERVICE"):
    os.environ.pop(_name, None)
# A pooler such as PgBouncer, which may run each transaction in another session, names a process of
# its own making when a client connects, not that of the session.
SESSION = (
    "SELECT pg_backend_pid() AS pid, setting::integer AS statement_timeout_ms "
    "FROM pg_settings WHERE name = 'statement_timeout'"
)
# Where sessions are shared. The isolation of a transaction that has begun is no longer the default
# one, and can be set before all else only. The search path is that of the role or the database.
FIRST_SETTINGS = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path TO DEFAULT"
# The settings that `options` in a URL names, such as `-c statement_timeout=5s`.
NAME_IN_OPTIONS = re.compile(r"(?:-c\s*|--)([\w.-]+)\s*=")


class Connection(psycopg.Connection[DictRow]):
    """A connection that gives up on a server that has stopped responding.

    `response_timeout` is in seconds; None waits for ever. The server's own statement_timeout does
    not end the wait for a server that is frozen or unreachable.

    `transaction_settings` are statements that each transaction begins with, where a pooler may run
    each transaction in another session: settings of a session would reach other clients.
    """

    response_timeout: float | None = None
    transaction_settings: str = ""
    _answered_at = 0.0

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Connect as psycopg does. Raises psycopg.OperationalError, with no part of a password."""
        try:
            return super().connect(conninfo, **kwargs)
        except psycopg.OperationalError as error:
            raise type(error)(_conceal(str(error), conninfo)) from None

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but close the connection when no response came in time.

        Raises psycopg.OperationalError then.
        """
        try:
            answer = super().wait(gen, interval, timeout or self.response_timeout)
            self._answered_at = time.monotonic()
            return answer
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError("no response from the server in time") from None

    def require_alive(self) -> None:
        """Raise psycopg.OperationalError if the server or the network has ended the connection."""
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        if poll.poll(0):
            raise psycopg.OperationalError("the server closed the connection")
        if time.monotonic() - self._answered_at > TRUSTED_IDLE_SECONDS:
            usual, self.response_timeout = self.response_timeout, PING_TIMEOUT_SECONDS
            self.execute("", prepare=False)
            self.response_timeout = usual

    @contextlib.contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """Run the block in a transaction as psycopg does, after the settings of a transaction."""
        is_outermost = self.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with super().transaction(*args, **kwargs) as transaction:
            if is_outermost and self.transaction_settings:
                self.execute(self.transaction_settings.encode(), prepare=False)
            yield transaction

    def statement(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context for a single statement: a transaction only where settings need one."""
        return self.transaction() if self.transaction_settings else contextlib.nullcontext()


def _conceal(text: str, url: str) -> str:
    """Return an error on one line, without the user name and the password of the URL."""
    params = conninfo_to_dict(url)
    text = " ".join(text.split()).replace(f'"{params.get("user")}"', '"…"')
    password = str(params.get("password", ""))
    return text.replace(password, "…") if password else text


def connect(url: str, *, prepare: bool | None = None, for_requests: bool = False) -> Connection:
    """Open a connection outside the pool. Raises psycopg.OperationalError.

    `for_requests` bounds the time of every statement, which a request needs and a command does not.
    `prepare` says whether statements are prepared; None: unless a pooler shares sessions.
    """
    connection = Connection.connect(url, **connect_options(url))
    configure(connection, prepare, for_requests)
    return connection


def connect_options(url: str, role: str = "primary") -> dict[str, Any]:
    """Return the arguments of Connection.connect for a server of this role.

    What the URL says itself wins, except for what must be so.
    """
    given = conninfo_to_dict(url)
    has_several_hosts = "," in f"{given.get('host', '')}{given.get('hostaddr', '')}"
    # Of several hosts only the primary can write. A single one is taken as it is: reads go on where
    # it became read-only.
    primary = "primary" if has_several_hosts else "any"
    return {
        "target_session_attrs": primary if role == "primary" else "prefer-standby",
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "conversations",
        "options": "",  # Else libpq takes those of PGOPTIONS.
        # Networks forget connections that are idle for minutes. Without these, TCP itself notices
        # the loss of a connection after hours.
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **given,
        "client_encoding": "UTF8",
        "autocommit": True,
        "row_factory": dict_row,
    }


def configure(connection: Connection, prepare: bool | None, for_requests: bool) -> None:
    """Fix the settings of a new connection. Raises psycopg.OperationalError."""
    # JSON that PostgreSQL made goes into a response as it is.
    set_json_loads(orjson.Fragment, connection)
    connection.response_timeout = RESPONSE_TIMEOUT_SECONDS if for_requests else None
    options = connection.info.options
    given = {name.replace("-", "_").lower() for name in NAME_IN_OPTIONS.findall(options)}
    wanted = _default_settings(connection.info.server_version, for_requests)
    settings = FIXED | {name: value for name, value in wanted.items() if name not in given}
    session = connection.execute(SESSION, prepare=False).fetchone() or {}
    is_shared = session["pid"] != connection.info.backend_pid
    scope = "LOCAL" if is_shared else "SESSION"
    statements = [f"SET {scope} {name} = '{value}'" for name, value in settings.items()]
    if for_requests:
        statements.append(CUSTOM_PLANS_ON_CITUS.format(is_local=is_shared))
    if is_shared:
        connection.transaction_settings = "; ".join([FIRST_SETTINGS, *statements])
    else:
        connection.execute("; ".join(statements).encode(), prepare=False)
    connection.prepare_threshold = 0 if prepare or (prepare is None and not is_shared) else None
    if for_requests and "statement_timeout" in given:
        grace_seconds = RESPONSE_TIMEOUT_SECONDS - STATEMENT_TIMEOUT_SECONDS
        seconds = session["statement_timeout_ms"] / 1000
        connection.response_timeout = seconds + grace_seconds if seconds else None


def _default_settings(server_version: int, for_requests: bool) -> dict[str, str]:
    """Return the settings for requests or for commands, which `options` in the URL may replace."""
    timeout = f"{STATEMENT_TIMEOUT_SECONDS * 1000:.0f}ms" if for_requests else "0"
    idle_timeout = f"{IDLE_TRANSACTION_TIMEOUT_SECONDS:.0f}s" if for_requests else "0"
    # Compiling takes longer than the count over a large inbox that PostgreSQL would compile.
    settings = {"jit": "off", "statement_timeout": timeout, "lock_timeout": timeout}
    settings["idle_in_transaction_session_timeout"] = idle_timeout
    if server_version >= 170000:
        settings["transaction_timeout"] = "0"
    return settings | REQUEST_PLANNING if for_requests else settings
