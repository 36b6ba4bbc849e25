"""The API reference in a real browser: it loads, stays at home, and reaches the demo inbox."""

import gzip
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

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
    assert len(remote) == 5
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


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")],
)
def test_the_files_of_the_page_are_served_once_and_compressed(client, name, mimetype):
    response = client.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert response.mimetype == mimetype
    assert response.headers["Vary"] == "Accept-Encoding"
    assert b"swagger" in gzip.decompress(response.data)
    again = client.get(f"/docs/{name}", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == response.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs//swagger-ui.css",
        "/docs/swagger-ui.css/",
        "/docs/index.html",
        "/docs/..%2Fapp.py",
        "/docs/%2e%2e/app.py",
        "/docs/oauth2-redirect.html",
        "/openapi.json/",
    ],
)
def test_nothing_else_is_served(client, path):
    assert_error(client.get(path), 404, "NOT_FOUND")
