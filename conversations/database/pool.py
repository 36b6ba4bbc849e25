"""The connection pools of a process, and what happens while the database is away."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from conversations.database.connection import Connection, configure, connect_options

# How long a request waits for a connection. After the first wait it is known whether the database
# is down; while it is, a request waits no longer than a new connection takes.
FIRST_WAIT_SECONDS = 0.25
DOWN_WAIT_SECONDS = 0.03
WAIT_SECONDS = 2.0
# psycopg_pool waits longer after each failed attempt; after this time a request starts a new one.
RECONNECT_TIMEOUT_SECONDS = 0.1

# For the wings that must not import psycopg.
DatabaseError = psycopg.Error
# SQLSTATE codes, as in appendix A of PostgreSQL's documentation.
# The schema lacks something, such as a table, a column, a function or a key: a restore or a
# migration is under way, or a replica has not replayed one.
SCHEMA_LACKS = {"3F000", "42P01", "42703", "42883", "42704", "42809", "42P10", "42803"}
# The same statement fails again until a person changes the database: a publication of a table
# without a replica identity, a limit of PostgreSQL, corrupted data, a corrupted index.
LASTING = {"55000", "54000", "XX001", "XX002"}
# Another session may not raise it: this one remembers statements and types from before the schema
# changed. psycopg.InternalError is of this kind too: a primary that was demoted, a lost Citus node.
STALE_SESSION = {"0A000", "26000", "42P05"}
# What a write refers to was deleted since it was looked up; another attempt finds it missing. A
# host may take privileges away, for example when a plan's limit is passed.
TEMPORARY = {"23503", "42501"}


class Unavailable(Exception):
    """The database is away, too slow, or has no free connection: try again soon."""


class SchemaBehind(Unavailable):
    """The database lacks something of the schema that this version needs."""


class Refused(Exception):
    """The database refuses a statement, and will until a person changes something there."""


@dataclass(eq=False, repr=False)
class Database:
    """A primary, a replica that lists are read from if `replica_url` is given, and their pools.

    `prepare` says whether statements are prepared; None: unless a pooler shares sessions.
    `for_requests` bounds the time of every statement. Nothing is connected to before it is used,
    and no process may be forked from then on: a pool that is shared mixes up rows.
    """

    url: str | None
    replica_url: str | None = None
    pool_size: int = 1
    prepare: bool | None = None
    for_requests: bool = False

    _pools: dict[str, ConnectionPool[Connection]] = field(default_factory=dict, init=False)
    _down: set[str] = field(default_factory=set, init=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, init=False)

    def pool(self, role: str) -> ConnectionPool[Connection]:
        """Return the pool for a role, opened on first use."""
        with self._opening:
            return self._pools.get(role) or self._open(role)

    def _open(self, role: str) -> ConnectionPool[Connection]:
        url = (self.replica_url if role == "replica" else self.url) or ""
        options = connect_options(url, role)
        self._pools[role] = pool = ConnectionPool(
            url,
            name=role,
            kwargs=options,
            connection_class=Connection,
            configure=partial(self._configure, role),
            check=partial(self._refuse_dead, role),
            min_size=self.pool_size,
            # The URL may allow more time for a connection than a request otherwise waits.
            timeout=max(WAIT_SECONDS, float(options["connect_timeout"])),
            reconnect_timeout=RECONNECT_TIMEOUT_SECONDS,
            reconnect_failed=lambda _: self._down.add(role),
            open=True,
        )
        return pool

    def _configure(self, role: str, connection: Connection) -> None:
        configure(connection, self.prepare, self.for_requests)
        self._down.discard(role)

    def _refuse_dead(self, role: str, connection: Connection) -> None:
        """Refuse a connection that has ended, which may have ended all that are idle too."""
        try:
            connection.require_alive()
        except psycopg.OperationalError:
            connection.close()
            self.pool(role).drain()
            raise

    def check_out(self, role: str, stack: contextlib.ExitStack) -> Connection:
        """Return a connection that goes back when `stack` is closed.

        Raises psycopg.OperationalError, at once while the database is down.
        """
        pool = self.pool(role)
        first_wait = DOWN_WAIT_SECONDS if role in self._down else FIRST_WAIT_SECONDS
        try:
            connection = pool.getconn(first_wait)
        except PoolTimeout:
            if role in self._down:
                raise
            connection = pool.getconn()
        stack.callback(pool.putconn, connection)
        return connection

    def usage(self) -> tuple[int, int]:
        """Return how many connections are checked out, and how many requests wait for one."""
        stats = [pool.get_stats() for pool in self._pools.values()]
        in_use = sum(one["pool_size"] - one["pool_available"] for one in stats)
        return in_use, sum(one["requests_waiting"] for one in stats)

    def close(self) -> None:
        """Close the pools. What is used afterwards is opened again."""
        while self._pools:
            _, pool = self._pools.popitem()
            pool.close()


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


@contextlib.contextmanager
def connection(role: str = "primary") -> Iterator[Connection]:
    """Check out a connection for the block.

    Raises Unavailable for what time can mend, Refused for what it cannot.
    """
    with contextlib.ExitStack() as stack:
        keeper, used = (_kept.stack, _kept.connection) if role == "primary" else (None, None)
        try:
            used = used or database.check_out(role, keeper or stack)
            if keeper:
                _kept.connection = used
            yield used
        except psycopg.Error as error:
            is_stale = isinstance(error, psycopg.InternalError) or error.sqlstate in STALE_SESSION
            if used and is_stale:
                used.close()
            if meaning := _meaning(error):
                raise meaning from error
            raise


def _meaning(error: psycopg.Error) -> Exception | None:
    """Return what an error of the database means to the service, None if it is a bug."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    if error.sqlstate in SCHEMA_LACKS:
        return SchemaBehind(text)
    if error.sqlstate in LASTING:
        return Refused(text)
    is_temporary = isinstance(error, psycopg.OperationalError | psycopg.InternalError)
    if is_temporary or error.sqlstate in STALE_SESSION | TEMPORARY:
        return Unavailable(text)
    return None


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
