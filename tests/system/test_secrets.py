"""Keys in processes of their own: no worker takes a revoked one, nothing says one out loud."""

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlencode

import httpx
import orjson
import pytest

from conversations.database import pool
from conversations.inbox import api_keys
from tests.api import hooks
from tests.api.hooks import NAMES, put
from tests.command_line import FLASK, ROOT, flask_process
from tests.conftest import DATABASE_URL, contact, new_organization
from tests.servers import free_port, running_service, wait_until

LIST = "/v1/conversations"
WORKERS = 3
METRICS_ADDRESS = f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def service():
    env = {"METRICS": "true", "METRICS_ADDRESS": METRICS_ADDRESS}
    with running_service(DATABASE_URL, WEB_CONCURRENCY=WORKERS, **env) as running:
        yield running


def statuses(service, key: str) -> set[int]:
    """What 60 requests are answered, ten at a time, each on a connection of its own."""
    with ThreadPoolExecutor(10) as threads:
        return {*threads.map(lambda _: service.request("GET", LIST, key)[0], range(60))}


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_every_worker_refuses_a_revoked_or_expired_key_from_the_next_request_on(service, change):
    alice = new_organization(None)
    assert statuses(service, alice.key) == {200}
    with pool.connection() as conn:
        conn.execute(f"UPDATE api_keys SET {change} = now() WHERE organization_id = %s", [alice.id])
    assert statuses(service, alice.key) == {401}


def raw(service, text: str) -> str:
    """Send bytes as they are; return all that comes back."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
        client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def test_no_key_is_ever_answered_logged_or_printed(service):
    alice = new_organization(None)
    key, stranger = alice.key, api_keys.new_key()
    said = []
    for bearer in (key, stranger):
        auth = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n"
        said += [
            raw(service, f"{line}\r\n{headers}\r\n")
            for line, headers in (
                (f"GET {LIST} HTTP/1.1", auth),
                (f"GET {LIST}?{bearer}=1 HTTP/1.1", auth),
                (f"GET {LIST}?cursor={bearer} HTTP/1.1", auth),
                (f"GET {LIST}?contact_number={bearer} HTTP/1.1", auth),
                (f"GET {LIST}/{bearer}/messages HTTP/1.1", auth),
                (f"GET /{bearer} HTTP/1.1", auth),
                (f"GET {LIST} HTTP/1.1", auth + f"X-Request-Id: {bearer}\r\n"),
                (f"GET {LIST} HTTP/1.1", auth + f"If-None-Match: {bearer}\r\n"),
                (f"{bearer} {LIST} HTTP/1.1", auth),
                (f"GET {LIST} HTTP/{bearer}", auth),
                (f"GET {LIST} HTTP/1.1", f"Authorization {bearer}\r\n"),
                (f"GET {LIST} HTTP/1.1", auth + f"Transfer-Encoding: {bearer}\r\n"),
                (f"GET {LIST} HTTP/1.1", auth + f"Content-Length: {bearer}\r\n"),
                (bearer, ""),
                ("GET /metrics HTTP/1.1", auth),
                ("GET /docs HTTP/1.1", auth),
            )
        ]
        for body in ({bearer: 1}, {"direction": bearer}, [bearer], {"from": bearer, "to": bearer}):
            for path in ("/v1/messages", "/v1/consent"):
                said.append(repr(service.request("POST", path, bearer, body)))
    for arguments in (
        ("list-api-keys", str(alice.id)),
        ("revoke-api-key", key),
        ("revoke-api-key", stranger),
        ("list-api-keys", key),
        ("status",),
    ):
        done = flask_process(*arguments)
        said += [done.stdout.decode(), done.stderr.decode()]
    said.append(httpx.get(f"http://{METRICS_ADDRESS}/metrics").text)
    assert len(said) > 40
    assert all(said[: 2 * 16])
    for text in [*said, service.log()]:
        for bearer in (key, stranger):
            assert bearer not in text
            assert bearer.removeprefix("am_live_") not in text
    assert api_keys.display_prefix(key) in service.log()


def bodies(carrier: str, secret: str, own: str) -> list[dict]:
    """Requests of a carrier: a right one, and others with a secret where none belongs."""
    make = hooks.MAKE[carrier]
    contents = [make(own), make(secret), put(make(own), NAMES[carrier]["text"], secret)]
    contents += [put(make(own), name, secret) for name in ("id", "event", secret)]
    contents += [put(make(own), NAMES[carrier][name], secret) for name in ("id", "contact")]
    return [*contents, {secret: secret}]


def test_no_key_of_a_hook_is_ever_answered_or_logged(service):
    alice = new_organization(None)
    recorder = hooks.Hook(alice).key
    stranger, said = api_keys.new_key(), []
    for key in (recorder, alice.key, stranger):
        for carrier in hooks.CARRIERS:
            path = f"/v1/hooks/{carrier}?key={key}"
            kind = "x-www-form-urlencoded" if carrier == "twilio" else "json"
            for content in bodies(carrier, key, alice.number):
                body = urlencode(content) if carrier == "twilio" else orjson.dumps(content).decode()
                head = f"Host: x\r\nContent-Type: application/{kind}\r\nConnection: close\r\n"
                head += f"Content-Length: {len(body.encode())}\r\n"
                said.append(raw(service, f"POST {path} HTTP/1.1\r\n{head}\r\n{body}"))
            close = "Host: x\r\nConnection: close\r\n"
            said += [
                raw(service, f"{line}\r\n{headers}\r\n")
                for line, headers in (
                    (f"POST {path}&{key}=1&number={key}&region={key} HTTP/1.1", close),
                    (f"POST {path}&key={key} HTTP/1.1", close),
                    (f"GET {path} HTTP/1.1", close),
                    (f"POST {path}&x={'x' * 9000} HTTP/1.1", close),
                    (f"POST {path} HTTX/1.1", close),
                    (f"POST {path}", close),
                    (f"POST  {path}  HTTP/1.1", close),
                    (f"POST {path} HTTP/1.1", close + "no colon\r\n"),
                    (f"POST {path} HTTP/1.1", close + "Transfer-Encoding: x\r\n"),
                    (f"POST {path} HTTP/1.1", close + f"Authorization: Basic {key}\r\n"),
                    (f"P\x00ST {path} HTTP/1.1", close),
                )
            ]
    said.append(raw(service, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert sum(" 200 OK\r\n" in text for text in said) >= len(hooks.CARRIERS) * 2
    for text in [*said, service.log()]:
        for key in (recorder, alice.key, stranger):
            assert key.removeprefix("am_live_") not in text
    assert "/v1/hooks/twilio" in service.log()
    assert contact(1) not in service.log()


def test_no_surroundings_bring_the_key_of_a_hook_into_the_log(tmp_path):
    key, number = api_keys.new_key(), contact(1)
    port = free_port()
    arguments = (
        "--access-logfile - --log-level debug --access-logformat %(r)s --statsd-host localhost:1"
    )
    env = {"GUNICORN_CMD_ARGS": arguments, "WEB_CONCURRENCY": "1", "FLASK_RUN_PORT": str(port)}
    target = f"/v1/hooks/twilio?key={key}&number={number}"
    requests = [f"POST {target} HTTP/1.0\r\n\r\n", f"POST {target} HTTX/1\r\n\r\n"]
    with running_service(DATABASE_URL, **env) as service:
        for request in requests:
            raw(service, request)
        logs = [service.log()]
    with open(tmp_path / "log", "w+") as log:
        flask = subprocess.Popen(
            [FLASK, "run"], cwd=ROOT, env=os.environ | env, stdout=log, stderr=log
        )
        try:
            wait_until(lambda: connects(port))
            for request in requests:
                raw(SimpleNamespace(port=port), request)
        finally:
            flask.terminate()
            flask.wait(60)
        logs.append((tmp_path / "log").read_text())
    for text in logs:
        assert "/v1/hooks/twilio" in text
        assert key.removeprefix("am_live_") not in text
        assert number.removeprefix("+") not in text


def connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
