"""The headers of every kind of answer, whole: a header that comes or goes is a decision."""

import gzip
from urllib.parse import urljoin

import pytest

from conversations.database import pool
from tests.conftest import contact, new_organization

LIST = "/v1/conversations"
AT = "2026-04-28T12:00:01+00:00"

EVERYWHERE = {
    "Content-Length",
    "Content-Security-Policy",
    "Content-Type",
    "Referrer-Policy",
    "Server-Timing",
    "X-Content-Type-Options",
    "X-Request-Id",
}
ERROR = EVERYWHERE | {"Cache-Control"}
PAGE = EVERYWHERE | {"Cache-Control", "ETag", "Vary"}

REQUESTS = {
    "200 page": ("GET", LIST, {}, 200, PAGE),
    "200 page with a next one": ("GET", f"{LIST}?limit=1", {}, 200, PAGE | {"Link"}),
    "200 livez": ("GET", "/livez", {}, 200, ERROR),
    "200 readyz": ("GET", "/readyz", {}, 200, ERROR),
    "200 options": ("OPTIONS", LIST, {}, 200, ERROR | {"Allow"}),
    "201": ("POST", "/v1/messages", {"json": "message"}, 201, ERROR),
    "304": (
        "GET",
        LIST,
        {"headers": {"If-None-Match": "*"}},
        304,
        PAGE - {"Content-Length", "Content-Type"},
    ),
    "400": ("GET", f"{LIST}/x/messages", {}, 400, ERROR),
    "401": ("GET", LIST, {"key": None}, 401, ERROR | {"WWW-Authenticate"}),
    "403": ("GET", LIST, {"key": "narrow"}, 403, ERROR | {"WWW-Authenticate"}),
    "404": ("GET", "/nowhere", {}, 404, ERROR),
    "405": ("DELETE", LIST, {}, 405, ERROR | {"Allow"}),
    "413": (
        "POST",
        "/v1/messages",
        {"data": b"x" * 1048577, "content_type": "application/json"},
        413,
        ERROR,
    ),
    "415": ("POST", "/v1/messages", {"data": b"{}"}, 415, ERROR),
    "422": ("GET", f"{LIST}?limit=0", {}, 422, ERROR),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_headers_of(name, alice):
    method, path, extra, status, expected = REQUESTS[name]
    for number in range(2):
        alice.receive(contact(number), AT)
    narrow = new_organization(alice.client, scopes=["consent:write"])
    key = {None: None, "narrow": narrow.key}.get(extra.get("key", "own"), alice.key)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    arguments = {k: v for k, v in extra.items() if k not in ("key", "headers")}
    if arguments.get("json") == "message":
        arguments["json"] = alice.inbound(contact(9))
    headers |= extra.get("headers", {})
    response = alice.client.open(path, method=method, headers=headers, **arguments)
    assert response.status_code == status
    assert set(response.headers.keys()) == expected
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Access-Control-Allow-Origin" not in response.headers


def test_503_carries_retry_after_in_whole_seconds(client, alice):
    with pool.transaction() as conn:
        conn.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        response = alice.get(LIST)
    assert response.status_code == 503
    assert set(response.headers.keys()) == ERROR | {"Retry-After"}
    assert response.headers["Retry-After"].isdigit()


def test_more_than_a_kilobyte_is_gzipped_for_a_client_that_asks(alice):
    for number in range(10):
        alice.receive(contact(number), AT, "x" * 100)
    plain = alice.get(LIST)
    packed = alice.get(LIST, **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data)
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert alice.get(LIST, **{"Accept-Encoding": "gzip;q=0"}).data == plain.data


def test_a_small_answer_is_left_as_it_is(alice):
    assert "Content-Encoding" not in alice.get(LIST, **{"Accept-Encoding": "gzip"}).headers


def test_head_says_what_get_would(alice):
    alice.receive(contact(1), AT)
    head = alice.client.head(LIST, headers=alice.auth)
    get = alice.get(LIST)
    assert head.data == b""
    assert head.status_code == 200
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_link_leads_through_all_pages_and_ends(alice):
    for number in range(5):
        alice.receive(contact(number), AT)
    reference, seen = "?limit=2&since=2026-01-01T00:00:00%2B00:00", []
    while reference:
        assert reference.startswith("?")
        response = alice.get(urljoin(LIST, reference))
        seen += [row["contact_number"] for row in response.json["data"]]
        link = response.headers.get("Link")
        assert (link is None) == (response.json["meta"]["next_cursor"] is None)
        reference = link and link.removeprefix("<").removesuffix('>; rel="next"')
    assert sorted(seen) == [contact(number) for number in range(5)]


@pytest.mark.parametrize("path", ["/docs/swagger-ui-bundle.js", "/inbox/page.js", "/openapi.json"])
def test_a_file_is_compressed_once(client, monkeypatch, path):
    first = client.get(path, headers={"Accept-Encoding": "gzip"})
    with monkeypatch.context() as patch:
        patch.delattr(gzip, "compress")
        again = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert again.headers["Content-Encoding"] == "gzip"
    assert again.data == first.data
    assert gzip.decompress(again.data) == client.get(path).data
    assert again.headers["ETag"] == client.get(path).headers["ETag"]
