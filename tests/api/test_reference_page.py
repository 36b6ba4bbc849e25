"""The API reference in a real browser: it loads, stays at home, and reaches the demo inbox."""

import gzip
import shutil
import subprocess
import tempfile
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from tests.conftest import assert_error
from tests.servers import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # The name that WebDriver gives to references.
CHROMIUM_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1280,1000",
]


class Browser:
    """Headless Chromium, driven over WebDriver (https://www.w3.org/TR/webdriver2)."""

    def __init__(self, driver_url: str, profile: str):
        self._http = httpx.Client(base_url=driver_url, timeout=60, trust_env=False)
        wait_until(self._is_ready)
        capabilities = {
            "goog:chromeOptions": {"args": [*CHROMIUM_OPTIONS, f"--user-data-dir={profile}"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._post("/session", capabilities={"alwaysMatch": capabilities})
        self._session = f"/session/{session['sessionId']}"
        self.open("about:blank")
        self.requested_urls()  # Those of Chromium's own first page.

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/status").json()["value"]["ready"]
        except httpx.TransportError:
            return False

    def _post(self, path: str, **body):
        response = self._http.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()["value"]

    def quit(self) -> None:
        self._http.delete(self._session)
        self._http.close()

    def open(self, url: str) -> None:
        self._post(f"{self._session}/url", url=url)

    def run(self, script: str):
        """The value that a script returns in the page."""
        return self._post(f"{self._session}/execute/sync", script=script, args=[])

    def text(self, selector: str) -> str:
        """The text of an element, or nothing while there is no such element."""
        return self.run(f"return document.querySelector({selector!r})?.innerText ?? ''")

    def _element(self, selector: str) -> str:
        wait_until(lambda: self.run(f"return !!document.querySelector({selector!r})"))
        found = self._post(f"{self._session}/element", using="css selector", value=selector)
        return f"{self._session}/element/{found[ELEMENT]}"

    def click(self, selector: str) -> None:
        self._post(f"{self._element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._post(f"{self._element(selector)}/value", text=text)

    def console(self) -> list[str]:
        """What the page, or the browser about the page, has complained of since last asked."""
        entries = self._post(f"{self._session}/se/log", type="browser")
        return [entry["message"] for entry in entries]

    def requested_urls(self) -> list[str]:
        """What was requested since last asked, by the devtools protocol."""
        entries = self._post(f"{self._session}/se/log", type="performance")
        events = [orjson.loads(entry["message"])["message"] for entry in entries]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="module")
def browser():
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver: apt-get install chromium chromium-driver, or make test")
    port = free_port()
    profile = tempfile.mkdtemp(prefix="chromium")
    command = ["chromedriver", f"--port={port}", "--log-level=OFF"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        browser = Browser(f"http://127.0.0.1:{port}", profile)
        yield browser
        browser.quit()
    finally:
        driver.terminate()
        driver.wait()
        shutil.rmtree(profile, ignore_errors=True)


def test_the_page_loads_without_complaint_and_asks_no_other_host(browser, demo_service):
    browser.open(f"{demo_service.url}/")
    wait_until(lambda: browser.run("return document.querySelectorAll('.opblock').length") == 9)
    assert browser.run("return location.pathname") == "/docs"
    assert browser.run("return document.title") == "Conversations API"
    assert "Conversations" in browser.text(".info .title")
    assert browser.console() == []
    requested = [urlsplit(url) for url in browser.requested_urls()]
    remote = [url for url in requested if url.scheme != "data"]
    assert {url.netloc for url in remote} == {urlsplit(demo_service.url).netloc}
    assert {url.path for url in remote} == {
        "/",
        "/docs",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/openapi.json",
    }


def test_a_key_typed_into_the_page_shows_the_demo_inbox(browser, demo_service, demo_key):
    browser.open(f"{demo_service.url}/docs")
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


def test_the_page_forgets_the_key(browser, demo_service, demo_key):
    browser.open(f"{demo_service.url}/docs")
    browser.click(".auth-wrapper .authorize")
    browser.type(".auth-container input", demo_key)
    browser.click(".auth-btn-wrapper .authorize")
    stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert stored == "[{},{}]"
    assert browser.run("return document.cookie") == ""


def test_the_start_leads_to_the_page(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response.headers["Location"] == "/docs"


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
