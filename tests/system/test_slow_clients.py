"""Clients that do not read, or do not close: nobody else may wait for them."""

import contextlib
import socket

import pytest

from tests.conftest import DATABASE_URL, new_organization
from tests.servers import running_service, wait_until

# The real timeouts are 10 s, 20 s and 30 s.
SETTINGS = """
from pathlib import Path
exec(Path("gunicorn.conf.py").read_text())
from conversations.server import worker
worker.UNREAD_RESPONSE_MS = 1000
worker.HEAD_SECONDS = worker.SILENT_BODY_SECONDS = 1
"""
LARGE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    (folder / "settings.py").write_text(SETTINGS)
    arguments = f"--config {folder / 'settings.py'}"
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS=arguments) as running:
        yield running


@contextlib.contextmanager
def clients(port: int, count: int, request: bytes):
    """Connections that have sent a request and do nothing more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", port))
            client.sendall(request)
            opened.append(client)
        yield opened


def test_clients_that_do_not_read_their_responses_lose_their_threads(service):
    with clients(service.port, 70, LARGE * 20):
        # More than the threads of the worker, and each response fills what the kernel buffers.
        wait_until(lambda: service.log().count("/docs/<name>") >= 32)
        for _ in range(10):
            assert service.request("GET", "/livez", timeout=30)[0] == 200


def test_clients_that_fall_silent_inside_a_request_lose_their_threads(service):
    key = new_organization(None).key
    head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    for part, expected in ((head, b""), (head + body, b"HTTP/1.1 400 ")):
        # More than the threads of the worker.
        with clients(service.port, 40, part.encode()) as opened:
            assert service.request("GET", "/livez", timeout=30)[0] == 200
            assert {client.recv(13) for client in opened} == {expected}


def test_a_client_that_reads_slowly_gets_its_whole_response(service):
    with clients(service.port, 1, LARGE.replace(b"Host", b"Connection: close\r\nHost")) as (
        client,
    ):
        size = 0
        while chunk := client.recv(65536):
            size += len(chunk)
    assert size > 1_000_000


def test_clients_that_do_not_close_hold_nobody_up(service):
    with clients(service.port, 30, b"GET /livez HTTP/1.0\r\n\r\n") as opened:
        # One after the other, two seconds each, they would be a minute.
        assert service.request("GET", "/livez", timeout=20)[0] == 200
        for client in opened:
            assert client.recv(65536).startswith(b"HTTP/1.0 200")
        # The service closes its side by and by.
        for client in opened:
            while client.recv(65536):
                pass


def test_a_refusal_arrives_though_the_client_is_still_sending(service):
    head = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n"
    with clients(service.port, 1, head) as (client,):
        with contextlib.suppress(ConnectionError):
            for _ in range(10):
                client.sendall(b"x" * 4096)
        assert client.recv(65536).startswith(b"HTTP/1.1 401")
