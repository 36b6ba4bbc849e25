"""The real PostgreSQL, built by the real migrations, and the people of the tests: Alice and Bob.

Every test works in organizations of its own, so nothing is cleaned up in between.
"""

import atexit
import contextlib
import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from conversations.database import migrations, pool
from conversations.database.connection import connect
from conversations.inbox import api_keys, demo, organizations
from conversations.inbox.consent import record_consent
from conversations.inbox.messages import complete_message, record_messages
from tools.embedded import server


def _new_folder() -> Path:
    """A folder that ends with the test run, and that the user of root's servers can enter."""
    # Not TMPDIR, which may be closed to that user.
    folder = Path(tempfile.mkdtemp(prefix="tests", dir="/tmp"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder)
    return folder


FOLDER = _new_folder()
PROGRAMS = server.find_programs(FOLDER)
DATA = FOLDER / "data"
# The fixture `database` starts the server and creates the database of these URLs.
SERVER_URL = (
    os.environ.get("TEST_DATABASE_URL")
    or f"postgresql://postgres@/postgres?host={DATA}.socket&port={server.PORT}"
)
DATABASE_NAME = f"test_{uuid.uuid4().hex}"
DATABASE_URL = psycopg.conninfo.make_conninfo(SERVER_URL, dbname=DATABASE_NAME)
os.environ["DATABASE_URL"] = DATABASE_URL

import app as service  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def database(request) -> Iterator[None]:
    """The tests' database, unless no test of this run needs one.

    It is on the server of TEST_DATABASE_URL, or on one that ends with the test run.
    """
    if all(item.get_closest_marker("no_database") for item in request.session.items):
        yield
        return
    if "TEST_DATABASE_URL" not in os.environ:
        server.create(PROGRAMS, DATA)
        server.start(PROGRAMS, DATA, FOLDER / "postgres.log")
    new_database(SERVER_URL, DATABASE_NAME)
    with connect(DATABASE_URL) as connection:
        migrations.migrate(connection)
    yield
    pool.database.close()
    server.stop(DATA)


def new_database(server_url: str, name: str = "") -> str:
    """Create an empty database beside the server's own and return its URL."""
    name = name or f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    return psycopg.conninfo.make_conninfo(server_url, dbname=name)


@dataclass
class Organization:
    """An organization with one number and a key for everything."""

    client: object
    id: uuid.UUID
    number: str
    phone_number_id: uuid.UUID
    key: str
    counter: itertools.count = field(default_factory=itertools.count)

    def get(self, path: str, query: dict | str | None = None, **headers):
        """GET as this organization."""
        return self.client.get(path, query_string=query, headers={**self.auth, **headers})

    def post(self, path: str, body, **headers):
        """POST JSON as this organization."""
        return self.client.post(path, json=body, headers={**self.auth, **headers})

    @property
    def auth(self) -> dict:
        return {"Authorization": f"Bearer {self.key}"}

    def walk(self, path: str, limit: int = 200, **query) -> list[dict]:
        """All rows of a list, by its cursors; they must be as many as its total says."""
        rows, query = [], query | {"limit": limit}
        while True:
            page = self.get(path, query).json
            rows += page["data"]
            total = page["meta"]["total"]
            # A page is empty only where the list is.
            assert min(total, 1) <= len(page["data"]) <= limit
            assert len(rows) <= total
            if page["meta"]["next_cursor"] is None:
                assert len(rows) == total
                return rows
            query["cursor"] = page["meta"]["next_cursor"]

    def conversations(self, **query) -> list[dict]:
        """The data of GET /v1/conversations, which must be a 200."""
        response = self.get("/v1/conversations", query)
        assert response.status_code == 200, response.json
        return response.json["data"]

    def new_number(self, number: str) -> uuid.UUID:
        """Give the organization another phone number."""
        return organizations.create_phone_number(self.id, number)

    def number_of(self, phone_number_id: uuid.UUID) -> str:
        """The number with that id."""
        (number,) = organizations.find_phone_numbers(self.id, ids=[phone_number_id])
        return number

    def inbound(self, contact: str = "+15550000001", **fields) -> dict:
        """The body of POST /v1/messages for an inbound message."""
        ends = {"from": contact, "to": self.number}
        return {"direction": "inbound", **ends, "body": "hello", **fields}

    def message(self, contact: str, at: datetime | str, body: str | None = "hello", **fields):
        """A message with a contact, inbound unless said otherwise, as the write path takes it."""
        own = fields.pop("own", self.number)
        direction = fields.pop("direction", "inbound")
        ends = (contact, own) if direction == "inbound" else (own, contact)
        if isinstance(at, str):
            at = datetime.fromisoformat(at)
        given = {
            "id": fields.pop("id", None) or uuid.uuid4(),
            "direction": direction,
            "from_number": ends[0],
            "to_number": ends[1],
            "body": body,
            "media_urls": [],
            "created_at": at.astimezone(UTC),
            **fields,
        }
        return complete_message(given, organizations.list_phone_numbers(self.id))

    def receive(self, contact: str, at: datetime | str, body: str | None = "hello", **fields):
        """Store one such message and return its id."""
        message = self.message(contact, at, body, **fields)
        record_messages(self.id, [message])
        return message["id"]

    def record_consent(self, contact: str, opted_in: bool, at: str, phone_number_id=None) -> None:
        """Record a consent event."""
        event = {
            "phone_number_id": phone_number_id or self.phone_number_id,
            "phone_number": self.number_of(phone_number_id) if phone_number_id else self.number,
            "contact_number": contact,
            "opted_in": opted_in,
            "captured_at": datetime.fromisoformat(at),
        }
        record_consent(self.id, [event])


def new_organization(client, number: str = "+15551112222", **fields) -> Organization:
    """An organization with one number and a key with every scope."""
    id = organizations.create_organization("Test", fields.pop("retention_days", None))
    phone_number_id = fields.pop("phone_number_id", None)
    phone_number_id = organizations.create_phone_number(id, number, phone_number_id)
    key = api_keys.create_api_key(id, fields.pop("scopes", api_keys.SCOPES), "test")
    return Organization(client, id, number, phone_number_id, key)


@contextlib.contextmanager
def using_database(url: str) -> Iterator[None]:
    """Let this process work in another database, built like the tests' own, for a while."""
    with connect(url) as conn:
        migrations.migrate(conn)
    with pool.using(pool.Database(url)):
        yield


class Silent:
    """A listener of an import that says nothing."""

    def read(self):
        pass

    def rejected(self, line, reason):
        pass

    def recorded(self, rows, of_rows):
        pass


@contextlib.contextmanager
def using_connections(count: int) -> Iterator[None]:
    """Let this process use a pool of that many connections, as a command may."""
    with pool.using(pool.Database(DATABASE_URL, pool_size=count)):
        yield


@pytest.fixture(scope="session")
def app():
    """The application, over the test database."""
    return service.app


@pytest.fixture
def client(app):
    """A client without a key."""
    return app.test_client()


@pytest.fixture
def alice(client) -> Organization:
    """Alice's organization, empty."""
    return new_organization(client)


@pytest.fixture
def bob(client) -> Organization:
    """Bob's organization, empty, with a number that Alice has too."""
    return new_organization(client)


@pytest.fixture
def log_lines(capfd) -> Callable[[], list[str]]:
    """What the service logs during the test: call it for the lines so far."""
    lines = []

    def read() -> list[str]:
        lines.extend(capfd.readouterr().out.splitlines())
        return lines

    return read


@pytest.fixture(scope="session")
def demo_key(app) -> str:
    """A key to the demo inbox, which no test changes."""
    demo.load()
    return api_keys.create_api_key(demo.ORGANIZATION_ID, api_keys.SCOPES, "test")


@pytest.fixture(scope="session")
def demo_service(demo_key):
    """gunicorn over the demo inbox."""
    from tests.servers import running_service

    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service:
        yield service


@pytest.fixture(scope="session")
def chromium():
    """One Chromium for all tests of pages."""
    from tests.browser import running_browser

    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver: apt-get install chromium chromium-driver, or make test")
    with running_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium):
    """The same with a new tab, which has stored nothing and follows no other test's wishes."""
    chromium.open_tab()
    return chromium


def contact(number: int) -> str:
    """A contact's number, different for each argument."""
    return f"+1555{number:07d}"


def assert_error(response, status: int, code: str, **details) -> None:
    """The one shape of every error."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert list(response.json) == ["success", "error"]
    error = response.json["error"]
    assert response.json["success"] is False
    assert error["code"] == code
    assert error["request_id"] == response.headers["X-Request-Id"]
    assert error.get("details", {}) == details
    assert list(error) == ["code", "message", "request_id"] + (["details"] if details else [])
