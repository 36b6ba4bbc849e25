"""Connections to PostgreSQL: how they are opened, and what is fixed for each."""

from typing import Any, LiteralString, cast

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads

CONNECT_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 2.0
RESPONSE_TIMEOUT_SECONDS = 2.5
IDLE_TRANSACTION_TIMEOUT_SECONDS = 60.0

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
    "SELECT set_config('plan_cache_mode', 'auto', FALSE) "
    "WHERE to_regproc('citus_version') IS NOT NULL"
)


class Connection(psycopg.Connection[DictRow]):
    """A connection that gives up on a server that has stopped responding.

    `response_timeout` is in seconds; None waits for ever. The server's own statement_timeout does
    not end the wait for a server that is frozen or unreachable.
    """

    response_timeout: float | None = None

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but close the connection when no response came in time.

        Raises psycopg.OperationalError then.
        """
        try:
            return super().wait(gen, interval, timeout or self.response_timeout)
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError("no response from the server in time") from None


def check_url(url: str) -> None:
    """Raise ValueError with a sentence unless `url` is a connection string that libpq takes.

    libpq's own complaint is not repeated, because it shows the password.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ValueError("is not the URL of a PostgreSQL") from None


def connect(url: str, *, prepare: bool = True, for_requests: bool = False) -> Connection:
    """Open a connection outside the pool. Raises psycopg.OperationalError.

    `for_requests` bounds the time of every statement, which a request needs and a command does not.
    """
    connection = Connection.connect(url, **connect_options(prepare))
    configure(connection, for_requests)
    return connection


def connect_options(prepare: bool, role: str = "primary") -> dict[str, Any]:
    """Return the arguments of Connection.connect for a server of this role."""
    return {
        # With several hosts: only the primary can write, any host can read.
        "target_session_attrs": "read-write" if role == "primary" else "prefer-standby",
        "autocommit": True,
        "row_factory": dict_row,
        "prepare_threshold": 0 if prepare else None,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "conversations",
    }


def configure(connection: Connection, for_requests: bool) -> None:
    """Fix the settings of a new connection. Raises psycopg.OperationalError."""
    # JSON that PostgreSQL made goes into a response as it is.
    set_json_loads(orjson.Fragment, connection)
    connection.response_timeout = RESPONSE_TIMEOUT_SECONDS if for_requests else None
    timeout_ms = int(STATEMENT_TIMEOUT_SECONDS * 1000) if for_requests else 0
    idle_timeout_ms = int(IDLE_TRANSACTION_TIMEOUT_SECONDS * 1000) if for_requests else 0
    # A command resets them, because behind PgBouncer its session may have served requests before.
    planning = [
        f"SET {name} = {value}" if for_requests else f"RESET {name}"
        for name, value in REQUEST_PLANNING.items()
    ]
    settings = [
        *planning,
        "SET timezone = 'UTC'",
        # Compiling takes longer than the count over a large inbox that PostgreSQL would compile.
        "SET jit = off",
        f"SET statement_timeout = {timeout_ms}",
        f"SET lock_timeout = {timeout_ms}",
        f"SET idle_in_transaction_session_timeout = {idle_timeout_ms}",
        CUSTOM_PLANS_ON_CITUS,
    ]
    connection.execute(cast(LiteralString, "; ".join(settings)), prepare=False)
