"""What gunicorn does before it serves: take its port, find the database, say how to try it."""

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
from functools import partial
from typing import Any

from gunicorn import systemd
from gunicorn.arbiter import Arbiter
from gunicorn.sock import create_sockets
from gunicorn.workers.base import Worker

from conversations.database import migrations, pool
from conversations.inbox import demo
from conversations.server import embedded
from conversations.settings import Address, Settings

ALL_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104
ENDINGS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

# gunicorn's own log.
log = logging.getLogger("gunicorn.error")

# Where the workers keep their metrics, if the service made that folder itself.
own_metrics_folder: str | None = None
# The key that the printed line shows, if the service started the embedded database.
_demo_key: str | None = None


def prepare(server: Arbiter, settings: Settings) -> None:
    """Take the port and find the database, or end the process with one sentence."""
    global own_metrics_folder
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no"):
        sys.exit("FLASK_DEBUG is on: it would show everybody what only you may see. Unset it.")
    if settings.metrics and settings.metrics_address.port == settings.port:
        sys.exit(f"METRICS_ADDRESS {settings.metrics_address}: its port must not be PORT.")
    _listen(server, settings)
    if settings.database_url is None:
        _prepare_embedded_database()
    else:
        _check_database(settings.database_url, settings.database_prepared_statements)
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if settings.metrics and not folder:
        # Before the workers import prometheus_client.
        own_metrics_folder = tempfile.mkdtemp(prefix="conversations-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = own_metrics_folder
    elif settings.metrics and not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        sys.exit(f"PROMETHEUS_MULTIPROC_DIR {folder}: not a folder that can be written to.")


def _listen(server: Arbiter, settings: Settings) -> None:
    """Open one listener for each address: gunicorn cannot listen on 0.0.0.0 and [::] at once.

    It keeps listeners that it inherits, from systemd or from the process that it replaces.
    """
    addresses, reuse_port = server.cfg.address, server.cfg.reuse_port
    is_inherited = systemd.listen_fds(unset_environment=False) or "GUNICORN_FD" in os.environ
    if is_inherited or reuse_port or not all(isinstance(each, tuple) for each in addresses):
        return
    ipv4_ports = {port for host, port in addresses if ":" not in host}
    listen = partial(socket.create_server, backlog=server.cfg.backlog)
    listeners: dict[Any, socket.socket] = {}
    for host, port in addresses:
        is_dual = host == "::" and port not in ipv4_ports and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            at = socket.getaddrinfo(host, port, family)[0][4]
            if at not in listeners:
                listeners[at] = listen(at, family=family, dualstack_ipv6=is_dual)
        except OSError as error:
            is_own = port in {each[1] for each in listeners}
            is_port = error.errno in (errno.EADDRINUSE, errno.EACCES) and not is_own
            name, value = ("PORT", port) if is_port else ("HOST", host)
            if settings.metrics and Address(host, port) == settings.metrics_address:
                name, value = "METRICS_ADDRESS", settings.metrics_address
            reason = str(error.strerror).partition(" (")[0]
            unset = ", or unset HOST: conda and some shells set it" if name == "HOST" else ""
            sys.exit(f"{name} {value}: {reason}. Set another {name}{unset}.")
    opened = [each.detach() for each in listeners.values()]
    server.LISTENERS = create_sockets(server.cfg, server.log, opened)


def _check_database(url: str, prepare: bool | None) -> None:
    """End the process if the schema is behind. Without the database it starts, with a warning."""
    try:
        migrations.check_database(url, prepare)
    except (pool.SchemaBehind, migrations.SchemaMismatch) as error:
        sys.exit(str(error))
    except pool.Unavailable as error:
        log.warning("starting without the database, every response will be 503: %s", error)


def _prepare_embedded_database() -> None:
    """Start the embedded PostgreSQL with the demo inbox and a new key for it.

    The workers find the server in DATABASE_URL.
    """
    global _demo_key
    signal.signal(signal.SIGINT, lambda number, _: sys.exit(128 + number))
    url = embedded.acquire()
    try:
        with pool.using(pool.Database(url)):
            with pool.connection() as connection:
                migrations.migrate(connection)
            demo.load()
            _demo_key = demo.new_demo_key()
    except pool.Unavailable as error:
        sys.exit(str(error))
    os.environ["DATABASE_URL"] = url


def obey_signals(server: Arbiter, _: Worker) -> None:
    """Let signals end a worker that has no handlers of its own yet.

    Those of the master, which a fork inherits, only note the signal, for the master.
    """
    for each in ENDINGS:
        signal.signal(each, signal.SIG_DFL)
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get() in ENDINGS:
            sys.exit()


def announce(worker: Worker) -> None:
    """Print how to try the service in the last worker of the start, when it is up."""
    addresses = [address for address in worker.cfg.address if isinstance(address, tuple)]
    # --bind may name a socket alone, which curl cannot reach by a URL.
    if _demo_key and addresses and worker.age == worker.cfg.workers:
        host, port = addresses[0]
        is_everywhere = any(host in ALL_ADDRESSES for host, _ in addresses)
        url = f"http://{Address('localhost' if is_everywhere else host, port)}"
        auth = f"'Authorization: Bearer {_demo_key}'"
        with contextlib.suppress(OSError):
            print(f"curl -H {auth} {url}/v1/conversations\n{url}/inbox#key={_demo_key}", flush=True)


def check_listeners(server: Arbiter, settings: Settings) -> None:
    """Warn if nobody can read the metrics: the sockets of systemd are those of its unit alone."""
    ports = [each.getsockname()[1] for each in server.LISTENERS if each.family != socket.AF_UNIX]
    if settings.metrics and settings.metrics_address.port not in ports:
        problem = f"METRICS is true, but no socket is at METRICS_ADDRESS {settings.metrics_address}"
        log.warning("%s: add it to those of the unit", problem)
