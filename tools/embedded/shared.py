"""The embedded PostgreSQL of a developer's machine, kept in instance/ and shared by all commands.

Each process that uses the server holds a shared lock on one file, and the last one to leave stops
the server. The kernel drops the locks of processes that died, so that a kill -9 leaves nothing to
clean up: the next command takes over the server that still runs.
"""

import atexit
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from tools.embedded import server

INSTANCE = Path(__file__).parents[2] / "instance"
# What lies in instance/ itself can be reached by name; each thing in it has a mode of its own.
INSTANCE_MODE = 0o711
# Where root's server keeps its data if its user cannot reach instance/.
STATE_FOLDER = Path("/var/lib")
ENDINGS = (signal.SIGINT, signal.SIGTERM)

_url: str | None = None
_users_file: IO[str] | None = None


def acquire() -> str:
    """Start the server unless it runs, and return its URL. Ends the process if that is impossible.

    The server is released when this process ends, by TERM too. Raises ImportError without the
    package that brings PostgreSQL.
    """
    global _url
    if _url:
        return _url
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        INSTANCE.mkdir(mode=INSTANCE_MODE, exist_ok=True)
        with _signals_held_back(), _one_at_a_time():
            _url = _share_server()
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"The embedded PostgreSQL cannot start: {error}. Mend that or set DATABASE_URL.")
    except server.ServerError as error:
        sys.exit(f"The embedded PostgreSQL did not start: {error}.")
    return _url


def exit_on_signal(number: int, _: FrameType | None) -> None:
    """End the process with the status that a signal has, but in order: the server is released."""
    sys.exit(128 + number)


def _share_server() -> str:
    global _users_file
    home = server_home()
    programs = server.find_programs(home)
    _users_file = open(INSTANCE / "postgres.users", "w")  # noqa: SIM115 - the lock lasts as long as the process
    fcntl.flock(_users_file, fcntl.LOCK_SH)
    data = home / "postgres"
    atexit.register(_release, os.getpid(), data)
    if not data.exists():
        server.create(programs, data)
    return server.find_running(data) or server.start(programs, data, INSTANCE / "postgres.log")


def server_home() -> Path:
    """Return the folder for a server's files: instance/, or the one that instance/place leads to.

    A server of root runs as another user. If a folder above instance/ is closed to that user, it
    stays closed, and the files lie elsewhere.
    """
    INSTANCE.mkdir(mode=INSTANCE_MODE, exist_ok=True)
    place = INSTANCE / "place"
    if os.geteuid() == 0 and not place.is_symlink() and not server.is_open(INSTANCE):
        home = Path(tempfile.mkdtemp(prefix="conversations-", dir=STATE_FOLDER))
        home.chmod(INSTANCE_MODE)
        place.symlink_to(home)
        print(f"The embedded PostgreSQL keeps its data in {home}.", file=sys.stderr)
    return place.resolve() if place.is_symlink() else INSTANCE


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold signals back: after an end halfway, nobody would know that there is a server to stop."""
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


def _release(owner: int, data: Path) -> None:
    """Stop the server if no other process uses it."""
    if os.getpid() != owner or _users_file is None:
        return  # A worker, forked from the owner.
    with _signals_held_back(), _one_at_a_time():
        try:
            fcntl.flock(_users_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        server.stop(data)
