"""The API reference in a real browser: it loads, stays at home, and reaches the demo inbox."""

import gzip
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from conversations.api import public
from conversations.api.envelope import COMPRESS_FROM_BYTES
from tests.conftest import assert_error
from tests.fronts import running_nginx
from tests.servers import wait_until


def test_the_page_loads_without_complaint_and_asks_no_other_host(browser, demo_service):
    browser.open(f"{demo_service.url}/docs")
    paths = demo_service.request("GET", "/openapi.json")[2]["paths"]
    count = sum(len(operations) for operations in paths.values())
    wait_until(lambda: browser.run("return document.querySelectorAll('.opblock').length") == count)
    assert browser.run("return location.pathname") == "/docs"
    assert browser.run("return document.title") == "Conversations API"
    assert "Conversations" in browser.text(".info .title")
    assert browser.console() == []
    requested = [urlsplit(url) for url in browser.requested_urls()]
    remote = [url for url in requested if url.scheme != "data"]
    assert {url.netloc for url in remote} == {urlsplit(demo_service.url).netloc}
    assert {url.path for url in remote} == {
        "/docs",
        "/docs/page.css",
        "/docs/page.js",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/openapi.json",
    }


@pytest.fixture(params=["/", "/sms/"], ids=["directly", "under a prefix"])
def address(request, demo_service) -> Iterator[str]:
    """The address of the demo inbox, and that of nginx which publishes it under a prefix."""
    if request.param == "/":
        yield demo_service.url
    else:
        with running_nginx(demo_service.port, request.param) as (url, _):
            yield url


def test_a_key_typed_into_the_page_shows_the_demo_inbox(browser, address, demo_key):
    browser.open(f"{address}/docs")
    browser.click(".auth-wrapper .authorize")
    browser.type(".auth-container input", demo_key)
    browser.click(".auth-btn-wrapper .authorize")
    browser.click(".auth-btn-wrapper .btn-done")
    operation = "#operations-Conversations-list_conversations"
    browser.click(f"{operation} .opblock-summary-control")
    browser.click(f"{operation} .execute")
    answer = f"{operation} .live-responses-table .response"
    wait_until(lambda: "Cancel my appointment please" in browser.text(answer))
    assert browser.text(answer).startswith("200")
    assert browser.console() == []
    remote = [url for url in browser.requested_urls() if url.startswith("http")]
    assert len(remote) == 7
    assert all(url.startswith(f"{address}/") for url in remote)


def test_the_page_forgets_the_key(browser, demo_service, demo_key):
    browser.open(f"{demo_service.url}/docs")
    browser.click(".auth-wrapper .authorize")
    browser.type(".auth-container input", demo_key)
    browser.click(".auth-btn-wrapper .authorize")
    stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert stored == "[{},{}]"
    assert browser.run("return document.cookie") == ""


def test_the_page_may_load_nothing_from_elsewhere(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    for word in ("http", "unsafe", "*"):
        assert word not in policy


def test_every_file_of_the_pages_is_compressed_kept_and_asked_about_again(client):
    for path, (_, media_type) in public.FILES.items():
        response = client.get(path, headers={"Accept-Encoding": "gzip"})
        headers = response.headers
        assert (response.status_code, response.mimetype) == (200, media_type), path
        assert (headers["Vary"], headers["Cache-Control"]) == ("Accept-Encoding", "no-cache"), path
        is_large = len(public.CONTENTS[path]) > COMPRESS_FROM_BYTES
        content = gzip.decompress(response.data) if is_large else response.data
        assert content == client.get(path).data == public.CONTENTS[path], path
        again = client.get(path, headers={"If-None-Match": headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), path
        assert again.headers["ETag"] == headers["ETag"], path


def test_the_pages_have_no_script_and_no_style_of_their_own_inside():
    for path in ("/docs", "/inbox"):
        page = public.CONTENTS[path].decode()
        assert re.findall(r"<style|<script[^>]*>[^<]|\son\w+=|\sstyle=", page) == [], path


NOTHING = [
    "/docs/",
    "/docs//swagger-ui.css",
    "/docs/swagger-ui.css/",
    "/docs/index.html",
    "/docs/page.html",
    "/docs/feed.js",
    "/docs/..%2Fapp.py",
    "/docs/%2e%2e/app.py",
    "/docs/oauth2-redirect.html",
    "/openapi.json/",
]


def test_nothing_else_is_served(client, subtests):
    for path in NOTHING:
        with subtests.test(path=path):
            assert_error(client.get(path), 404, "NOT_FOUND")
