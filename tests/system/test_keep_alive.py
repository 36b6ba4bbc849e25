"""Connections that stay: a thread serves the requests that follow at once, and starves nobody."""

import contextlib
import http.client
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import DATABASE_URL
from tests.servers import running_service, wait_until

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def service():
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, WEB_THREADS=4) as running:
        yield running


@contextlib.contextmanager
def connection(service):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port)) as opened:
        opened.connect()
        opened.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield opened


def get(opened: http.client.HTTPConnection) -> None:
    opened.request("GET", "/livez")
    response = opened.getresponse()
    response.read()
    assert response.status == 200


def main_thread_wakes(service) -> int:
    (worker,) = psutil.Process(service.process.pid).children()
    status = Path(f"/proc/{worker.pid}/task/{worker.pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_requests_that_follow_at_once_do_not_wake_the_main_thread(service):
    with connection(service) as opened:
        get(opened)
        before = main_thread_wakes(service)
        for _ in range(300):
            get(opened)
    # gunicorn itself wakes it at least once a request.
    assert main_thread_wakes(service) - before < 150


def test_more_busy_connections_than_threads_are_all_served(service):
    ends_at = time.monotonic() + 1

    def keep_busy(_: int) -> int:
        count = 0
        with connection(service) as opened:
            while time.monotonic() < ends_at:
                get(opened)
                count += 1
        return count

    with ThreadPoolExecutor(12) as clients:
        counts = list(clients.map(keep_busy, range(12)))
    assert min(counts) * 10 > max(counts)


def test_a_client_that_is_slow_to_go_on_holds_no_thread(service):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connection(service)) for _ in range(12)]
        for opened in slow:
            get(opened)
        time.sleep(0.05)
        assert service.request("GET", "/livez", timeout=5)[0] == 200
        for opened in slow:
            get(opened)


def test_requests_sent_together_are_answered_one_after_the_other(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
        client.sendall(REQUEST * 20)
        received = b""
        while received.count(b'"status":"ok"') < 20:
            received += client.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK") == 20


def test_a_connection_stays_after_a_body_that_was_refused_unread(service):
    with connection(service) as opened:
        for size in (100_000, 2_000_000, 20_000_000):
            opened.request("POST", "/v1/messages", b"x" * size)
            response = opened.getresponse()
            response.read()
            assert response.status == 401
            assert response.headers["Connection"] == "keep-alive"
            get(opened)


def test_a_worker_that_ends_tells_a_busy_connection_so():
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service, connection(service) as opened:
        get(opened)
        service.process.terminate()
        while opened.sock:
            get(opened)
        assert service.process.wait(10) == 0


@contextlib.contextmanager
def busy_client(service) -> Iterator[None]:
    """A client whose next request follows at once, until the connection ends."""

    is_busy, is_over = threading.Event(), threading.Event()

    def keep_busy() -> None:
        with connection(service) as opened, contextlib.suppress(OSError, http.client.HTTPException):
            get(opened)
            is_busy.set()
            while opened.sock and not is_over.is_set():
                get(opened)

    with ThreadPoolExecutor(1) as clients:
        running = clients.submit(keep_busy)
        try:
            assert is_busy.wait(30)
            yield
        finally:
            is_over.set()
        running.result()


def test_a_worker_whose_master_was_killed_ends_though_a_client_is_busy():
    arguments = "--graceful-timeout 1"
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS=arguments) as service:
        (worker,) = psutil.Process(service.process.pid).children()
        with busy_client(service):
            service.process.kill()
            service.process.wait()
            wait_until(lambda: not worker.is_running() or worker.status() == "zombie", 10)


# A worker that fails when a file appears.
FAILING = """
from pathlib import Path
exec(Path("gunicorn.conf.py").read_text())

class Failing(Worker):
    def notify(self):
        if Path("{file}").exists():
            Path("{file}").unlink()
            raise RuntimeError
        super().notify()

worker_class = Failing
"""
# A worker that would wait a minute for what a client may send after TERM.
PATIENT = """
from pathlib import Path
exec(Path("gunicorn.conf.py").read_text())
from gunicorn.workers import gthread
gthread.STOP_KEEPALIVE_LINGER = graceful_timeout = 60
"""


def with_settings(folder: Path, text: str) -> dict:
    """What makes gunicorn read its settings from a file with that text."""
    path = folder / "settings.py"
    path.write_text(text)
    return {"GUNICORN_CMD_ARGS": f"--config {path}"}


def test_a_worker_that_failed_ends_though_a_client_is_busy(tmp_path):
    settings = with_settings(tmp_path, FAILING.format(file=tmp_path / "failure"))
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, **settings) as service:
        master = psutil.Process(service.process.pid)
        (worker,) = master.children()
        with busy_client(service), socket.create_connection(("127.0.0.1", service.port)) as slow:
            slow.sendall(REQUEST[:20])
            (tmp_path / "failure").touch()
            wait_until(lambda: worker not in master.children(), 20)
        assert service.request("GET", "/livez")[0] == 200


@pytest.mark.parametrize("after", [0, 0.003, 0.05])
def test_quit_does_not_wait_for_what_a_client_may_send_next(tmp_path, after):
    settings = with_settings(tmp_path, PATIENT)
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, **settings) as service:
        with connection(service) as opened, connection(service) as half:
            half.sock.sendall(REQUEST[:20])
            get(opened)
            time.sleep(after)
            service.process.send_signal(signal.SIGQUIT)
            assert service.process.wait(30) == 0
        assert "SIGKILL" not in service.log()


def test_term_does_not_wait_for_the_rest_of_a_request():
    half = REQUEST[:-2]
    with running_service(DATABASE_URL, WEB_CONCURRENCY=2) as service, contextlib.ExitStack() as all:
        for sent in (b"", half, REQUEST + half) * 20:
            opened = all.enter_context(connection(service))
            opened.sock.sendall(sent)
        service.process.terminate()
        # The rest would be waited for until the graceful timeout of 25 s.
        assert service.process.wait(20) == 0
        assert "SIGKILL" not in service.log()


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_worker_that_has_too_many_open_files_serves_on_when_some_are_closed(service):
    (worker,) = psutil.Process(service.process.pid).children()
    before = worker.rlimit(psutil.RLIMIT_NOFILE)
    with connection(service) as opened:
        get(opened)
        worker.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
        with pytest.raises(TimeoutError):
            service.request("GET", "/livez", timeout=1)
        get(opened)
    worker.rlimit(psutil.RLIMIT_NOFILE, before)
    assert service.request("GET", "/livez")[0] == 200
    assert psutil.Process(service.process.pid).children() == [worker]


# Few files may be open, and connections that send nothing are closed soon.
FEW_FILES = """
import resource
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
exec(Path("gunicorn.conf.py").read_text())
from conversations.server import worker
worker.SILENT_SECONDS = 1
"""


def test_more_connections_than_files_that_may_be_open_do_not_stop_the_service(tmp_path):
    settings = with_settings(tmp_path, FEW_FILES)
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, **settings) as service:
        with contextlib.ExitStack() as idle:
            opened = [idle.enter_context(connection(service)) for _ in range(150)]
            assert service.request("GET", "/livez")[0] == 200
            for each in opened:
                each.sock.settimeout(30)
                assert each.sock.recv(1) == b""
        assert "No connection can be accepted" not in service.log()
