"""The settings of gunicorn, each with its reason. `make run` is gunicorn with these."""

import resource
import shutil
import tempfile

from gunicorn.arbiter import Arbiter

from conversations.server import startup
from conversations.server.worker import Logger, Worker
from conversations.settings import Address, load

options = load()

# Where a container may write nowhere else: Python itself looks for temporary files' place in /tmp.
try:
    tempfile.gettempdir()
except FileNotFoundError:
    tempfile.tempdir = "/dev/shm"  # noqa: S108

wsgi_app = "app:app"
bind = [str(Address(host, options.port)) for host in options.host]
if options.metrics:
    bind.append(str(options.metrics_address))
workers = options.web_concurrency
# Threads, and more of them than connections: a client that sends its request slowly holds one.
worker_class = Worker
threads = options.web_threads
# Connections of a worker that wait for a request included. Other files take less than half.
_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
worker_connections = 1000 if _files == resource.RLIM_INFINITY else min(_files // 2, 1000)
# Above the 90 s for which a router keeps its connections, so that it never meets a closed one.
keepalive = 95
# Under the 30 s that platforms allow between TERM and KILL.
graceful_timeout = 25
# Each worker opens its own pool; a pool that is shared over a fork mixes up rows.
preload_app = False
# One log line for each request comes from the application, which knows what must not be in it.
accesslog = None
logger_class = Logger
# The longest that gunicorn offers short of no limit: the application names what is too long.
limit_request_line = 8190
# The cookies of other programs under the same name: browsers send them all, in one header.
limit_request_field_size = 32_768
control_socket_disable = True
# No header moves the route: by default a proxy on this machine could send PATH_INFO.
forwarder_headers = ""

post_fork = startup.obey_signals
post_worker_init = startup.announce


def on_starting(server: Arbiter) -> None:
    """Take the port and find the database, or say in a sentence why that is impossible."""
    startup.prepare(server, options)


def when_ready(server: Arbiter) -> None:
    """Warn if nobody can read the metrics."""
    startup.check_listeners(server, options)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Take a worker that ended out of the metrics."""
    if options.metrics:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(server: Arbiter) -> None:
    """Remove what the metrics were kept in."""
    if startup.own_metrics_folder:
        shutil.rmtree(startup.own_metrics_folder, ignore_errors=True)
