"""Real servers for the tests that stand in front of others: PgBouncer and nginx."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.servers import ROOT, free_port, wait_until

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
    """Make a folder that unprivileged users can write to, also when root runs the tests."""
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
    """Run a PgBouncer in front of a database, by the URL through which it is reached."""
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


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/conversations.conf;
}}
"""


def nginx_conf(folder: Path, service_port: int, prefix: str = "/") -> tuple[str, int]:
    """Return deploy/nginx.conf for this machine, and the port that it listens on.

    Only the addresses and paths of this machine are put in the place of those in the file, and the
    prefix as the file's comment says.
    """
    port = free_port()
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    changes = [
        ("    listen 80;", f"    listen 127.0.0.1:{port};"),
        ("\n    listen [::]:80;", ""),
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{service_port};"),
        ("/var/log/nginx", str(folder)),
    ]
    if prefix != "/":
        smsgate = "v1/hooks/smsgate"
        changes += [
            (
                f"location = /{smsgate} {{\n        proxy_pass http://conversations;",
                f"location = {prefix}{smsgate} {{\n        proxy_pass http://conversations/{smsgate};",
            ),
            ("location / {", f"location {prefix} {{"),
            ("proxy_pass http://conversations;", "proxy_pass http://conversations/;"),
        ]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text, port


def nginx_conf_with_tls(folder: Path, service_port: int) -> tuple[str, int, int]:
    """Return deploy/nginx.conf with a certificate, by its own line of sed, and its two ports."""
    port, tls_port = free_port(), free_port()
    original = (ROOT / "deploy" / "nginx.conf").read_text()
    line = re.search(r"^#   (sed .*) nginx\.conf$", original, re.MULTILINE)
    command = shlex.split(line[1].replace("YOUR_NAME", "localhost"))
    done = subprocess.run(command, input=original, capture_output=True, text=True, check=True)
    text = done.stdout
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls_port} ssl;"),
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{service_port};"),
        ("/var/log/nginx", str(folder)),
        ("/etc/letsencrypt/live/localhost", str(folder)),
    ):
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    certificate = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*certificate, "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True,
        capture_output=True,
    )
    return text, port, tls_port


@contextlib.contextmanager
def _running_nginx(folder: Path, text: str, port: int) -> Iterator[None]:
    program = require("nginx", "nginx")
    (folder / "conversations.conf").write_text(text)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder))
    command = [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "nginx.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    with _running(command, port, folder / "nginx.log"):
        yield


@contextlib.contextmanager
def running_nginx(
    service_port: int, prefix: str = "/", changes: dict[str, str] | None = None
) -> Iterator[tuple[str, Path]]:
    """Run the nginx of deploy/nginx.conf before a service: its URL, and the folder of its logs.

    `changes` are those that an operator makes to the file, old → new.
    """
    with _folder() as folder:
        text, port = nginx_conf(folder, service_port, prefix)
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        with _running_nginx(folder, text, port):
            yield f"http://127.0.0.1:{port}{prefix.rstrip('/')}", folder


@contextlib.contextmanager
def running_nginx_with_tls(service_port: int) -> Iterator[tuple[str, str, Path]]:
    """Run it with a certificate: the URLs of http and https, and the folder of its logs."""
    require("openssl", "openssl")
    with _folder() as folder:
        text, port, tls_port = nginx_conf_with_tls(folder, service_port)
        with _running_nginx(folder, text, port):
            yield f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", folder
