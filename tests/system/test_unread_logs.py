"""A log that nobody reads, as of a log driver that stalls: no request waits for it."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import DATABASE_URL
from tests.servers import ROOT, free_port, wait_until

CLIENTS, REQUESTS = 4, 1_000


def test_requests_go_on_and_term_ends_the_service_while_nobody_reads_the_log():
    port = free_port()
    variables = {"DATABASE_URL": DATABASE_URL, "PORT": str(port), "LOG_FORMAT": "json"}
    reader, writer = os.pipe()
    service = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    def get_often(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            for number in range(REQUESTS):
                connection.request("GET", "/livez" if number % 2 else "/v1/conversations")
                response = connection.getresponse()
                response.read()
                assert response.status == (200 if number % 2 else 401)

    try:
        wait_until(listens)
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(get_often, range(CLIENTS)))
        service.terminate()
        assert service.wait(20) == 0
    finally:
        service.kill()
    with open(reader) as log:
        lines = log.readlines()
    assert 100 < len(lines) < CLIENTS * REQUESTS
