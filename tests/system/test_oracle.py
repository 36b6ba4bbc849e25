"""Everything at once in two inboxes with the same ids, against an oracle of what must be left.

Clients post, repeat, contradict, record consent, erase, and call a hook, while commands import,
redact, damage and repair. Whatever the order was in which all this happened, the oracle knows what
each message must be, which consent is on record, and whose texts must be gone.
"""

import contextlib
import random
import re
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import psycopg
import pytest

from conversations.database import pool
from conversations.inbox.message_ids import carrier_message_id
from tests.command_line import flask_process
from tests.conftest import SERVER_URL, Organization, new_database, new_organization, using_database
from tests.inbox.model import Model, text
from tests.servers import running_service

NUMBERS = ["+15551112222", "+15551113333"]
CONTACTS = [f"+1555444{n:04d}" for n in range(12)]
RETENTION_DAYS = 90
NOW = datetime.now(UTC).replace(microsecond=0)
MESSAGES, HOOKS = 600, 200
CLIENTS = 6
SECONDS = 60
IMPORTED_ROWS = 120


def id_of(n: int) -> uuid.UUID:
    return uuid.UUID(int=n + 1)


def message(n: int, variant: int = 0) -> dict:
    """The n-th message, the same each time; a variant of it has another text."""
    chance = random.Random(n)
    number, contact = chance.choice(NUMBERS), chance.choice(CONTACTS)
    inbound = chance.random() < 0.7
    ends = (contact, number) if inbound else (number, contact)
    # Some are past retention, none is near its end.
    age = timedelta(days=chance.choice([1, 2, 3, 200]), seconds=chance.randrange(80_000))
    given = {
        "id": id_of(n),
        "direction": "inbound" if inbound else "outbound",
        "from": ends[0],
        "to": ends[1],
        "created_at": NOW - age,
    }
    if chance.random() < 0.1:
        given["media_urls"] = [f"https://example.com/{n}.jpg"]
    else:
        given["body"] = chance.choice(["STOP", "START", "x" * 300, f"message {n}", f"text {n}"])
    return given | ({"body": f"variant {variant} of {n}"} if variant else {})


def hooked(n: int) -> dict:
    """What the n-th report of the carrier says."""
    chance = random.Random(-n - 1)
    body = chance.choice(["STOP", "START", f"report {n}"])
    return {"From": chance.choice(CONTACTS), "To": chance.choice(NUMBERS), "Body": body} | {
        "MessageSid": f"SM{n:032x}"
    }


@dataclass
class Span:
    """From when to when something ran, by one clock."""

    started: float = field(default_factory=time.monotonic)
    ended: float = float("inf")

    def end(self) -> "Span":
        self.ended = time.monotonic()
        return self


@dataclass
class World:
    """An inbox, and all that was done to it."""

    organization: Organization
    number_ids: dict[str, uuid.UUID]
    created: dict[uuid.UUID, tuple[dict, Span]] = field(default_factory=dict)
    posted: list[tuple[dict, int]] = field(default_factory=list)
    reported: dict[int, Span] = field(default_factory=dict)
    imported: dict[int, Span] = field(default_factory=dict)
    refused: list[dict] = field(default_factory=list)
    consent: list[tuple] = field(default_factory=list)
    erased: list[tuple[str, Span]] = field(default_factory=list)
    created_count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def event(self, chance: random.Random) -> tuple:
        at = NOW - timedelta(seconds=chance.randrange(1000))
        return chance.choice(NUMBERS), chance.choice(CONTACTS), chance.random() < 0.5, at


class Everything:
    """What goes on: clients over HTTP, and commands."""

    def __init__(self, url: str, origin: str, worlds: list[World], seed: int):
        self.url, self.origin, self.worlds, self.seed = url, origin, worlds, seed
        self.redacted: list[Span] = []
        self.statuses: Counter = Counter()
        self._until = time.monotonic() + SECONDS

    def run(self) -> None:
        loops = [self.import_files, self.redact, self.damage_and_repair]
        with ThreadPoolExecutor(CLIENTS + len(loops)) as threads:
            running = [threads.submit(self.client, self.seed + n) for n in range(CLIENTS)]
            running += [threads.submit(self._repeat, loop) for loop in loops]
            for each in running:
                each.result()

    def _repeat(self, loop) -> None:
        chance = random.Random(f"{self.seed} {loop.__name__}")
        while time.monotonic() < self._until:
            loop(chance)

    def client(self, seed: int) -> None:
        chance, kinds = random.Random(seed), [self.post, self.contradict, self.agree]
        kinds += [self.report, self.look, self.erase]
        with httpx.Client(base_url=self.origin, timeout=30) as http:
            while time.monotonic() < self._until:
                world = chance.choice(self.worlds)
                (kind,) = chance.choices(kinds, [45, 15, 15, 12, 10, 3])
                kind(chance, http, world)

    def ask(
        self, http: httpx.Client, world: World, method: str, path: str, **how
    ) -> httpx.Response:
        """Send a request again until the answer is not 503: such a request has changed nothing."""
        how = {"headers": world.organization.auth} | how
        while True:
            response = http.request(method, path, **how)
            self.statuses[response.status_code] += 1
            if response.status_code != 503:
                return response

    def _record(self, http: httpx.Client, world: World, given: dict) -> None:
        span, headers = Span(), world.organization.auth | {"Content-Type": "application/json"}
        response = self.ask(
            http, world, "POST", "/v1/messages", content=orjson.dumps(given), headers=headers
        )
        span.end()
        assert response.status_code in (200, 201, 409), response.text
        with world.lock:
            world.posted.append((given, response.status_code))
            if response.status_code == 201:
                world.created_count += 1
                assert given["id"] not in world.created, "a message was created twice"
                world.created[given["id"]] = given, span

    def post(self, chance, http, world) -> None:
        self._record(http, world, message(chance.randrange(MESSAGES)))

    def contradict(self, chance, http, world) -> None:
        self._record(http, world, message(chance.randrange(MESSAGES), chance.randrange(1, 4)))

    def agree(self, chance, http, world) -> None:
        number, contact, opted_in, at = event = world.event(chance)
        body = {"contact_number": contact, "opted_in": opted_in, "captured_at": text(at)}
        body["phone_number_id"] = str(world.number_ids[number])
        assert self.ask(http, world, "POST", "/v1/consent", json=body).status_code == 200
        world.consent.append(event)

    def report(self, chance, http, world) -> None:
        n = chance.randrange(HOOKS)
        with world.lock:
            span = world.reported.setdefault(n, Span())
        how = {"data": hooked(n), "auth": ("hook", world.organization.key), "headers": {}}
        response = self.ask(http, world, "POST", "/v1/hooks/twilio", **how)
        assert (response.status_code, "<Response" in response.text) == (200, True), response.text
        span.end()

    def erase(self, chance, http, world) -> None:
        contact, span = chance.choice(CONTACTS), Span()
        path = f"/v1/contacts/{contact.replace('+', '%2B')}/erase"
        assert self.ask(http, world, "POST", path).status_code == 200
        world.erased.append((contact, span.end()))

    def look(self, chance, http, world) -> None:
        response = self.ask(http, world, "GET", "/v1/conversations", params={"limit": 5})
        ids = [row["phone_number_id"] for row in response.json()["data"]]
        assert set(ids) <= set(map(str, world.number_ids.values()))

    # Commands

    def _flask(self, *arguments, input: bytes | None = None) -> tuple[int, str, str]:
        done = flask_process(*arguments, DATABASE_URL=self.url, input=input)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def import_files(self, chance) -> None:
        world = chance.choice(self.worlds)
        numbers = [chance.randrange(MESSAGES) for _ in range(IMPORTED_ROWS)]
        lines, span = [orjson.dumps(message(n)) + b"\n" for n in numbers], Span()
        id = world.organization.id
        code, tally, complaints = self._flask("import-messages", id, "-", input=b"".join(lines))
        span.end()
        imported, there, skipped, refused = map(int, re.findall("[0-9]+", tally))
        assert (skipped, imported + there + refused) == (0, IMPORTED_ROWS), complaints
        assert code == (refused > 0)
        with world.lock:
            world.created_count += imported
            for n in numbers:
                world.imported.setdefault(n, span)
            for line in re.findall("line ([0-9]+): same id, different content", complaints):
                world.refused.append(message(numbers[int(line) - 1]))
        events = [world.event(chance) for _ in range(IMPORTED_ROWS)]
        names = ("phone_number_id", "contact_number", "opted_in", "captured_at")
        rows = [
            orjson.dumps(dict(zip(names, (world.number_ids[number], *rest), strict=True)))
            for number, *rest in events
        ]
        code, _, complaints = self._flask("import-consent", id, "-", input=b"\n".join(rows))
        assert code == 0, complaints
        world.consent.extend(events)

    def redact(self, chance) -> None:
        span = Span()
        code, _, complaints = self._flask("redact-messages")
        assert code == 0, complaints
        self.redacted.append(span.end())
        time.sleep(chance.random() * 5)

    def damage_and_repair(self, chance) -> None:
        damage = (
            "UPDATE conversations SET message_count = message_count + 7"
            " WHERE message_count > 0 AND contact_number = %s"
        )
        with (
            psycopg.connect(self.url, autocommit=True) as conn,
            contextlib.suppress(psycopg.errors.DeadlockDetected),
        ):
            conn.execute(damage, [chance.choice(CONTACTS)])
        code, _, complaints = self._flask("check-conversations", "--repair")
        assert code == 0, complaints


class Oracle:
    """What must be left in an inbox."""

    def __init__(self, world: World, redacted: list[Span], stored: dict[uuid.UUID, dict]):
        self.world, self.redacted, self.stored = world, redacted, stored
        self.model = Model()

    def judge(self) -> Model:
        """Return what the inbox must say. Fails where that cannot be."""
        world = self.world
        attempted = {given["id"] for given, _ in world.posted} | {id_of(n) for n in world.imported}
        reports = {carrier_message_id(hooked(n)["MessageSid"]): n for n in world.reported}
        assert set(self.stored) == attempted | set(reports), "lost, or made up"
        assert world.created_count == len(attempted), "created more or less than once"
        for id in attempted:
            first, span = world.created.get(id) or self._imported(id)
            self._add(first, span)
        for id, n in reports.items():
            report = hooked(n)
            ends = {"from": report["From"], "to": report["To"], "body": report["Body"]}
            at = datetime.fromisoformat(self.stored[id]["created_at"])
            first = {"id": id, "direction": "inbound", "created_at": at, **ends}
            self._add(first, Span(world.reported[n].started, world.reported[n].ended))
        for given, status in world.posted:
            self._check(given, status)
        for given in world.refused:
            self._check(given, 409)
        self.model.events += world.consent
        return self.model

    def _imported(self, id: uuid.UUID) -> tuple[dict, Span]:
        # By which import is not known, so it may have been at any time from the first one on.
        n = id.int - 1
        return message(n), Span(self.world.imported[n].started)

    def _add(self, first: dict, span: Span) -> None:
        assert self.model.add(first) == "created"
        mine = self.model.messages[first["id"]]
        erasures = [gone for contact, gone in self.world.erased if contact == mine["pair"][1]]
        if mine["created_at"] < NOW - timedelta(days=RETENTION_DAYS + 1):
            erasures += self.redacted
        redacted_at = self.stored[first["id"]]["redacted_at"]
        if any(gone.started > span.ended for gone in erasures):
            assert redacted_at, "an erased text is still there"
        if redacted_at:
            assert any(gone.ended > span.started for gone in erasures), "nobody erased this"
            at = datetime.fromisoformat(redacted_at)
            mine.update(body=None, media_urls=[], redacted_at=at)

    def _check(self, given: dict, status: int) -> None:
        """Compare what an attempt was told with what is stored under its id."""
        first, _ = self.world.created.get(given["id"]) or self._imported(given["id"])
        is_same = given == first
        if status == 409:
            assert not is_same, "a repeated message was refused"
        elif not is_same:
            # What is removed cannot differ.
            assert self.stored[given["id"]]["redacted_at"], "another content was taken for the same"


def walk(http: httpx.Client, world: World, path: str) -> list[dict]:
    rows, query = [], {"limit": "50"}
    while True:
        response = http.get(path, params=query, headers=world.organization.auth).json()
        rows += response["data"]
        if response["meta"]["next_cursor"] is None:
            assert response["meta"]["total"] == len(rows)
            return rows
        query["cursor"] = response["meta"]["next_cursor"]


def assert_inbox_is_as_the_oracle_says(
    http: httpx.Client, world: World, redacted: list[Span]
) -> None:
    rows = walk(http, world, "/v1/conversations")
    listed = {
        row["id"]: walk(http, world, f"/v1/conversations/{row['id']}/messages") for row in rows
    }
    stored = {uuid.UUID(each["id"]): each for messages in listed.values() for each in messages}
    model = Oracle(world, redacted, stored).judge()
    places = [(datetime.fromisoformat(row["last_message_at"]), row["id"]) for row in rows]
    assert [at for at, _ in places] == sorted((at for at, _ in places), reverse=True)
    assert {row["phone_number"]: uuid.UUID(row["phone_number_id"]) for row in rows} == (
        world.number_ids
    )
    for row in rows:
        pair = row["phone_number"], row["contact_number"]
        id = row.pop("id")
        del row["phone_number_id"]
        assert row == model.row(pair)
        expected = [(str(mine["id"]), mine["body"]) for mine in model.conversation(pair)]
        assert [(each["id"], each["body"]) for each in listed[id]] == expected
    assert len(rows) == len(model.pairs())
    records = {
        (row["phone_number"], row["contact_number"]): (row["opted_in"], row["opted_in_at"])
        for row in walk(http, world, "/v1/consent")
    }
    assert records == {
        pair: (model.is_opted_in(pair), text(model.latest(pair, True)))
        for pair in {event[:2] for event in model.events}
    }


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_at_once_leaves_what_the_oracle_says(seed):
    url = new_database(SERVER_URL)
    with using_database(url):
        worlds = []
        for _ in range(2):
            alice = new_organization(None, NUMBERS[0], retention_days=RETENTION_DAYS)
            ids = alice.phone_number_id, alice.new_number(NUMBERS[1])
            worlds.append(World(alice, dict(zip(NUMBERS, ids, strict=True))))
        with pool.connection() as conn:
            # Writes must not depend on whether somebody replicates the tables.
            conn.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with running_service(url, WEB_CONCURRENCY=2) as service:
        everything = Everything(url, service.url, worlds, seed)
        everything.run()
        with httpx.Client(base_url=service.url, timeout=30) as http:
            for world in worlds:
                assert_inbox_is_as_the_oracle_says(http, world, everything.redacted)
    print(everything.statuses)
    assert set(everything.statuses) <= {200, 201, 409, 503}, everything.statuses
    assert everything.statuses[201] > 100
    checked = flask_process("check-conversations", DATABASE_URL=url)
    assert (checked.returncode, checked.stdout) == (0, b"")
