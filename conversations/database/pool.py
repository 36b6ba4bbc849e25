"""The connection pools of a process, and what happens while the database is away."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from conversations.database.connection import (
    Connection,
    configure,
    connect_options,
    connect_timeout_seconds,
)
from conversations.database.fair_queue import FairQueue

# How long a request waits for a connection, and for one that is being opened, in steps, each of
# which may find the database down.
CHECKOUT_TIMEOUT_SECONDS = 2.0
CHECKOUT_STEP_SECONDS = 0.1
DOWN_CHECKOUT_STEP_SECONDS = 0.02
DOWN_SECONDS = 1.0
# psycopg_pool waits longer after each failed attempt; after this time a request starts a new one.
RECONNECT_TIMEOUT_SECONDS = 0.1

# What a command reports in one sentence.
DatabaseError = psycopg.Error
# What a session raises that another one may not: it leads to a primary that was demoted, or
# remembers statements and types from before the schema changed.
STALE_SESSION = (
    psycopg.InternalError,
    psycopg.errors.FeatureNotSupported,  # Cached plan must not change result type.
    psycopg.errors.InvalidSqlStatementName,
    psycopg.errors.DuplicatePreparedStatement,
)
# What a schema raises that lacks something: a restore or a migration is under way, or a replica has
# not replayed one.
SCHEMA_LACKS = (
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.WrongObjectType,
    psycopg.errors.InvalidColumnReference,  # ON CONFLICT without its index.
    psycopg.errors.GroupingError,  # GROUP BY without its primary key.
)
TEMPORARY = (
    psycopg.OperationalError,
    PoolTimeout,
    # What a write refers to was deleted since it was looked up; another attempt finds it missing.
    psycopg.errors.ForeignKeyViolation,
    # A host may take privileges away, for example when a plan's limit is passed.
    psycopg.errors.InsufficientPrivilege,
    *STALE_SESSION,
)


class Unavailable(Exception):
    """The database is away, too slow, or has no free connection: try again soon."""


class SchemaBehind(Unavailable):
    """The database lacks something of the schema that this version needs."""


@dataclass(frozen=True)
class PoolSettings:
    """Which databases the pools of this process lead to, and how.

    `replica_url` is where lists are read. `prepare` says whether statements are prepared, None:
    unless a pooler shares sessions. `for_requests` bounds every statement. `on_open` runs once in
    each process, before its first query, and may raise.
    """

    url: str | None = None
    replica_url: str | None = None
    pool_size: int = 1
    prepare: bool | None = None
    for_requests: bool = False
    on_open: Callable[[], None] | None = None


_settings = PoolSettings()
_pools: dict[tuple[int, str], "Pool"] = {}
_opening = threading.Lock()
_failed_opening: tuple[float, Exception] | None = None


class Pool(ConnectionPool[Connection]):
    """A pool that remembers that its database is down, so that no request waits for it in vain."""

    def __init__(self, url: str | None, role: str, settings: PoolSettings):
        self.queue = FairQueue(settings.pool_size)
        self._down_until = 0.0
        self._prepare, self._for_requests = settings.prepare, settings.for_requests
        # The URL may allow more time for a connection than a request otherwise waits.
        self._first_timeout = connect_timeout_seconds(url or "")
        super().__init__(
            url or "",
            name=role,
            kwargs=connect_options(url or "", role),
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
        configure(connection, self._prepare, self._for_requests)
        self._down_until = self._first_timeout = 0.0

    def _mark_down(self, _: ConnectionPool[Connection]) -> None:
        self._down_until = time.monotonic() + DOWN_SECONDS
        self.queue.turn_away()

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def check_out(self, organization_id: UUID | None) -> Connection:
        """Return a connection, which `give_back` takes back, when it is the organization's turn.

        Raises PoolTimeout, at once while the database is down.
        """
        deadline = time.monotonic() + max(CHECKOUT_TIMEOUT_SECONDS, self._first_timeout)
        is_down = self._is_down()
        timeout = DOWN_CHECKOUT_STEP_SECONDS if is_down else deadline - time.monotonic()
        if not self.queue.enter(organization_id, timeout):
            raise PoolTimeout("no connection was free in time")
        try:
            return self._check_out_by(deadline)
        except BaseException:
            self.queue.leave(organization_id)
            raise

    def _check_out_by(self, deadline: float) -> Connection:
        """Return a connection, which is there unless it is being opened."""
        while True:
            step = DOWN_CHECKOUT_STEP_SECONDS if self._is_down() else CHECKOUT_STEP_SECONDS
            try:
                return self.getconn(step)
            except PoolTimeout:
                if self._is_down() or time.monotonic() > deadline:
                    raise

    def give_back(self, connection: Connection, organization_id: UUID | None) -> None:
        """Take a connection back, and let the next one in the queue use it."""
        self.putconn(connection)
        self.queue.leave(organization_id)


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
        asked_at = time.monotonic()
        with _opening:
            if name not in _pools:
                _run_on_open(asked_at)
                url = _settings.url if role == "primary" else _settings.replica_url
                _pools[name] = Pool(url, role, _settings)
    return _pools[name]


def _run_on_open(asked_at: float) -> None:
    """Run what must precede the first query. Who waited while it failed shares that failure."""
    global _failed_opening
    if _failed_opening and _failed_opening[0] > asked_at:
        raise _failed_opening[1]
    try:
        if _settings.on_open:
            _settings.on_open()
    except Exception as error:
        _failed_opening = time.monotonic(), error
        raise


def close() -> None:
    """Close the pools of this process."""
    for name in [name for name in _pools if name[0] == os.getpid()]:
        _pools.pop(name).close()


def has_replica() -> bool:
    """Tell whether lists are read from a replica."""
    return _settings.replica_url is not None


@contextlib.contextmanager
def connection(role: str = "primary", organization_id: UUID | None = None) -> Iterator[Connection]:
    """Check out a connection for the block, on behalf of an organization if it is known.

    Raises Unavailable for whatever only time can mend.
    """
    try:
        pool = _pool(role)
        checked_out = pool.check_out(organization_id)
        try:
            yield checked_out
        except STALE_SESSION:
            checked_out.close()
            raise
        finally:
            pool.give_back(checked_out, organization_id)
    except SCHEMA_LACKS as error:
        raise SchemaBehind(_describe(error)) from error
    except TEMPORARY as error:
        raise Unavailable(_describe(error)) from error


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


@contextlib.contextmanager
def transaction(organization_id: UUID | None = None) -> Iterator[Connection]:
    """Check out a connection inside a transaction, which any error rolls back.

    Raises Unavailable as `connection` does.
    """
    with connection(organization_id=organization_id) as checked_out, checked_out.transaction():
        yield checked_out


@contextlib.contextmanager
def snapshot(organization_id: UUID | None = None) -> Iterator[Connection]:
    """Check out a connection whose queries see the database as it is now, whatever is written.

    Raises Unavailable as `connection` does.
    """
    with transaction(organization_id) as checked_out:
        checked_out.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield checked_out


def usage() -> tuple[int, int]:
    """Return how many connections of this process are checked out, and how many requests wait."""
    pools = [pool for name, pool in _pools.items() if name[0] == os.getpid()]
    stats = [pool.get_stats() for pool in pools]
    in_use = sum(one["pool_size"] - one["pool_available"] for one in stats)
    return in_use, sum(len(pool.queue) for pool in pools)
