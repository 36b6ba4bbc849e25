"""The connection pools of a process, and what happens while the database is away."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from conversations.database.connection import Connection, configure, connect_options

# How long a request waits for a connection: in short steps, each of which may find it down.
CHECKOUT_TIMEOUT_SECONDS = 2.0
CHECKOUT_STEP_SECONDS = 0.1
DOWN_CHECKOUT_STEP_SECONDS = 0.02
DOWN_SECONDS = 1.0
# psycopg_pool waits longer after each failed attempt; after this time a request starts a new one.
RECONNECT_TIMEOUT_SECONDS = 0.1

# What a command reports in one sentence.
DatabaseError = psycopg.Error
IntegrityError = psycopg.IntegrityError
TEMPORARY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout)


class Unavailable(Exception):
    """The database is away, too slow, or has no free connection: try again soon."""


@dataclass(frozen=True)
class PoolSettings:
    """Which databases the pools of this process lead to, and how.

    `replica_url` is where lists are read. `for_requests` bounds every statement. `on_open` runs
    once in each process, before its first query, and may raise.
    """

    url: str | None = None
    replica_url: str | None = None
    pool_size: int = 1
    prepare: bool = True
    for_requests: bool = False
    on_open: Callable[[], None] | None = None


_settings = PoolSettings()
_pools: dict[tuple[int, str], "Pool"] = {}
_opening = threading.Lock()


class Pool(ConnectionPool[Connection]):
    """A pool that remembers that its database is down, so that no request waits for it in vain."""

    def __init__(self, url: str | None, role: str, settings: PoolSettings):
        self._down_until = 0.0
        self._for_requests = settings.for_requests
        super().__init__(
            url or "",
            name=role,
            kwargs=connect_options(settings.prepare, role),
            connection_class=Connection,
            configure=self._configure,
            check=_refuse_closed,
            min_size=settings.pool_size,
            max_size=settings.pool_size,
            reconnect_timeout=RECONNECT_TIMEOUT_SECONDS,
            reconnect_failed=self._mark_down,
            open=True,
        )

    def _configure(self, connection: Connection) -> None:
        configure(connection, self._for_requests)
        self._down_until = 0.0

    def _mark_down(self, _: ConnectionPool[Connection]) -> None:
        self._down_until = time.monotonic() + DOWN_SECONDS

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def check_out(self) -> Connection:
        """Return a connection. Raises PoolTimeout at once while the database is down."""
        deadline = time.monotonic() + CHECKOUT_TIMEOUT_SECONDS
        while True:
            step = DOWN_CHECKOUT_STEP_SECONDS if self._is_down() else CHECKOUT_STEP_SECONDS
            try:
                return self.getconn(step)
            except PoolTimeout:
                if self._is_down() or time.monotonic() > deadline:
                    raise


def _refuse_closed(connection: Connection) -> None:
    """Refuse a connection that the server has closed, without a round trip to the server."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        connection.close()
        raise psycopg.OperationalError("the server closed the connection")


def set_up(settings: PoolSettings) -> None:
    """Close the pools of this process and use these settings from now on; connects to nothing."""
    global _settings
    close()
    _settings = settings


@contextlib.contextmanager
def using(settings: PoolSettings) -> Iterator[None]:
    """Use these settings while the block lasts, then those of before."""
    before = _settings
    set_up(settings)
    try:
        yield
    finally:
        set_up(before)


def _pool(role: str) -> Pool:
    """Return this process's pool for a role, opened on first use.

    Opened so late because a pool that is shared over a fork mixes up rows.
    """
    name = os.getpid(), role
    if name not in _pools:
        with _opening:
            if name not in _pools:
                if _settings.on_open:
                    _settings.on_open()
                url = _settings.url if role == "primary" else _settings.replica_url
                _pools[name] = Pool(url, role, _settings)
    return _pools[name]


def close() -> None:
    """Close the pools of this process."""
    for name in [name for name in _pools if name[0] == os.getpid()]:
        _pools.pop(name).close()


def has_replica() -> bool:
    """Tell whether lists are read from a replica."""
    return _settings.replica_url is not None


@contextlib.contextmanager
def connection(role: str = "primary") -> Iterator[Connection]:
    """Check out a connection for the block. Raises Unavailable for whatever only time can mend."""
    try:
        pool = _pool(role)
        checked_out = pool.check_out()
        try:
            yield checked_out
        except psycopg.errors.ReadOnlySqlTransaction:
            checked_out.close()  # It leads to a primary that was demoted.
            raise
        finally:
            pool.putconn(checked_out)
    except TEMPORARY as error:
        raise Unavailable(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


@contextlib.contextmanager
def transaction() -> Iterator[Connection]:
    """Check out a connection inside a transaction, which any error rolls back.

    Raises Unavailable as `connection` does.
    """
    with connection() as checked_out, checked_out.transaction():
        yield checked_out


@dataclass(frozen=True)
class PoolUsage:
    """How many connections of this process are checked out, and how many requests wait for one."""

    in_use: int
    waiting: int


def usage() -> PoolUsage:
    """Return the usage of all pools of this process together."""
    stats = [pool.get_stats() for name, pool in _pools.items() if name[0] == os.getpid()]
    return PoolUsage(
        in_use=sum(one["pool_size"] - one["pool_available"] for one in stats),
        waiting=sum(one["requests_waiting"] for one in stats),
    )
