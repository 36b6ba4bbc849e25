"""Connections: how they are made, lent and given up, and what is done when the database is away."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg.adapt import Loader
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

# How long a request waits for a connection: in short looks, any of which may find it down.
CHECKOUT_SECONDS = 2.0
PATIENCE_SECONDS = 0.1
DOWN_PATIENCE_SECONDS = 0.02
DOWN_SECONDS = 1.0
STATEMENT_SECONDS = 2.0
ANSWER_SECONDS = 2.5

# A request's statements are planned once a connection: planning takes longer than most take to run.
# So a plan must not trust what it guesses of sizes: it may be made while the tables are empty, when
# to read them whole looks cheapest, and for a count that looks worth parallel workers, but is not.
PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}

TEMPORARY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout)


class Unavailable(Exception):
    """The database is away, too slow, or has no connection to spare: try again soon."""


class AsItComes(Loader):
    """Loads varchar, which no column is, as bytes: what goes out as it came need not be decoded."""

    def load(self, data) -> bytes:
        """Return the bytes of the UTF-8 text."""
        return bytes(data)


class Connection(psycopg.Connection):
    """A connection that does not outwait a server that stopped answering."""

    answer_seconds: float | None = None

    def wait(self, gen, interval=0.1, timeout=None):
        """As psycopg's, but close the connection when no answer came in time."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError("no answer from the server in time") from None


_config: dict = {}
_pools: dict[tuple[int, str], ConnectionPool] = {}
_opening = threading.Lock()


def configure(  # noqa: PLR0913
    url: str | None,
    *,
    replica_url: str | None = None,
    pool_size: int = 1,
    prepare: bool = True,
    hurried: bool = False,
    on_open: Callable[[], None] | None = None,
) -> None:
    """Say which database the helpers below use, and how; connects to nothing yet.

    `replica_url` is where lists are read. `hurried` bounds every statement, as a request needs
    and a command does not. `on_open` runs once in each process, before its first query, and may
    raise.
    """
    close()
    _config.update(
        urls={"primary": url, "replica": replica_url},
        pool_size=pool_size,
        prepare=prepare,
        hurried=hurried,
        on_open=on_open,
    )


@contextlib.contextmanager
def configured(url: str, **how) -> Iterator[None]:
    """Use a database as `configure` says while the block lasts, then what was used before."""
    before = dict(_config)
    configure(url, **how)
    try:
        yield
    finally:
        close()
        _config.update(before)


def connect(url: str, *, prepare: bool = True, hurried: bool = False) -> Connection:
    """Open a connection of its own, outside the pool. Raises psycopg.OperationalError."""
    conn = Connection.connect(url, **_connect_options(prepare))
    _prepare_session(conn, hurried)
    return conn


def _connect_options(prepare: bool, role: str = "primary") -> dict:
    return {
        # Of several hosts: a demoted primary is no use to writers, any host is to readers.
        "target_session_attrs": "read-write" if role == "primary" else "prefer-standby",
        "autocommit": True,
        "row_factory": dict_row,
        "prepare_threshold": 0 if prepare else None,
        "connect_timeout": 2,
        "application_name": "conversations",
    }


def _prepare_session(conn: Connection, hurried: bool) -> None:
    conn.adapters.register_loader("varchar", AsItComes)
    conn.answer_seconds = ANSWER_SECONDS if hurried else None
    milliseconds = int(STATEMENT_SECONDS * 1000) if hurried else 0
    # Said to both: behind PgBouncer, a command's connection may have been a request's.
    planning = [
        f"SET {name} = {value}" if hurried else f"RESET {name}" for name, value in PLANNING.items()
    ]
    conn.execute(
        f"{'; '.join(planning)};"
        # No JIT: a total that counts a large inbox looks costly, and compiling costs more.
        "SET timezone = 'UTC'; SET jit = off;"
        f"SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds};"
        "SET idle_in_transaction_session_timeout = 60000",
        prepare=False,
    )


def _refuse_hung_up(conn: Connection) -> None:
    """Refuse a connection on which the server has already said goodbye; costs no round trip."""
    poll = select.poll()
    poll.register(conn.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        conn.close()
        raise psycopg.OperationalError("the server closed the connection")


class Pool(ConnectionPool):
    """A pool that knows whether its database is down, so that nobody waits for it in vain."""

    def __init__(self, role: str):
        self._down_until = 0.0
        super().__init__(
            _config["urls"][role],
            name=role,
            kwargs=_connect_options(_config["prepare"], role),
            connection_class=Connection,
            configure=self._welcome,
            check=_refuse_hung_up,
            min_size=_config["pool_size"],
            max_size=_config["pool_size"],
            # Short, because after it every request tries to connect anew.
            reconnect_timeout=0.1,
            reconnect_failed=self._despair,
            open=True,
        )

    def _welcome(self, conn: Connection) -> None:
        _prepare_session(conn, _config["hurried"])
        self._down_until = 0.0

    def _despair(self, _) -> None:
        self._down_until = time.monotonic() + DOWN_SECONDS

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def lend(self) -> Connection:
        """Return a connection, waiting for one only while that makes sense."""
        deadline = time.monotonic() + CHECKOUT_SECONDS
        while True:
            try:
                return self.getconn(DOWN_PATIENCE_SECONDS if self._is_down() else PATIENCE_SECONDS)
            except PoolTimeout:
                if self._is_down() or time.monotonic() > deadline:
                    raise


def _pool(role: str) -> Pool:
    """Return this process's pool, opened on first use: one shared over a fork mixes up answers."""
    name = os.getpid(), role
    if name not in _pools:
        with _opening:
            if name not in _pools:
                if _config["on_open"]:
                    _config["on_open"]()
                _pools[name] = Pool(role)
    return _pools[name]


def close() -> None:
    """Close this process's pools, if it has any."""
    for name in [name for name in _pools if name[0] == os.getpid()]:
        _pools.pop(name).close()


def has_replica() -> bool:
    """Tell whether lists are read from a replica."""
    return _config["urls"]["replica"] is not None


def replica_lag(wal_position: str) -> int:
    """Return by how many bytes of write-ahead log the replica is behind a position."""
    with connection("replica") as conn:
        row = conn.execute(
            "SELECT greatest(pg_wal_lsn_diff(%s, CASE WHEN pg_is_in_recovery() "
            "THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END), 0)::bigint AS lag",
            [wal_position],
        ).fetchone()
    return row["lag"]


@contextlib.contextmanager
def connection(role: str = "primary") -> Iterator[Connection]:
    """Lend a connection of a pool. Raises Unavailable for whatever only time can mend."""
    try:
        pool = _pool(role)
        conn = pool.lend()
        try:
            yield conn
        except psycopg.errors.ReadOnlySqlTransaction:
            conn.close()  # It leads to a primary that was demoted.
            raise
        finally:
            pool.putconn(conn)
    except TEMPORARY as error:
        raise Unavailable(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


@contextlib.contextmanager
def transaction() -> Iterator[Connection]:
    """Lend a connection inside a transaction: committed at the end, rolled back on any error."""
    with connection() as conn, conn.transaction():
        yield conn


def load() -> tuple[int, int]:
    """Return how many connections of this process are lent out, and how many requests wait."""
    stats = [pool.get_stats() for name, pool in _pools.items() if name[0] == os.getpid()]
    in_use = sum(one["pool_size"] - one["pool_available"] for one in stats)
    return in_use, sum(one["requests_waiting"] for one in stats)
