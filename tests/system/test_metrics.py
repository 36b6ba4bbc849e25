"""Prometheus metrics: what promtool says of them, and what becomes of them in bad times."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.conftest import DATABASE_URL, new_organization
from tests.fronts import require
from tests.servers import ROOT, Service, free_port, running_service, wait_until

LIST = "/v1/conversations"


@pytest.fixture
def stage() -> Iterator[tuple[Service, str]]:
    """A service of two workers, and the address of its metrics."""
    address = f"127.0.0.1:{free_port()}"
    with running_service(
        DATABASE_URL, WEB_CONCURRENCY=2, METRICS="true", METRICS_ADDRESS=address
    ) as service:
        yield service, f"http://{address}/metrics"


def scrape(address: str) -> str:
    response = httpx.get(address)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    return response.text


def values(text: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)]


def test_promtool_accepts_them(stage):
    service, address = stage
    promtool = require("promtool", "prometheus")
    alice = new_organization(None)
    for path in (LIST, f"{LIST}/x", "/nothing", "/livez"):
        service.request("GET", path, alice.key)
    text = scrape(address)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    names = re.findall(r"^# HELP (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names)) == 6
    assert sum(values(text, "http_requests_total")) >= 4


def test_they_add_up_over_several_workers_and_name_no_method_that_is_made_up(stage):
    service, address = stage
    for _ in range(40):
        service.request("GET", LIST)
    for method in ("BREW", "MAKEATEA", "BREW"):
        service.request(method, LIST)
    text = scrape(address)
    series = 'http_requests_total{method="GET",route="/v1/conversations",status="401"} 40.0'
    assert series in text
    assert 'http_request_seconds_count{route="/v1/conversations"} 40.0' in text
    assert 'http_requests_total{method="-",route="-",status="405"} 3.0' in text
    assert "BREW" not in text
    assert values(text, "db_pool_in_use") == values(text, "db_pool_waiting") == [0]


def test_a_dead_worker_leaves_no_value_behind_but_its_counts(stage):
    service, address = stage
    alice = new_organization(None)
    for _ in range(20):
        service.request("GET", LIST, alice.key)
    counted = sum(values(scrape(address), "http_requests_total"))
    workers = psutil.Process(service.process.pid).children()
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not any(worker.is_running() for worker in workers))
    wait_until(lambda: service.request("GET", LIST, alice.key)[0] == 200)
    text = scrape(address)
    assert "pid=" not in text
    for name in ("db_pool_in_use", "db_pool_waiting", "last_redaction_timestamp_seconds", "db_up"):
        assert len(values(text, name)) == 1
    assert sum(values(text, "http_requests_total")) >= counted


def test_they_are_served_on_their_own_address_alone_and_nothing_else_is_served_there(stage):
    service, address = stage
    assert service.request("GET", "/metrics")[0] == 404
    port = address.split(":")[2].split("/")[0]
    for headers in ({"Host": f"127.0.0.1:{port}"}, {"X-Forwarded-Port": port}):
        assert httpx.get(f"{service.url}/metrics", headers=headers).status_code == 404
    assert "http_requests_total" in scrape(address)
    alice, base = new_organization(None), address.removesuffix("/metrics")
    for path in ("/", "/livez", "/docs", "/inbox", LIST, "/nothing", "//metrics", "/metrics/"):
        response = httpx.get(f"{base}{path}", headers=alice.auth)
        assert response.json()["error"]["code"] == "NOT_FOUND"
        assert response.headers["X-Request-Id"] == response.json()["error"]["request_id"]


@pytest.mark.parametrize("is_own", [True, False])
def test_only_a_folder_that_the_service_made_goes_with_it(tmp_path, is_own):
    other = tmp_path / "another file"
    other.touch()
    folder = "" if is_own else str(tmp_path)
    env = {"METRICS": "true", "METRICS_ADDRESS": f"127.0.0.1:{free_port()}", "TMPDIR": tmp_path}
    with running_service(DATABASE_URL, PROMETHEUS_MULTIPROC_DIR=folder, **env) as service:
        found = list(tmp_path.rglob("*.db"))
        service.process.send_signal(signal.SIGHUP)  # Reads the settings once more.
        wait_until(lambda: service.log().count("Worker exiting") == 2)
        assert service.stop() == 0
    assert found
    assert bool(list(tmp_path.rglob("*.db"))) == (not is_own)
    assert not list(tmp_path.glob("conversations-metrics-*"))
    assert other.exists()


def test_a_folder_that_is_not_there_ends_the_start_with_a_sentence(tmp_path):
    folder = tmp_path / "missing"
    service = running_service(DATABASE_URL, METRICS="true", PROMETHEUS_MULTIPROC_DIR=folder)
    with pytest.raises(AssertionError, match="missing: not a folder"), service:
        pytest.fail("it serves")


def test_they_answer_while_the_database_is_away():
    address = f"127.0.0.1:{free_port()}"
    nowhere = "postgresql://127.0.0.1:1/nowhere"
    with running_service(nowhere, METRICS="true", METRICS_ADDRESS=address):
        text = scrape(f"http://{address}/metrics")
    assert values(text, "db_up") == [0]
    assert values(text, "last_redaction_timestamp_seconds") == []


def test_an_address_that_is_taken_is_named(stage):
    _, address = stage
    taken = address.removeprefix("http://").removesuffix("/metrics")
    service = running_service(DATABASE_URL, METRICS="true", METRICS_ADDRESS=taken)
    complaint = f"METRICS_ADDRESS {taken}: Address already in use"
    with pytest.raises(AssertionError, match=complaint), service:
        pytest.fail("it serves")


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd")
def test_a_unit_that_lacks_their_socket_is_warned_of():
    port, address = free_port(), f"127.0.0.1:{free_port()}"
    env = {"METRICS": "true", "METRICS_ADDRESS": address, "DATABASE_URL": DATABASE_URL}
    command = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}"]
    command += [f"--setenv={name}={value}" for name, value in (os.environ | env).items()]
    command += [sys.executable, "-m", "gunicorn"]
    service = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/livez", timeout=60).status_code == 200
    finally:
        service.terminate()
        _, log = service.communicate(timeout=60)
    assert f"METRICS is true, but no socket is at METRICS_ADDRESS {address}" in log


def test_an_address_with_the_port_of_the_service_is_refused():
    port = free_port()
    service = running_service(
        DATABASE_URL, port, HOST="127.0.0.1", METRICS="true", METRICS_ADDRESS=f"127.0.0.2:{port}"
    )
    complaint = f"METRICS_ADDRESS 127.0.0.2:{port}: its port must not be PORT"
    with pytest.raises(AssertionError, match=complaint), service:
        pytest.fail("it serves")
