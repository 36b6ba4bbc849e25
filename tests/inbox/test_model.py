"""Random days in the life of an inbox, each answer compared with what plain Python says it is."""

import base64
import io
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import app as service
from conversations.files import importer, ndjson
from conversations.files.rows import Options
from conversations.inbox import checks, retention
from conversations.inbox.messages import get_messages
from tests.conftest import Silent, new_organization, using_connections
from tests.inbox.model import Model, text

OWN = ["+15551112222", "+15551113333"]
CONTACTS = ["+15554443333", "+15558889999", "54321"]
BODIES = [
    "hello",
    "Cancel my appointment please",
    "STOP",
    " sToP\n",
    "START",
    "[redacted]",
    "é" * 160,
    "é" * 161,
]
MEDIA = [[], ["https://example.com/1.jpg"]]
RETENTION_DAYS = 90
# Few of each, so that ids collide and instants tie.
INSTANTS = [
    datetime(2026, 1, day, hour, 0, second, microsecond, UTC)
    for day in (10, 11)
    for hour, second, microsecond in ((0, 0, 0), (23, 59, 0), (23, 59, 999_999))
]
RUNS = [datetime(2026, 4, day, 3, 11, 42, tzinfo=UTC) for day in (9, 10, 11)]
IDS = [uuid.UUID(int=n << 64 | 7 << 76) for n in range(12)]

numbers, contacts = st.sampled_from(OWN), st.sampled_from(CONTACTS)
instants = st.sampled_from(INSTANTS)
limits = st.integers(1, 4)
filters = st.fixed_dictionaries(
    {},
    optional={"number": numbers, "contact": contacts, "since": instants, "opted_in": st.booleans()},
)


@st.composite
def messages(draw, ids=st.sampled_from(IDS)) -> dict:  # noqa: B008
    """The body of a POST /v1/messages, with instants not yet as text."""
    own, contact = draw(numbers), draw(contacts)
    inbound = draw(st.booleans())
    message = {
        "id": draw(ids),
        "direction": "inbound" if inbound else "outbound",
        "from": contact if inbound else own,
        "to": own if inbound else contact,
        "created_at": draw(instants),
    }
    media = draw(st.sampled_from(MEDIA))
    body = None if media and draw(st.booleans()) else draw(st.sampled_from(BODIES))
    if body is not None or draw(st.booleans()):
        message["body"] = body
    if media or draw(st.booleans()):
        message["media_urls"] = media
    if draw(st.booleans()):
        message["channel"] = draw(st.sampled_from(["sms", "mms"]))
    return message


@st.composite
def events(draw) -> tuple:
    """A consent event: number, contact, opted in or out, when."""
    return draw(numbers), draw(contacts), draw(st.booleans()), draw(instants)


class Inbox(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.alice = new_organization(service.app.test_client(), OWN[0])
        ids = self.alice.phone_number_id, self.alice.new_number(OWN[1])
        self.number_ids = dict(zip(OWN, ids, strict=True))
        self.model = Model()
        self.conversation_ids = {}
        self.last_seen = None, []

    # What changes the inbox

    @rule(message=messages(ids=st.sampled_from([*IDS, None])))
    def post(self, message):
        body = {name: message[name] for name in message if (name, message[name]) != ("id", None)}
        response = self.alice.post("/v1/messages", orjson.loads(orjson.dumps(body)))
        if message["id"] is None:
            message = message | {"id": uuid.UUID(response.json["data"]["id"])}
        outcome = self.model.add(message)
        status = {"created": 201, "known": 200, "conflict": 409}[outcome]
        assert response.status_code == status, response.text
        if status != 409:
            assert response.json["data"] == self.shown(self.model.messages[message["id"]])

    @rule(batch=st.lists(messages(), min_size=1, max_size=6))
    def import_messages(self, batch):
        outcomes = [self.model.add(message) for message in batch]
        tally = self.load(ndjson.read_messages, batch, importer.MessageTarget)
        names = {"created": "imported", "known": "already there", "conflict": "refused"}
        assert tally == Counter(names[outcome] for outcome in outcomes)

    @rule(event=events())
    def consent(self, event):
        response = self.alice.post("/v1/consent", orjson.loads(orjson.dumps(self.event(event))))
        self.model.events.append(event)
        pair = event[:2]
        assert response.status_code == 200, response.text
        row = response.json["data"]
        assert row.pop("updated_at")
        assert row == {
            "phone_number_id": str(self.number_ids[pair[0]]),
            "phone_number": pair[0],
            "contact_number": pair[1],
            "opted_in": self.model.is_opted_in(pair),
            "opted_in_at": text(self.model.latest(pair, True)),
            "opted_out_at": text(self.model.latest(pair, False)),
        }

    @rule(batch=st.lists(events(), min_size=1, max_size=6))
    def import_consent(self, batch):
        news = 0
        for event in batch:
            latest = self.model.latest(event[:2], event[2])
            news += latest is None or event[3] > latest
            self.model.events.append(event)
        tally = self.load(ndjson.read_consent, map(self.event, batch), importer.ConsentTarget)
        assert tally == Counter({"imported": news, "already there": len(batch) - news})

    @rule(now=st.sampled_from(RUNS))
    def redact(self, now):
        def is_expired(message):
            return message["created_at"].date() + timedelta(days=RETENTION_DAYS) <= now.date()

        before = retention.readable_from(RETENTION_DAYS, now)
        count = retention.redact_expired(self.alice.id, before, at=now)
        assert count == self.model.redact(now, is_expired)

    @rule(contact=contacts)
    def erase(self, contact):
        count = retention.erase_contact(self.alice.id, contact)
        at = None
        if count:
            # One erasure, one instant; which one is the clock's to say.
            stored = get_messages(self.alice.id, self.model.messages)
            at = max(m["redacted_at"] for m in stored.values() if m["redacted_at"])
        assert count == self.model.redact(at, lambda message: message["pair"][1] == contact)

    # What looks at it

    @invariant()
    def the_list_is_right_and_unchanged_when_its_tag_is(self):
        tag, seen = self.last_seen
        headers = {"If-None-Match": tag} if tag else {}
        response = self.alice.get("/v1/conversations", {"limit": "200"}, **headers)
        if response.status_code != 304:
            seen = response.json["data"]
            self.last_seen = response.headers["ETag"], seen
        for row in seen:
            pair = row["phone_number"], row["contact_number"]
            assert self.conversation_ids.setdefault(pair, row["id"]) == row["id"]
        assert seen == self.rows({})

    @rule(given=filters, limit=limits)
    def walk(self, given, limit):
        spelt = {
            "number": lambda number: ("phone_number_id", str(self.number_ids[number])),
            "contact": lambda contact: ("contact_number", contact),
            "since": lambda instant: ("since", text(instant)),
            "opted_in": lambda opted_in: ("opted_in", str(opted_in).lower()),
        }
        query = dict(spelt[name](value) for name, value in given.items())
        assert self.read("/v1/conversations", query, limit) == self.rows(given)

    @rule(pair=st.tuples(numbers, contacts), limit=limits)
    def read_messages(self, pair, limit):
        if pair not in self.conversation_ids:
            return
        path = f"/v1/conversations/{self.conversation_ids[pair]}/messages"
        expected = [self.shown(message) for message in self.model.conversation(pair)]
        assert self.read(path, {}, limit) == expected

    def teardown(self):
        assert list(checks.check(self.alice.id, repair=False)) == []

    # Between the model and the API

    def event(self, event: tuple) -> dict:
        """Give the body of a POST /v1/consent."""
        number, contact, opted_in, at = event
        return {
            "phone_number_id": self.number_ids[number],
            "contact_number": contact,
            "opted_in": opted_in,
            "captured_at": at,
        }

    def load(self, read, rows, into) -> Counter:
        """Import rows as an NDJSON file and return the tally."""
        file = io.BytesIO(b"\n".join(map(orjson.dumps, rows)))
        run = importer.Import(into(self.alice.id), io.BytesIO(), Silent())
        with using_connections(importer.CONNECTIONS):
            run.run(read(file, Options(self.number_ids, uuid.UUID(int=0))))
        return run.tally

    def shown(self, message: dict) -> dict:
        """Give a message of the model as the API shows it."""
        inbound = message["direction"] == "inbound"
        number, contact = message["pair"]
        return {
            "id": str(message["id"]),
            "direction": message["direction"],
            "phone_number_id": str(self.number_ids[number]),
            "from_number": contact if inbound else number,
            "to_number": number if inbound else contact,
            "body": message["body"],
            "media_urls": message["media_urls"],
            "channel": message["channel"],
            "segment_count": None,
            "created_at": text(message["created_at"]),
            "redacted_at": text(message["redacted_at"]),
        }

    def rows(self, given: dict) -> list[dict]:
        """Give what the list must hold under filters, in order."""

        def is_listed(pair):
            return (
                given.get("number", pair[0]) == pair[0]
                and given.get("contact", pair[1]) == pair[1]
                and given.get("opted_in", self.model.is_opted_in(pair))
                == self.model.is_opted_in(pair)
                and given.get("since", INSTANTS[0]) <= self.model.last(pair)["created_at"]
            )

        def position(pair):
            id = base64.urlsafe_b64decode(self.conversation_ids[pair] + "==")
            return self.model.last(pair)["created_at"], id

        return [
            {
                "id": self.conversation_ids[pair],
                "phone_number_id": str(self.number_ids[pair[0]]),
                **self.model.row(pair),
            }
            for pair in sorted(filter(is_listed, self.model.pairs()), key=position, reverse=True)
        ]

    def read(self, path: str, query: dict, limit: int) -> list[dict]:
        """Follow next_cursor to the end; every page must tell the same total."""
        rows, query = [], query | {"limit": str(limit)}
        while True:
            response = self.alice.get(path, query)
            assert response.status_code == 200, response.text
            page, meta = response.json["data"], response.json["meta"]
            rows += page
            if meta["next_cursor"] is None:
                assert meta["total"] == len(rows)
                return rows
            assert len(page) == limit
            assert meta["total"] > len(rows)
            query["cursor"] = meta["next_cursor"]


def play(**how) -> None:
    health = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    profile = settings(deadline=None, database=None, suppress_health_check=health, **how)
    run_state_machine_as_test(Inbox, settings=profile)


def test_the_service_and_the_model_agree():
    # No shrinking, which takes minutes: the soak test finds the shortest story.
    play(max_examples=15, stateful_step_count=20, derandomize=True, phases=[Phase.generate])


@pytest.mark.soak
def test_the_service_and_the_model_agree_on_long_lives():
    play(max_examples=300, stateful_step_count=60)
