"""A real browser for the tests of pages: headless Chromium, driven over WebDriver."""

import base64
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import orjson

from tests.servers import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # The name that WebDriver gives to references.
# https://www.w3.org/TR/webdriver2/#keyboard-actions
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Up": "\ue013", "Down": "\ue015"}
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
        self._origins: set[str] = set()
        self._urls: list[str] = []
        self._responses: list[tuple[str, int]] = []
        self._http = httpx.Client(base_url=driver_url, timeout=60, trust_env=False)
        wait_until(self._is_ready)
        capabilities = {
            "goog:chromeOptions": {"args": [*CHROMIUM_OPTIONS, f"--user-data-dir={profile}"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._post("/session", capabilities={"alwaysMatch": capabilities})
        self._session = f"/session/{session['sessionId']}"

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

    def open_tab(self) -> None:
        """Go on in a new tab, for which nothing is stored or allowed, and nothing was asked."""
        for origin in self._origins:
            self.devtools("Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage")
        self.devtools("Browser.resetPermissions")
        tab = self._post(f"{self._session}/window/new", type="tab")["handle"]
        self._http.delete(f"{self._session}/window")
        self._post(f"{self._session}/window", handle=tab)
        self.open("about:blank")
        self.console()
        self.requested_urls()
        self.responses()

    def open(self, url: str) -> None:
        if url.startswith("http"):
            self._origins.add("{0.scheme}://{0.netloc}".format(urlsplit(url)))
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

    def press(self, *keys: str) -> None:
        """Type into whatever has the focus: letters, or names of the WebDriver's keys."""
        for key in keys:
            code = KEYS.get(key, key)
            pressed = [{"type": kind, "value": code} for kind in ("keyDown", "keyUp")]
            keyboard = {"type": "key", "id": "keyboard", "actions": pressed}
            self._post(f"{self._session}/actions", actions=[keyboard])

    def devtools(self, command: str, **parameters):
        """Call the devtools protocol: https://chromedevtools.github.io/devtools-protocol."""
        body = {"cmd": command, "params": parameters}
        return self._post(f"{self._session}/goog/cdp/execute", **body)

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of that many CSS pixels; at most 720 wide, a phone's."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width <= 720,
        )

    def prefer(self, **features: str) -> None:
        """Set media features, such as `prefers_color_scheme`; none: what they were at first."""
        listed = [{"name": name.replace("_", "-"), "value": features[name]} for name in features]
        self.devtools("Emulation.setEmulatedMedia", features=listed)

    def screenshot(self) -> bytes:
        """A picture of the page, as PNG."""
        return base64.b64decode(self._http.get(f"{self._session}/screenshot").json()["value"])

    def console(self) -> list[str]:
        """What the page, or the browser about the page, has complained of since last asked.

        Not what the browser only suggests, such as autocomplete attributes.
        """
        entries = self._post(f"{self._session}/se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] != "DEBUG"]

    def requested_urls(self) -> list[str]:
        """What was requested since last asked, by the devtools protocol."""
        self._read_network()
        urls, self._urls = self._urls, []
        return urls

    def responses(self) -> list[tuple[str, int]]:
        """The paths and statuses of the responses since last asked."""
        self._read_network()
        responses, self._responses = self._responses, []
        return responses

    def _read_network(self) -> None:
        for entry in self._post(f"{self._session}/se/log", type="performance"):
            event = orjson.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                self._urls.append(event["params"]["request"]["url"])
            if event["method"] == "Network.responseReceived":
                response = event["params"]["response"]
                self._responses.append((urlsplit(response["url"]).path, response["status"]))


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium with a profile of its own, and end both."""
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
