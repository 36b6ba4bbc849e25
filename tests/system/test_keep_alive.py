"""Connections that stay: a thread serves the requests that follow at once, and starves nobody."""

import contextlib
import http.client
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import DATABASE_URL
from tests.servers import running_service

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


def test_a_worker_that_ends_tells_a_busy_connection_so():
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service, connection(service) as opened:
        get(opened)
        service.process.terminate()
        while opened.sock:
            get(opened)
        assert service.process.wait(10) == 0
