"""Behind the real nginx of deploy/nginx.conf: slow clients, nginx's own refusals, a prefix."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from tests.conftest import DATABASE_URL, contact, new_organization
from tests.docs.recipes import run
from tests.fronts import running_nginx, running_nginx_with_tls
from tests.servers import Service, free_port, running_service, wait_until

LIST = "/v1/conversations"
ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service with two threads in all."""
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, WEB_THREADS=2) as running:
        yield running


@pytest.fixture(scope="module")
def front(service) -> Iterator[tuple[str, Path]]:
    with running_nginx(service.port) as running:
        yield running


def raw(url: str, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def assert_refusal(response: httpx.Response, status: int, code: str) -> None:
    """A refusal of nginx itself has the shape of the service's errors."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json")
    answer = response.json()
    assert list(answer) == ["success", "error"]
    assert list(answer["error"]) == ["code", "message", "request_id"]
    assert answer["error"]["code"] == code
    assert answer["error"]["request_id"] == response.headers["X-Request-Id"]
    assert ULID.fullmatch(response.headers["X-Request-Id"])


def test_pages_and_errors_of_the_service_pass_unchanged(front, service):
    url, _ = front
    alice = new_organization(None)
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
    through = httpx.get(f"{url}{LIST}", headers=alice.auth)
    direct = httpx.get(f"{service.url}{LIST}", headers=alice.auth)
    assert (through.status_code, through.content) == (200, direct.content)
    assert through.headers["ETag"] == direct.headers["ETag"]
    assert [name for name in through.headers if name == "x-request-id"] == ["x-request-id"]
    again = httpx.get(
        f"{url}{LIST}", headers=alice.auth | {"If-None-Match": through.headers["ETag"]}
    )
    assert again.status_code == 304
    for path in ("/nothing", f"{LIST}/x"):
        assert httpx.get(f"{url}{path}").json()["error"]["code"] == "NOT_FOUND"
    assert httpx.get(f"{url}{LIST}").status_code == 401


def test_a_body_that_is_too_large_is_refused_in_the_envelope(front):
    url, _ = front
    response = httpx.post(f"{url}/v1/messages", content=b"x" * (1024 * 1024 + 1))
    assert_refusal(response, 413, "PAYLOAD_TOO_LARGE")


def test_a_service_that_is_away_is_unavailable_in_the_envelope():
    with running_nginx(free_port()) as (url, _):
        response = httpx.get(f"{url}{LIST}")
        assert_refusal(response, 502, "UNAVAILABLE")
        assert response.headers["Retry-After"] == "1"


def test_smsgate_alone_may_send_pictures_and_no_more_than_16_mib(front):
    url, _ = front
    alice = new_organization(None)
    mib = 1024 * 1024
    payload = {"sender": contact(1), "recipient": alice.number, "body": "Look", "attachments": [""]}
    event = {
        "event": "mms:downloaded",
        "payload": {**payload, "receivedAt": "2026-04-28T12:00:01Z"},
    }
    event["payload"]["messageId"] = "picture"
    event["payload"]["attachments"][0] = "x" * (16 * mib - len(orjson.dumps(event)))
    body = orjson.dumps(event)
    assert len(body) == 16 * mib
    headers = alice.auth | {"Content-Type": "application/json"}
    with httpx.Client(headers=headers, timeout=60) as client:
        recorded = client.post(f"{url}/v1/hooks/smsgate", content=body)
        assert (recorded.status_code, recorded.json()["data"]["recorded"]) == (200, 1), (
            recorded.text
        )
        refused = client.post(f"{url}/v1/hooks/smsgate", content=body + b" ")
        assert_refusal(refused, 413, "PAYLOAD_TOO_LARGE")
        refused = client.post(f"{url}/v1/hooks/telnyx", content=b"x" * (mib + 1))
        assert_refusal(refused, 413, "PAYLOAD_TOO_LARGE")


REFUSED = {
    "no HTTP": (b"nonsense\r\n\r\n", b"INVALID_INPUT"),
    "a large header": (
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"INVALID_INPUT",
    ),
    "a method of nginx's own": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", b"METHOD_NOT_ALLOWED"),
    "an unknown encoding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
        b"INVALID_INPUT",
    ),
    "another version": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", b"INVALID_INPUT"),
}


def test_what_nginx_refuses_is_refused_in_the_envelope(front):
    offenders = {}
    for name, (text, code) in REFUSED.items():
        answer = raw(front[0], text)
        if b"<html" in answer.lower() or code not in answer or b'{"success":false' not in answer:
            offenders[name] = answer
    assert offenders == {}


def test_with_a_certificate_http_leads_to_https_and_no_log_holds_what_was_typed(service):
    alice = new_organization(None)
    secret = "am_live_geheim"
    with (
        running_nginx_with_tls(service.port) as (http, https, folder),
        httpx.Client(verify=False, headers=alice.auth) as client,  # noqa: S501
    ):
        typed = client.get(f"{http}{LIST}?key={secret}")
        assert typed.status_code == 301
        assert typed.headers["Location"] == f"https://localhost{LIST}?key={secret}"
        assert client.get(f"{https}{LIST}").status_code == 200
        wait_until(lambda: " GET 200 " in log_of(folder))
        assert secret not in log_of(folder)
        assert " 301 " not in log_of(folder)
        # What is not TLS, on the port of TLS.
        plain = raw(https.replace("https", "http"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"INVALID_INPUT" in plain


def test_clients_that_send_slowly_hold_no_thread_of_the_service(front):
    url, _ = front
    alice = new_organization(None)
    slow = []
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", urlsplit(url).port))
        client.sendall(head + b"x")
        slow.append(client)
    time.sleep(0.2)
    try:
        statuses = [
            httpx.get(f"{url}{LIST}", headers=alice.auth, timeout=5).status_code for _ in range(10)
        ]
    finally:
        for client in slow:
            client.close()
    assert statuses == [200] * 10


def log_of(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("*.log"))


def test_neither_numbers_nor_keys_of_query_strings_are_in_its_logs(front):
    url, folder = front
    secret = "am_live_geheim"
    httpx.get(f"{url}{LIST}?contact_number=+15557654321&key={secret}")
    httpx.post(f"{url}/v1/messages?key={secret}", content=b"x" * (1024 * 1024 + 1))
    with running_nginx(free_port()) as (away, away_folder):
        httpx.get(f"{away}{LIST}?contact_number=+15557654321&key={secret}")
        # nginx writes a line after it has answered.
        wait_until(lambda: " POST 413 " in log_of(folder) and " GET 502 " in log_of(away_folder))
        for log in (log_of(folder), log_of(away_folder)):
            assert secret not in log
            assert "5557654321" not in log


def test_under_a_prefix_every_address_stays_under_it(service):
    alice = new_organization(None)
    for number in range(5):
        alice.receive(contact(number), "2026-04-28T12:00:01+00:00")
    with (
        running_nginx(service.port, "/sms/") as (url, _),
        httpx.Client(follow_redirects=False) as client,
    ):
        start = client.get(f"{url}/")
        assert (start.status_code, str(start.next_request.url)) == (302, f"{url}/inbox")
        seen, address = [], httpx.URL(f"{url}{LIST}?limit=2")
        while address:
            response = client.get(address, headers=alice.auth)
            assert response.status_code == 200
            seen += [row["contact_number"] for row in response.json()["data"]]
            following = response.links.get("next", {}).get("url")
            address = response.url.join(following) if following else None
        assert len(seen) == 5
        document = client.get(f"{url}/openapi.json")
        _, server = document.json()["servers"]
        base = str(document.url.join(server["url"])).rstrip("/")
        assert client.get(f"{base}{LIST}", headers=alice.auth).status_code == 200
        for page in ("docs", "inbox"):
            response = client.get(f"{url}/{page}")
            for reference in re.findall(r'(?:src|href)="([^"]+)"', response.text):
                if not reference.startswith(("data:", "http:", "https:", "#")):
                    assert client.get(response.url.join(reference)).status_code == 200, reference


@pytest.mark.parametrize("recipe", ["walk-curl", "walk-python", "export-csv"])
def test_the_walks_of_the_documents_run_under_a_prefix(demo_service, demo_key, tmp_path, recipe):
    direct = read(tmp_path, run(recipe, demo_service.url, demo_key, tmp_path))
    with running_nginx(demo_service.port, "/sms/") as (url, _):
        assert read(tmp_path, run(recipe, url, demo_key, tmp_path)) == direct
    assert direct.count("+1555") > 3


def read(folder: Path, printed: str) -> str:
    """What a recipe printed and wrote; the file is removed."""
    for path in folder.iterdir():
        printed += path.read_text()
        path.unlink()
    return printed


def test_the_limit_of_a_key_refuses_in_the_envelope_when_it_is_on():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        on = {"#limit ": "", "keys 16;": "keys 2;"}
        with running_nginx(silent.getsockname()[1], changes=on) as (url, _):
            waiting = [b"Authorization: Bearer a"] * 2 + [b"Authorization: Bearer b"]
            with contextlib.ExitStack() as stack:
                for header in waiting:
                    client = stack.enter_context(
                        socket.create_connection(("127.0.0.1", urlsplit(url).port))
                    )
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
                    silent.settimeout(30)
                    stack.enter_context(silent.accept()[0])
                response = httpx.get(url, headers={"Authorization": "Bearer a"}, timeout=30)
    assert_refusal(response, 503, "UNAVAILABLE")
    assert response.headers["Retry-After"] == "1"
