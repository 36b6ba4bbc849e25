"""What gunicorn does before it serves: take its port, find the database, say how to try it."""

import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile

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

# Where the workers keep their metrics, if the service made that folder itself.
own_metrics_folder: str | None = None
_announcement = ""


def prepare(server: Arbiter, settings: Settings) -> None:
    """Take the port and find the database, or end the process with one sentence."""
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no"):
        sys.exit("FLASK_DEBUG is on: it would show everybody what only you may see. Unset it.")
    if settings.metrics and settings.metrics_address.port == settings.port:
        sys.exit(f"METRICS_ADDRESS {settings.metrics_address}: its port must not be PORT.")
    _listen(server, settings)
    if settings.database_url is None:
        _announce(_prepare_embedded_database(), server)
    else:
        _check_database(settings.database_url, server, settings)
    if settings.metrics:
        _prepare_metrics()


def _listen(server: Arbiter, settings: Settings) -> None:
    """Open the listeners: gunicorn cannot listen on 0.0.0.0 and [::] at once.

    It keeps listeners that it inherits, from systemd or from the process that it replaces.
    """
    is_inherited = systemd.listen_fds(unset_environment=False) or "GUNICORN_FD" in os.environ
    addresses = [address for address in server.cfg.address if isinstance(address, tuple)]
    if is_inherited or server.cfg.reuse_port or len(addresses) < len(server.cfg.address):
        return
    ipv4_ports = {port for host, port in addresses if ":" not in host}
    listeners = []
    for host, port in addresses:
        is_dual = host == "::" and port not in ipv4_ports and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server(
                (host, port), family=family, backlog=server.cfg.backlog, dualstack_ipv6=is_dual
            )
        except OSError as error:
            is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
            name, value = ("PORT", port) if is_port else ("HOST", host)
            if settings.metrics and Address(host, port) == settings.metrics_address:
                name, value = "METRICS_ADDRESS", settings.metrics_address
            reason = str(error.strerror).partition(" (")[0]
            unset = ", or unset HOST: conda and some shells set it" if name == "HOST" else ""
            sys.exit(f"{name} {value}: {reason}. Set another {name}{unset}.")
        listeners.append(listener)
    server.LISTENERS = create_sockets(server.cfg, server.log, [each.detach() for each in listeners])


def _check_database(url: str, server: Arbiter, settings: Settings) -> None:
    """End the process if the schema is behind. Without the database it starts, with a warning."""
    try:
        migrations.check_database(url, settings.database_prepared_statements)
    except (migrations.SchemaBehind, migrations.SchemaMismatch) as error:
        sys.exit(str(error))
    except pool.Unavailable as error:
        server.log.warning(  # type: ignore[union-attr]  # gunicorn has set it by now
            "starting without the database, every response will be 503: %s", error
        )


def _prepare_embedded_database() -> str:
    """Start the embedded PostgreSQL with the demo inbox and return a key for it.

    The workers find the server in DATABASE_URL.
    """
    signal.signal(signal.SIGINT, lambda number, _: sys.exit(128 + number))
    url = embedded.acquire()
    try:
        with pool.using(pool.Database(url)):
            with pool.connection() as connection:
                migrations.migrate(connection)
            demo.load()
            key = demo.new_demo_key()
    except (migrations.SchemaMismatch, pool.Unavailable) as error:
        sys.exit(str(error))
    os.environ["DATABASE_URL"] = url
    return key


def _announce(key: str, server: Arbiter) -> None:
    """Compose a command that tries the service and a link to the inbox."""
    global _announcement
    addresses = [address for address in server.cfg.address if isinstance(address, tuple)]
    if not addresses:
        return  # --bind names a socket that curl cannot reach by a URL.
    host, port = addresses[0]
    if {host for host, _ in addresses} & ALL_ADDRESSES:
        host = "localhost"
    header, url = f"'Authorization: Bearer {key}'", f"http://{Address(host, port)}"
    _announcement = f"curl -H {header} {url}/v1/conversations\n{url}/inbox#key={key}"


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
    """Print the command and the link in the last worker of the start, when it is up."""
    if _announcement and worker.age == worker.cfg.workers:
        with contextlib.suppress(OSError):
            print(_announcement, flush=True)


def _prepare_metrics() -> None:
    """Name a folder where the workers keep their metrics, before they import prometheus_client."""
    global own_metrics_folder
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        own_metrics_folder = tempfile.mkdtemp(prefix="conversations-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = own_metrics_folder


def check_listeners(server: Arbiter, settings: Settings) -> None:
    """Warn if nobody can read the metrics: the sockets of systemd are those of its unit alone."""
    ports = [each.getsockname()[1] for each in server.LISTENERS if each.family != socket.AF_UNIX]
    if settings.metrics and settings.metrics_address.port not in ports:
        server.log.warning(  # type: ignore[union-attr]  # gunicorn has set it by now
            "METRICS is true, but no socket is at METRICS_ADDRESS %s: add it to those of the unit",
            settings.metrics_address,
        )
