"""The server's settings, each with its why."""

import os
import shutil
import sys
import tempfile

from gunicorn.http import message

import embedded
import migrations
import pool
import settings
import worker

options = settings.load()

wsgi_app = "app:app"
bind = f"0.0.0.0:{options['PORT']}"
workers = options["WEB_CONCURRENCY"]
# Threads, and more of them than connections: a client that sends its request slowly holds one.
worker_class = worker.Worker
threads = options["WEB_THREADS"]
# Above the 90 s for which a router keeps its connections, so that it never meets a closed one.
keepalive = 95
# Under the 30 s that platforms allow between TERM and KILL.
graceful_timeout = 25
# Each worker opens its own pool; a pool shared over a fork mixes up answers.
preload_app = False
# One log line per request comes from the application, which knows what must not be in it.
accesslog = None
# Long enough that the application gets to name a parameter of 10,000 characters that it refuses;
# gunicorn itself stops at 8190, or nowhere.
limit_request_line = message.MAX_REQUEST_LINE = 65536
control_socket_disable = True

# Where the workers leave their metrics; prometheus_client must know before it is imported.
if options["METRICS"] and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics")


def on_starting(server) -> None:
    """Find the database; refuse to serve with the debugger on or over a schema that is behind."""
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no"):
        sys.exit("FLASK_DEBUG is on: it would show everybody what only you may see. Unset it.")
    if options["DATABASE_URL"] is None:
        options["DATABASE_URL"] = os.environ["DATABASE_URL"] = embedded.acquire()
    try:
        migrations.require_current(options["DATABASE_URL"], options["DATABASE_PREPARED_STATEMENTS"])
    except (migrations.SchemaBehind, migrations.LedgerMismatch) as error:
        sys.exit(str(error))
    except pool.Unavailable as error:
        server.log.warning("starting without the database, every answer will be 503: %s", error)


def when_ready(server) -> None:
    """Take the signals that flask quickstart put off."""
    embedded.take_over()


def child_exit(server, worker) -> None:
    """Take a worker that ended out of the metrics."""
    if options["METRICS"]:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(server) -> None:
    """Let go of what the metrics were kept in."""
    if options["METRICS"]:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
