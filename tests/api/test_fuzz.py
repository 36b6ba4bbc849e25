"""Hostile requests: no 5xx, every error in the envelope, every request id in the log."""

import json
import re
import socket

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

import app as service
from conversations.api.views import CREATE_MESSAGE, RECORD_CONSENT
from tests.conftest import DATABASE_URL, contact, new_organization
from tests.servers import running_service

ROUTES = (
    "/v1/conversations",
    "/v1/conversations/AAAAAAAAAAAAAAAAAAAAAA/messages",
    "/livez",
    "/readyz",
    "/openapi.json",
)
QUIET = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app)
# Else the paths begin with the document's relative server, which only a browser resolves.
schema.config.update(base_url="http://localhost/")


def assert_answered(response, lines: list[str]) -> None:
    """A whole answer of ours: no 5xx, the envelope, and an id that the log knows."""
    assert response.status_code < 500, response.text
    request_id = response.headers["X-Request-Id"]
    assert any(f"request_id={request_id}" in line for line in lines)
    if response.status_code >= 400:
        assert response.json["error"]["request_id"] == request_id


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_service_keeps_to_its_own_document(case):
    organization = hostile_target()
    # A schema cannot say "not in the future" or "one of your numbers", so a body may be refused.
    excluded = [positive_data_acceptance] if case.method == "POST" else []
    if case.path.startswith("/v1/hooks/"):
        # What a carrier sends that is not recorded is not checked.
        excluded.append(negative_data_rejection)
    headers = organization.auth | {"Accept-Encoding": "identity"}
    case.call_and_validate(headers=headers, excluded_checks=excluded)


def hostile_target(_cache: list = []):  # noqa: B006
    """An organization with something in it, made once."""
    if not _cache:
        organization = new_organization(service.app.test_client())
        for number in range(3):
            organization.receive(contact(number), "2026-04-28T12:00:01+00:00")
        _cache.append(organization)
    return _cache[0]


@QUIET
@given(route=st.sampled_from(ROUTES), query=st.binary(max_size=60))
def test_any_bytes_as_a_query_string(log_lines, route, query):
    organization = hostile_target()
    environ = {"QUERY_STRING": query.decode("latin-1")}
    response = organization.client.get(route, headers=organization.auth, environ_overrides=environ)
    assert_answered(response, log_lines())


@QUIET
@given(
    names=st.lists(st.sampled_from(["cursor", "limit", "since", "opted_in", "contact_number"])),
    values=st.lists(st.text(max_size=40)),
)
def test_any_text_as_a_parameter(log_lines, names, values):
    organization = hostile_target()
    query = list(zip(names, values, strict=False))
    response = organization.client.get(
        ROUTES[0], query_string=dict(query), headers=organization.auth
    )
    assert_answered(response, log_lines())


@QUIET
@given(path=st.text(max_size=40))
def test_any_text_as_an_id(log_lines, path):
    organization = hostile_target()
    response = organization.client.get(
        f"/v1/conversations/{path.replace('/', '')}/messages", headers=organization.auth
    )
    assert_answered(response, log_lines())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
FIELDS = [*CREATE_MESSAGE.fields, "from", "to", *RECORD_CONSENT.fields]


@QUIET
@given(
    route=st.sampled_from(["/v1/messages", "/v1/consent"]),
    body=st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON,
)
def test_any_json_as_a_body(log_lines, route, body):
    organization = hostile_target()
    response = organization.client.post(
        route,
        data=json.dumps(body),
        headers={**organization.auth, "Content-Type": "application/json"},
    )
    assert_answered(response, log_lines())


@QUIET
@given(
    name=st.sampled_from(["Authorization", "If-None-Match", "Accept-Encoding", "X-Request-Id"]),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80),
)
def test_any_text_as_a_header(log_lines, name, value):
    organization = hostile_target()
    response = organization.client.get(ROUTES[0], headers={**organization.auth, name: value})
    assert_answered(response, log_lines())


EXTREMES = {
    "a NUL in a parameter": ("GET", "/v1/conversations?contact_number=%00", b""),
    "a NUL in the path": ("GET", "/v1/conversations/%00/messages", b""),
    "invalid UTF-8 in a parameter": ("GET", "/v1/conversations?since=%ff%fe", b""),
    "invalid UTF-8 in the path": ("GET", "/v1/conversations/%ff/messages", b""),
    "10,000 characters": ("GET", "/v1/conversations?cursor=" + "A" * 10_000, b""),
    "a name of 10,000 characters": ("GET", "/v1/conversations?" + "a" * 10_000 + "=1", b""),
    "deep JSON": ("POST", "/v1/messages", b'{"body":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a huge number": ("POST", "/v1/messages", b'{"segment_count":' + b"9" * 400 + b"}"),
    "a NUL in a body": ("POST", "/v1/messages", b'{"body":"\\u0000","direction":"inbound"}'),
    "a lone surrogate": ("POST", "/v1/messages", b'{"body":"\\ud800"}'),
    "NaN": ("POST", "/v1/messages", b'{"segment_count":NaN}'),
}


def exchange(port: int, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return answer


@pytest.fixture(scope="module")
def port(app):
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as running:
        yield running.port


def assert_refused(answer: bytes) -> dict:
    """A 4xx with an error in the envelope; return the error."""
    head, _, content = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1.1 4\d\d ", head), answer
    assert b"\r\nContent-Type: application/json\r\n" in head + b"\r\n"
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
    body = orjson.loads(content)
    assert body["success"] is False
    assert f"X-Request-Id: {body['error']['request_id']}\r\n".encode() in head + b"\r\n"
    return body["error"]


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_requests_get_a_4xx_in_the_envelope(port, name):
    method, target, body = EXTREMES[name]
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {hostile_target().key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    assert_refused(exchange(port, head.encode() + body))


@pytest.mark.parametrize(
    "headers",
    [
        b"Authorization: Bearer am_live_x\r\nAuthorization: Bearer am_live_y\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 999999999999\r\nContent-Type: application/json\r\n",
        b"Content-Length: x\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: nonsense\r\n",
        b"X: " + b"a" * 100_000 + b"\r\n",
        b"no colon\r\n",
        b"Expect: wonders\r\n",
    ],
)
def test_lying_headers_get_a_4xx_and_the_next_request_is_served(port, headers):
    request = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n{}"
    assert_refused(exchange(port, request))
    assert b" 200 OK" in exchange(port, b"GET /livez HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    "request_line",
    [
        b"nonsense",
        b"G@T / HTTP/1.1",
        b"GET / HTTX/1.1",
        b"GET / HTTP/9.9",
        b"GET /?" + b"a" * 70_000 + b" HTTP/1.1",
        bytes(range(128, 256)),
    ],
)
def test_what_is_not_http_gets_a_400_in_the_envelope(port, request_line):
    error = assert_refused(exchange(port, request_line + b"\r\nHost: localhost\r\n\r\n"))
    assert error["code"] == "INVALID_INPUT"
    assert "details" not in error


MALFORMED_CHUNKS = [
    b"x\r\n{}\r\n0\r\n\r\n",
    b"-2\r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"2 2\r\n{}\r\n0\r\n\r\n",
    b"\r\n{}\r\n0\r\n\r\n",
    b"2;\x00\r\n{}\r\n0\r\n\r\n",
    b"2;a=\r{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}\n0\r\n\r\n",
    b"1\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    b"2\r\n{}\r\n0\r\n",
    b"2\r\n{}\r\n",
    b"9\r\n{}",
    b"f" * 40_000,
    b"",
]


def test_malformed_chunks_get_one_response_and_end_the_connection(port):
    offenders = []
    auth = f"Authorization: Bearer {hostile_target().key}\r\n".encode()
    for chunks in MALFORMED_CHUNKS:
        for method, path, status in (
            (b"POST", b"/v1/messages", b"400"),
            (b"POST", b"/v1/consent", b"400"),
            (b"GET", b"/livez", b"200"),
        ):
            request = method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + auth
            request += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            answer = exchange(port, request + chunks)
            if answer[9:12] != status or answer.count(b"HTTP/1.1") != 1:
                offenders.append((path, chunks[:40], answer))
            elif status == b"400":
                assert_refused(answer)
    assert offenders == []


def test_long_cookies_of_other_programs_are_no_reason_to_refuse(port):
    request = b"GET /livez HTTP/1.0\r\nCookie: " + b"a=b; " * 6000 + b"\r\n\r\n"
    assert b" 200 OK" in exchange(port, request)


@pytest.mark.parametrize("name", [b"PATH_INFO", b"SCRIPT_NAME", b"Path-Info", b"REMOTE_USER"])
def test_no_header_moves_the_route(port, name):
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + name + b": "
    for value in (b"/readyz", b"/livez", b"/elsewhere"):
        _, _, content = exchange(port, request + value + b"\r\n\r\n").partition(b"\r\n\r\n")
        assert orjson.loads(content)["data"] == {"status": "ok"}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://other.example/livez", 200),
        (b"http://other.example", 302),
        (b"http://other.example//livez", 404),
        (b"//v1/conversations", 404),
        (b"//other.example/livez", 404),
        (b"http://[bad/livez", 400),
        (b"*", 400),
        (b"/%", 404),
        (b"/%ff%fe/%zz", 404),
        (b"/\xff", 400),
    ],
)
def test_an_odd_target_is_a_route_or_an_error_in_the_envelope(port, target, status):
    request = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = exchange(port, request)
    assert answer.split(maxsplit=2)[1] == str(status).encode()
    if status >= 400:
        assert_refused(answer)


@pytest.mark.parametrize("host", [b"\xff", b"a b", b"a" * 300, b"xn--", b".", b"a:x", b"[::1", b""])
def test_an_odd_host_never_costs_more_than_a_400(port, host):
    request = b"GET /livez HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n"
    answer = exchange(port, request)
    if b" 200 OK" not in answer:
        assert assert_refused(answer)["code"] == "INVALID_INPUT"


@pytest.mark.parametrize("method", [b"BREW", b"CONNECT", b"TRACE", b"A" * 15])
def test_an_odd_method_is_a_405_in_the_envelope(port, method):
    answer = exchange(port, method + b" /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert assert_refused(answer)["code"] == "METHOD_NOT_ALLOWED"
