"""Deploys, forks and slow clients: what gunicorn and the pool must do together."""

import contextlib
import http.client
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import orjson
import psutil
import pytest

from conversations.inbox.messages import record_messages
from tests.conftest import DATABASE_URL, contact, new_organization
from tests.load import Load
from tests.servers import ROOT, running_service, wait_until
from tests.system.processes import environment

LIST = "/v1/conversations"


@pytest.mark.parametrize("restarts", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_reloads_under_keep_alive_load_lose_no_request(restarts):
    organization = new_organization(None)
    with running_service(DATABASE_URL, WEB_CONCURRENCY=2) as service:
        load = Load(service.port, organization.key, (LIST,), clients=6, patient=True)
        with load.running():
            for _ in range(restarts):
                time.sleep(0.5)
                service.process.send_signal(signal.SIGHUP)
                time.sleep(2)
        assert load.statuses() == {200}
        assert len(load.outcomes) > 100


@pytest.mark.parametrize("restarts", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_term_and_a_new_process_lose_no_request_of_a_client_that_reconnects(restarts):
    organization = new_organization(None)
    with running_service(DATABASE_URL, WEB_CONCURRENCY=2) as service:
        load = Load(service.port, organization.key, (LIST,), clients=6, patient=True)
        with load.running():
            for _ in range(restarts):
                time.sleep(0.5)
                assert service.stop() == 0
                service.start()
            time.sleep(0.5)
    assert load.statuses() == {200}
    assert len(load.outcomes) > 50


def count_foreign_rows(port: int, organizations: list, requests: int) -> tuple[int, int]:
    """Ask for every organization's list in turn; return the rows seen and those of others."""

    def ask(number: int) -> tuple[int, int]:
        organization = organizations[number % len(organizations)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        seen = foreign = 0
        for _ in range(requests // 16):
            connection.request("GET", f"{LIST}?limit=20", headers=organization.auth)
            rows = orjson.loads(connection.getresponse().read())["data"]
            seen += len(rows)
            foreign += sum(row["phone_number"] != organization.number for row in rows)
        connection.close()
        return seen, foreign

    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(ask, range(16)))
    return sum(seen for seen, _ in counts), sum(foreign for _, foreign in counts)


@pytest.mark.parametrize("requests", [800, pytest.param(200_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("preload", [False, True])
def test_no_worker_ever_sees_another_organizations_row(requests, preload):
    organizations = [new_organization(None, number=f"+1444000000{n}") for n in range(4)]
    for organization in organizations:
        messages = [
            organization.message(contact(n), "2026-04-28T12:00:01+00:00") for n in range(20)
        ]
        record_messages(organization.id, messages)
    arguments = "--preload" if preload else ""
    with running_service(
        DATABASE_URL, WEB_CONCURRENCY=3, WEB_THREADS=8, GUNICORN_CMD_ARGS=arguments
    ) as service:
        seen, foreign = count_foreign_rows(service.port, organizations, requests)
    assert seen == requests * 20
    assert foreign == 0


def test_half_sent_requests_do_not_stop_the_others():
    organization = new_organization(None)
    with running_service(DATABASE_URL, WEB_CONCURRENCY=2) as service:
        slow = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
        for client in slow:
            client.sendall(b"GET /v1/conversations HTTP/1.1\r\nHost: example.com\r\nX-Slow: ")
        time.sleep(0.5)
        statuses = [service.request("GET", LIST, organization.key, timeout=5)[0] for _ in range(20)]
        for client in slow:
            client.close()
    assert statuses == [200] * 20


def test_refuses_to_serve_with_the_debugger_on():
    service = running_service(DATABASE_URL, FLASK_DEBUG="1")
    with pytest.raises(AssertionError, match="FLASK_DEBUG"), service:
        pytest.fail("it serves")


def test_gunicorn_prints_its_settings_without_those_of_the_database():
    url = "postgresql://user:open-sesame@127.0.0.1:1/nowhere"
    command, env = ["gunicorn", "--print-config"], environment(DATABASE_URL=url)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "graceful_timeout " in done.stdout
    assert "open-sesame" not in done.stdout + done.stderr


def burst(service, count: int = 24) -> int:
    """Open that many connections at once; return how many the worker that has the fewest got."""
    workers = psutil.Process(service.process.pid).children()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            for _ in range(count)
        ]
        for client in clients:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        held = [
            sum(
                one.status == psutil.CONN_ESTABLISHED and one.laddr.port == service.port
                for one in at
            )
            for at in (worker.net_connections("tcp") for worker in workers)
        ]
    assert sum(held) == count
    return min(held)


def test_bursts_of_connections_spread_over_the_workers():
    with running_service(DATABASE_URL, WEB_CONCURRENCY=2) as service:
        wait_until(lambda: 0 < burst(service) < 24)
        fewest = []
        for _ in range(9):
            time.sleep(0.2)  # Those of the burst before are gone.
            fewest.append(burst(service))
    assert median(fewest) >= 10, fewest
