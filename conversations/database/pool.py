"""The connection pools of a process, and what happens while the database is away."""

import contextlib
import os
import select
import threading
from collections.abc import Iterator

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from conversations.database.connection import (
    Connection,
    configure,
    connect_options,
    connect_timeout_seconds,
)

# How long a request waits for a connection. After the first wait it is known whether the database
# is down; while it is, a request waits no longer than a new connection takes.
FIRST_WAIT_SECONDS = 0.25
DOWN_WAIT_SECONDS = 0.03
WAIT_SECONDS = 2.0
# psycopg_pool waits longer after each failed attempt; after this time a request starts a new one.
RECONNECT_TIMEOUT_SECONDS = 0.1
# A network may forget an idle connection without a word, so one that was idle for so long is
# tried first.
TRUSTED_IDLE_SECONDS = 1.0
PING_TIMEOUT_SECONDS = 0.5

# What a command reports in one sentence.
DatabaseError = psycopg.Error
# What a session raises that another one may not: it leads to a primary that was demoted, or
# remembers statements and types from before the schema changed. A lost Citus node is one, too.
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
# What the same statement raises again until a person changes the database.
LASTING = (
    psycopg.errors.ObjectNotInPrerequisiteState,  # A publication of a table without an identity.
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
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


class Refused(Exception):
    """The database refuses a statement, and will until a person changes something there."""


class Database:
    """A primary, a replica that lists are read from if `replica_url` is given, and their pools.

    `prepare` says whether statements are prepared; None: unless a pooler shares sessions.
    `for_requests` bounds the time of every statement. Nothing is connected to before it is used.
    """

    def __init__(
        self,
        url: str | None,
        replica_url: str | None = None,
        *,
        pool_size: int = 1,
        prepare: bool | None = None,
        for_requests: bool = False,
    ):
        self._urls = {"primary": url or "", "replica": replica_url or ""}
        self._size, self._prepare, self._for_requests = pool_size, prepare, for_requests
        self._pools: dict[tuple[int, str], ConnectionPool[Connection]] = {}
        self._down: set[str] = set()
        self._opening = threading.Lock()

    @property
    def has_replica(self) -> bool:
        """Whether lists are read from a replica."""
        return bool(self._urls["replica"])

    def _pool(self, role: str) -> ConnectionPool[Connection]:
        """Return this process's pool for a role, opened on first use.

        Opened so late because a pool that is shared over a fork mixes up rows.
        """
        name = os.getpid(), role
        if name not in self._pools:
            with self._opening:
                if name not in self._pools:
                    self._pools[name] = self._open(role)
        return self._pools[name]

    def _open(self, role: str) -> ConnectionPool[Connection]:
        url = self._urls[role]

        def set_up(connection: Connection) -> None:
            configure(connection, self._prepare, self._for_requests)
            self._down.discard(role)

        def check(connection: Connection) -> None:
            try:
                _refuse_dead(connection)
            except psycopg.OperationalError:
                pool.drain()  # What ended this connection may have ended all that are idle.
                raise

        pool = ConnectionPool(
            url,
            name=role,
            kwargs=connect_options(url, role),
            connection_class=Connection,
            configure=set_up,
            check=check,
            min_size=self._size,
            # The URL may allow more time for a connection than a request otherwise waits.
            timeout=max(WAIT_SECONDS, connect_timeout_seconds(url)),
            reconnect_timeout=RECONNECT_TIMEOUT_SECONDS,
            reconnect_failed=lambda _: self._down.add(role),
            open=True,
        )
        return pool

    @contextlib.contextmanager
    def check_out(self, role: str) -> Iterator[Connection]:
        """Check out a connection for the block. Raises Unavailable, at once while it is down."""
        pool = self._pool(role)
        try:
            connection = pool.getconn(
                DOWN_WAIT_SECONDS if role in self._down else FIRST_WAIT_SECONDS
            )
        except PoolTimeout:
            if role in self._down:
                raise
            connection = pool.getconn()
        try:
            yield connection
        finally:
            pool.putconn(connection)

    def usage(self) -> tuple[int, int]:
        """Return how many connections are checked out, and how many requests wait for one."""
        stats = [pool.get_stats() for (pid, _), pool in self._pools.items() if pid == os.getpid()]
        in_use = sum(one["pool_size"] - one["pool_available"] for one in stats)
        return in_use, sum(one["requests_waiting"] for one in stats)

    def close(self) -> None:
        """Close the pools of this process."""
        for name in [name for name in self._pools if name[0] == os.getpid()]:
            self._pools.pop(name).close()


def _refuse_dead(connection: Connection) -> None:
    """Refuse a connection that the server has closed, or that a network may have forgotten."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        connection.close()
        raise psycopg.OperationalError("the server closed the connection")
    if connection.idle_seconds > TRUSTED_IDLE_SECONDS:
        connection.ping(PING_TIMEOUT_SECONDS)


database = Database(None)


def use(new: Database) -> None:
    """Let the functions of this module use a database from now on."""
    global database
    database = new


@contextlib.contextmanager
def using(new: Database) -> Iterator[None]:
    """Use a database while the block lasts, and close it then."""
    before = database
    use(new)
    try:
        yield
    finally:
        use(before)
        new.close()


class _Kept(threading.local):
    """What a thread keeps of its first check-out, inside of one_check_out."""

    stack: contextlib.ExitStack | None = None
    connection: Connection | None = None


_kept = _Kept()


@contextlib.contextmanager
def one_check_out() -> Iterator[None]:
    """Keep the first connection to the primary that the block checks out, until the block ends.

    A request then waits once for a connection, not for its key and for its page.
    """
    with contextlib.ExitStack() as stack:
        _kept.stack = stack
        try:
            yield
        finally:
            _kept.stack = _kept.connection = None


def _check_out(role: str) -> contextlib.AbstractContextManager[Connection]:
    if _kept.stack is None or role != "primary":
        return database.check_out(role)
    if _kept.connection is None:
        _kept.connection = _kept.stack.enter_context(database.check_out(role))
    return contextlib.nullcontext(_kept.connection)


@contextlib.contextmanager
def connection(role: str = "primary") -> Iterator[Connection]:
    """Check out a connection for the block.

    Raises Unavailable for what time can mend, Refused for what it cannot.
    """
    try:
        with _check_out(role) as checked_out:
            try:
                yield checked_out
            except STALE_SESSION:
                checked_out.close()
                raise
    except SCHEMA_LACKS as error:
        raise SchemaBehind(_describe(error)) from error
    except LASTING as error:
        raise Refused(_describe(error)) from error
    except TEMPORARY as error:
        raise Unavailable(_describe(error)) from error


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


@contextlib.contextmanager
def transaction() -> Iterator[Connection]:
    """Check out a connection inside a transaction, which any error rolls back.

    Raises Unavailable and Refused as `connection` does.
    """
    with connection() as checked_out, checked_out.transaction():
        yield checked_out


@contextlib.contextmanager
def snapshot() -> Iterator[Connection]:
    """Check out a connection whose queries see the database as it is now, whatever is written.

    Raises Unavailable and Refused as `connection` does.
    """
    with transaction() as checked_out:
        checked_out.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield checked_out
