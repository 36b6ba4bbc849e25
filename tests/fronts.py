"""Real servers for the tests that stand in front of others: PgBouncer and nginx."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.servers import free_port, wait_until

# Neither PgBouncer nor nginx's workers run as root.
UNPRIVILEGED_USER = "nobody"
PGBOUNCER = """
[databases]
* = host={host} port={port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
default_pool_size = {pool_size}
logfile = {folder}/pgbouncer.log
"""


def require(program: str, package: str) -> str:
    """Return the path of a program, or skip the test."""
    # A user's path often lacks the folders of servers.
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"no {program}: apt-get install {package}, or make test")
    return found


@contextlib.contextmanager
def _running(command: list[str], port: int, log: Path, user: str | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user
    )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Lend a folder that unprivileged users can write to, whoever runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="front", dir="/tmp"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def running_pgbouncer(
    url: str, pool_mode: str = "transaction", pool_size: int = 4
) -> Iterator[str]:
    """Lend a PgBouncer in front of a database, by the URL through which it is reached."""
    program = require("pgbouncer", "pgbouncer")
    given, listen_port = conninfo_to_dict(url), free_port()
    with _folder() as folder:
        config = folder / "pgbouncer.ini"
        config.write_text(
            PGBOUNCER.format(
                host=given["host"],
                port=given.get("port", 5432),
                user=given["user"],
                listen_port=listen_port,
                pool_mode=pool_mode,
                pool_size=pool_size,
                folder=folder,
            )
        )
        user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        with _running([program, str(config)], listen_port, folder / "pgbouncer.log", user):
            yield make_conninfo(url, host="127.0.0.1", port=listen_port)
