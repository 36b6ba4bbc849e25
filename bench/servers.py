"""The servers under test, started as in production, and what their processes cost."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from psycopg.conninfo import conninfo_to_dict

from bench.database import ORGANIZATION_ID

ROOT = Path(__file__).parents[1]
FIRST_PORT = int(os.environ.get("BENCH_PORT", "8140"))
WORKERS = 2
# Where Debian keeps the sources of Go packages.
GO_PACKAGES = Path("/usr/share/gocode")

# As the service runs, and as uvicorn runs in production: with uvloop and httptools, which it finds.
GUNICORN = [".venv-bench/bin/gunicorn", "--config=bench/peers/gunicorn.conf.py"]
UVICORN = [".venv-bench/bin/uvicorn", "--no-access-log", "--log-level=warning"]
UVICORN += ["--app-dir=bench/peers"]


@dataclass(frozen=True)
class Usage:
    """CPU seconds spent and bytes resident, of a process and its children, ended ones included."""

    cpu: float
    resident: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        parent = psutil.Process(pid)
        resident, ended = 0, parent.cpu_times()
        cpu = ended.children_user + ended.children_system
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
                resident += process.memory_info().rss
        return cls(cpu, resident)


@dataclass(frozen=True)
class Server:
    """A running server. `log` is the file that its standard output goes to."""

    name: str
    origin: str
    pid: int
    log: Path

    def get(self, path: str, headers: dict | None = None) -> http.client.HTTPResponse:
        """GET a path; return the answer, its body unread. Raises OSError."""
        connection = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=10)
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse()


@contextlib.contextmanager
def _running(  # noqa: PLR0913, PLR0917
    name: str, port: int, command: list[str], environ: dict, ready: str, root: Path = ROOT
) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        log = Path(folder) / "log"
        with open(log, "wb") as output:
            process = subprocess.Popen(command, cwd=root, env=os.environ | environ, stdout=output)
        server = Server(name, f"http://127.0.0.1:{port}", process.pid, log)
        try:
            _wait_until_ready(server, process, ready)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(server: Server, process: subprocess.Popen, path: str) -> None:
    for _ in range(150):
        if process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with status {process.returncode}")
        with contextlib.suppress(OSError):
            if server.get(path).status < 500:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{server.name} does not answer")


def product(url: str, number: int = 0, root: Path = ROOT):
    """Run the service of a checkout, with the gunicorn settings that it ships."""
    port = FIRST_PORT + number
    environ = {
        "DATABASE_URL": url,
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "GUNICORN_CMD_ARGS": "--log-level=warning",
    }
    command = [sys.executable, "-m", "gunicorn"]
    return _running(root.name, port, command, environ, "/readyz", root)


def flask_sqlalchemy(url: str):
    """Run the Flask and SQLAlchemy peer."""
    return _peer("Flask + SQLAlchemy", url, FIRST_PORT + 1, GUNICORN, "flask_sqlalchemy_peer:app")


def django_rest_framework(url: str):
    """Run the Django REST Framework peer."""
    return _peer("Django REST Framework", url, FIRST_PORT + 2, GUNICORN, "django_peer:app")


def fastapi_asyncpg(url: str):
    """Run the FastAPI and asyncpg peer, which has a path for each way to write it."""
    port = FIRST_PORT + 3
    return _peer("FastAPI + asyncpg", url, port, [*UVICORN, f"--port={port}"], "fastapi_peer:app")


def litestar_asyncpg(url: str):
    """Run the Litestar and asyncpg peer."""
    port = FIRST_PORT + 4
    return _peer("Litestar + asyncpg", url, port, [*UVICORN, f"--port={port}"], "litestar_peer:app")


@contextlib.contextmanager
def go_pgx(url: str) -> Iterator[Server | None]:
    """Build and run the Go peer; yield None where Go or the packages that it needs are missing.

    On Debian these are golang-go and golang-github-jackc-pgx-v4-dev.
    """
    if not shutil.which("go") or not (GO_PACKAGES / "src/github.com/jackc/pgx/v4").exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        program = f"{folder}/peer"
        environ = {"GO111MODULE": "off", "GOPATH": str(GO_PACKAGES), "GOCACHE": f"{folder}/cache"}
        subprocess.run(
            ["go", "build", "-o", program, "."],
            cwd=ROOT / "bench/peers/go",
            env=os.environ | environ,
            check=True,
        )
        with _peer("Go + pgx", url, FIRST_PORT + 5, [program]) as server:
            yield server


def _peer(name: str, url: str, port: int, command: list[str], *app: str):
    database = conninfo_to_dict(url)
    environ = {
        "PGHOST": database["host"],
        "PGUSER": database["user"],
        "PGDATABASE": database["dbname"],
        "ORGANIZATION_ID": str(ORGANIZATION_ID),
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
    }
    return _running(name, port, [*command, *app], environ, "/conversations")
