"""What was answered 201 is there exactly once, whatever was killed meanwhile."""

import http.client
import threading
import time
import uuid

import pytest

from conversations.database import migrations
from conversations.database.connection import connect
from conversations.inbox import checks
from tests.conftest import contact, new_organization, using_database
from tests.servers import running_postgres, running_service, wait_until

THREADS = 4
CONTACTS = 12


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def service(postgres):
    with connect(postgres.url) as conn:
        migrations.migrate(conn)
    with running_service(postgres.url, WEB_CONCURRENCY=2) as service:
        yield service


@pytest.fixture
def alice(postgres, service):
    with using_database(postgres.url):
        return new_organization(None)


class Gateway:
    """Calls the hook from several threads, and again until it hears that a message is recorded."""

    def __init__(self, service, organization):
        self.answers = {}
        self.failures = 0
        self._service, self._organization = service, organization
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[n]) for n in range(THREADS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        sent = 0
        while not self._closing.is_set():
            sent += 1
            id = str(uuid.uuid4())
            self.answers[id] = self._deliver(
                {
                    "id": id,
                    "direction": "inbound",
                    "from": contact((number + sent) % CONTACTS),
                    "to": self._organization.number,
                    "body": f"message {sent} of thread {number}",
                }
            )

    def _deliver(self, message: dict) -> int:
        for _ in range(1000):
            try:
                status, _, _ = self._service.request(
                    "POST", "/v1/messages", self._organization.key, message
                )
                if status in (200, 201):
                    return status
                assert status == 503
            except (OSError, http.client.HTTPException):
                pass
            self.failures += 1
            time.sleep(0.05)
        raise AssertionError("gave up delivering")

    def wait_for_more(self, count: int = 100) -> None:
        """Return when so many more messages have been recorded."""
        goal = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= goal)


def stored_ids(service, organization) -> list[str]:
    """The ids of all messages, read through the API page by page."""
    ids, conversations = [], read(service, organization, "/v1/conversations")
    assert len(conversations) == CONTACTS
    for conversation in conversations:
        path = f"/v1/conversations/{conversation['id']}/messages"
        messages = read(service, organization, path)
        assert conversation["message_count"] == len(messages)
        assert conversation["last_message_at"] == messages[-1]["created_at"]
        ids += [message["id"] for message in messages]
    return ids


def read(service, organization, path: str) -> list[dict]:
    rows, cursor = [], ""
    while True:
        status, _, page = service.request("GET", f"{path}?limit=200{cursor}", organization.key)
        assert status == 200, page
        rows += page["data"]
        if page["meta"]["next_cursor"] is None:
            assert page["meta"]["total"] == len(rows)
            return rows
        cursor = f"&cursor={page['meta']['next_cursor']}"


def assert_everything_is_there_once(postgres, service, organization, gateway) -> None:
    assert gateway.failures > 0  # Else nothing was tried.
    ids = stored_ids(service, organization)
    assert sorted(ids) == sorted(gateway.answers)
    with using_database(postgres.url):
        assert list(checks.check(organization.id, repair=False)) == []


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_every_answered_message_outlives_a_killed_gunicorn(postgres, service, alice, times):
    with Gateway(service, alice) as gateway:
        for _ in range(times):
            gateway.wait_for_more()
            service.kill()
            service.start()
        gateway.wait_for_more()
    assert_everything_is_there_once(postgres, service, alice, gateway)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", ["killed", "stopped at once"])
def test_every_answered_message_outlives_a_postgresql_that_is(postgres, service, alice, how, times):
    with Gateway(service, alice) as gateway:
        for _ in range(times):
            gateway.wait_for_more()
            if how == "killed":
                postgres.kill()
            else:
                postgres.stop("immediate")
            postgres.start()
        gateway.wait_for_more()
    assert_everything_is_there_once(postgres, service, alice, gateway)


def test_the_same_hook_ten_times_at_once_is_one_message_in_all_processes(service, alice):
    message = alice.inbound(id=str(uuid.uuid4()))
    answers = []

    def call():
        answers.append(service.request("POST", "/v1/messages", alice.key, message))

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _, _ in answers) == [200] * 9 + [201]
    rows = [answer["data"] for _, _, answer in answers]
    assert rows == [rows[0]] * 10
    (conversation,) = read(service, alice, "/v1/conversations")
    assert conversation["message_count"] == 1
    (stored,) = read(service, alice, f"/v1/conversations/{conversation['id']}/messages")
    assert stored == rows[0]
