"""Every request, one at a time, in a small inbox and in a large one.

The requests go to both in turn, so that what else the machine does hits them alike.
"""

import contextlib
import http.client
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from urllib.parse import quote, urlencode, urlsplit

import orjson

from bench import database, growth, reading, servers
from bench.database import ORGANIZATION_ID, Inbox
from bench.load import Requests
from conversations.database import pool
from conversations.database.connection import connect
from conversations.inbox import retention

CALLS = 100
WARM_UP = 20
# Of contacts with short conversations, so that an erasure has as much to do in every inbox.
SAMPLES = 2000
LONGEST = 10
REDACTED_MESSAGES = 20

CONTACTS = f"""
    SELECT contact_number, (array_agg(phone_number ORDER BY id))[1] AS phone_number,
        (array_agg(phone_number_id ORDER BY id))[1] AS phone_number_id
    FROM conversations
    WHERE organization_id = %(organization_id)s
    GROUP BY contact_number
    HAVING min(message_count) > 0 AND max(message_count) <= {LONGEST}
    ORDER BY md5(contact_number)
    LIMIT {SAMPLES}
"""
INSTANTS = f"""
    SELECT created_at
    FROM messages
    WHERE organization_id = %(organization_id)s AND (body IS NOT NULL OR media_urls <> '{{}}')
    ORDER BY created_at
    LIMIT {SAMPLES * REDACTED_MESSAGES}
"""


@dataclass
class Target:
    """A service over an inbox, and a pool for what has no route.

    `instants` are between messages that can be redacted.
    """

    connection: http.client.HTTPConnection
    database: pool.Database
    key: str
    reads: dict[str, Requests]
    contacts: list[dict]
    instants: list[datetime]

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> None:
        """POST and read the whole response. Raises RuntimeError unless it is a success."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": content_type}
        self.send("POST", path, body, headers)

    def send(self, method: str, path: str, body: bytes | None, headers: dict) -> None:
        """Send a request and read the whole response. Raises RuntimeError if it is refused."""
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        if response.status >= 400:
            raise RuntimeError(f"{path}: {response.status} {response.read().decode()}")
        response.read()


def _post(target: Target, number: int, **fields) -> None:
    contact = target.contacts[number % SAMPLES]
    message = {
        "direction": "inbound",
        "from": contact["contact_number"],
        "to": contact["phone_number"],
        "body": f"Reminder {number}: your check-up is tomorrow at 3:30 pm",
    }
    target.post("/v1/messages", orjson.dumps(message | fields))


def _post_to_new_contact(target: Target, number: int) -> None:
    _post(target, number, **{"from": f"+1777{number:07d}"})


def _post_again(target: Target, number: int) -> None:
    # The warm-up records each of these.
    number %= WARM_UP
    _post(target, number, id=str(uuid.uuid5(ORGANIZATION_ID, str(number))))


def _post_keyword(target: Target, number: int) -> None:
    _post(target, number, body=("START", "STOP")[number % 2])


def _record_consent(target: Target, number: int) -> None:
    contact = target.contacts[number % SAMPLES]
    event = {
        "phone_number_id": contact["phone_number_id"],
        "contact_number": contact["contact_number"],
        "opted_in": number % 2 == 0,
    }
    target.post("/v1/consent", orjson.dumps(event))


def _call_hook(target: Target, number: int) -> None:
    contact = target.contacts[number % SAMPLES]
    form = {
        "MessageSid": f"SM{uuid.uuid4().hex}",
        "From": contact["contact_number"],
        "To": contact["phone_number"],
        "Body": f"Reminder {number}: your check-up is tomorrow at 3:30 pm",
    }
    form_type = "application/x-www-form-urlencoded"
    target.post("/v1/hooks/twilio", urlencode(form).encode(), form_type)


def _erase(target: Target, number: int) -> None:
    contact = target.contacts[number % SAMPLES]["contact_number"]
    target.post(f"/v1/contacts/{quote(contact)}/erase", b"")


def _redact(target: Target, number: int) -> None:
    """What `flask redact-messages` does, in this process: it has no route."""
    pool.use(target.database)
    retention.redact_expired(ORGANIZATION_ID, target.instants[number])


WRITES: dict[str, Callable[[Target, int], None]] = {
    "a message": _post,
    "a message of a new contact": _post_to_new_contact,
    "the same message again": _post_again,
    "a keyword": _post_keyword,
    "consent": _record_consent,
    "a hook": _call_hook,
    "erasure of a contact": _erase,
    f"redaction of {REDACTED_MESSAGES} messages": _redact,
}


def _read(name: str) -> Callable[[Target, int], None]:
    def get(target: Target, number: int) -> None:
        what = target.reads[name]
        target.send("GET", what.paths[number % len(what.paths)], None, what.headers)

    return get


def measure(
    server_url: str, inboxes: list[Inbox], rounds: int, axis: str | None = None
) -> dict[str, list[float]]:
    """Return for each request its milliseconds in each inbox: the median of the quietest round.

    The requests go to copies of the inboxes, so that these stay as they were generated. The last
    copy gets what an axis of growth.AXES has more of.
    """
    with contextlib.ExitStack() as stack:
        copies = [
            stack.enter_context(database.copied(server_url, inbox, f"copy_{number}"))
            for number, inbox in enumerate(inboxes)
        ]
        if axis:
            growth.grow(copies[-1].url, axis)
        targets = [stack.enter_context(_target(copy, number)) for number, copy in enumerate(copies)]
        calls = {name: _read(name) for name in targets[0].reads} | WRITES
        return {name: _time(call, targets, rounds) for name, call in calls.items()}


@contextlib.contextmanager
def _target(inbox: Inbox, number: int) -> Iterator[Target]:
    with connect(inbox.url) as conn:
        contacts = conn.execute(CONTACTS, {"organization_id": ORGANIZATION_ID}).fetchall()
        rows = conn.execute(INSTANTS, {"organization_id": ORGANIZATION_ID}).fetchall()
    instants = [row["created_at"] for row in rows[REDACTED_MESSAGES::REDACTED_MESSAGES]]
    database.use(inbox.url)
    with servers.product(inbox.url, number) as server:
        connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=30)
        with contextlib.closing(connection):
            reads = {row.name: row.requests for row in reading.rows(server, inbox)}
            with contextlib.closing(pool.Database(inbox.url, for_requests=True)) as own:
                yield Target(connection, own, inbox.key, reads, contacts, instants)


def _time(call: Callable[[Target, int], None], targets: list[Target], rounds: int) -> list[float]:
    numbers = itertools.count()
    for number in itertools.islice(numbers, WARM_UP):
        for target in targets:
            call(target, number)
    medians = []
    for _ in range(rounds):
        spent: list[list[float]] = [[] for _ in targets]
        for number in itertools.islice(numbers, CALLS):
            for target, times in zip(targets, spent, strict=True):
                started = time.perf_counter()
                call(target, number)
                times.append(time.perf_counter() - started)
        medians.append([median(times) * 1e3 for times in spent])
    return [min(column) for column in zip(*medians, strict=True)]
