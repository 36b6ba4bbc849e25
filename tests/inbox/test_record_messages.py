"""Whatever is written, by however many at once: every summary is what the messages say."""

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations.database import pool
from conversations.inbox import checks, organizations, retention
from conversations.inbox.consent import record_consent
from conversations.inbox.message_ids import name_based_id
from conversations.inbox.messages import Outcome, complete_message, record_messages
from tests.conftest import DATABASE_URL, contact, new_organization

WRITERS = 3
OWN = ["+15551112222", "+15551113333"]
CONTACTS = [contact(number) for number in range(3)]
BODIES = ["hello", "STOP", "START", "x" * 161, None]
NOON = datetime(2026, 4, 28, 12, tzinfo=UTC)
INSTANTS = [NOON + timedelta(microseconds=n) for n in range(3)]
SOME_DAY = NOON + timedelta(days=30)

# Few ids, instants and contacts, so that messages meet: again, late, at the same instant.
messages = st.fixed_dictionaries(
    {
        "id": st.sampled_from([uuid.UUID(int=n) for n in range(10)]),
        "own": st.sampled_from(OWN),
        "contact": st.sampled_from(CONTACTS),
        "direction": st.sampled_from(["inbound", "outbound"]),
        "body": st.sampled_from(BODIES),
        "at": st.sampled_from(INSTANTS),
    }
)
events = st.fixed_dictionaries(
    {
        "own": st.sampled_from(OWN),
        "contact_number": st.sampled_from(CONTACTS),
        "opted_in": st.booleans(),
        "captured_at": st.sampled_from(INSTANTS),
    }
)
writes = st.one_of(
    st.tuples(st.just("store"), st.lists(messages, min_size=1, max_size=6)),
    st.tuples(st.just("store"), st.lists(messages, min_size=1, max_size=6)),
    st.tuples(st.just("consent"), st.lists(events, min_size=1, max_size=4)),
    st.tuples(st.just("run"), st.sampled_from(INSTANTS)),
    st.tuples(st.just("erase"), st.sampled_from(CONTACTS)),
)
scripts = st.lists(st.lists(writes, max_size=6), min_size=WRITERS, max_size=WRITERS)


@pytest.fixture(scope="module")
def connections(app):
    """One connection for each writer, none of them in a hurry: a deadlock is what may end them."""
    with pool.using(pool.Database(DATABASE_URL, pool_size=WRITERS + 1)):
        yield


def new_inbox():
    organization = new_organization(None, OWN[0])
    organization.new_number(OWN[1])
    return organization, organizations.list_phone_numbers(organization.id)


def message(numbers: dict, *, own: str, contact: str, at: datetime, **fields) -> dict:
    inbound = fields["direction"] == "inbound"
    ends = {"from_number": contact if inbound else own, "to_number": own if inbound else contact}
    media = [] if fields["body"] else ["https://example.com/1.jpg"]
    given = {**fields, **ends, "media_urls": media, "created_at": at}
    return complete_message(given, numbers)


def write(organization, numbers: dict, kind: str, what) -> list:
    """Do one write; return the ids of the messages that were new."""
    if kind == "store":
        batch = [message(numbers, **each) for each in what]
        verdicts = record_messages(organization.id, batch)
        paired = zip(batch, verdicts, strict=True)
        return [each["id"] for each, verdict in paired if verdict is Outcome.CREATED]
    if kind == "consent":
        named = [
            {"phone_number_id": numbers[event["own"]], "phone_number": event["own"]}
            | {name: value for name, value in event.items() if name != "own"}
            for event in what
        ]
        record_consent(organization.id, named)
    elif kind == "run":
        retention.redact_expired(organization.id, what, at=SOME_DAY)
    else:
        retention.erase_contact(organization.id, what)
    return []


def at_once(*tasks) -> list:
    """Run each task in a thread of its own, all starting together; return what they return."""
    start = Barrier(len(tasks))

    def run(task):
        start.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as threads:
        return list(threads.map(run, tasks))


def assert_consistent(organization) -> None:
    assert checks.differing_summaries(organization.id) == []
    assert checks.differing_counts(organization.id) == []


def stored_count(organization) -> int:
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM messages WHERE organization_id = %(id)s) AS messages,"
            " (SELECT sum(message_count) FROM conversations WHERE organization_id = %(id)s) AS sum",
            {"id": organization.id},
        ).fetchone()
    assert row["messages"] == (row["sum"] or 0)
    return row["messages"]


def look_after(steps: list) -> list[tuple]:
    """What is on record of each pair of numbers after some writes in a new inbox."""
    organization, numbers = new_inbox()
    for step in steps:
        write(organization, numbers, *step)
    with pool.connection() as conn:
        rows = conn.execute(
            "SELECT number, contact_number, last_message_at, last_message_id, message_count,"
            " last_message_direction, last_message_preview, opted_in, opted_in_at, opted_out_at"
            " FROM conversations JOIN phone_numbers USING (organization_id)"
            " WHERE organization_id = %s AND phone_number_id = phone_numbers.id ORDER BY 1, 2",
            [organization.id],
        ).fetchall()
    return [tuple(row.values()) for row in rows]


def interleave(scripts: list) -> None:
    organization, numbers = new_inbox()

    def follow(script):
        return [id for step in script for id in write(organization, numbers, *step)]

    created = at_once(*(lambda script=script: follow(script) for script in scripts))
    ids = Counter(id for each in created for id in each)
    assert set(ids.values()) <= {1}
    assert stored_count(organization) == len(ids)
    assert_consistent(organization)


QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=20, **QUICK)
@given(scripts=scripts)
def test_any_interleaving_of_writers_leaves_every_summary_right(connections, scripts):
    interleave(scripts)


@pytest.mark.soak
@settings(max_examples=2000, **QUICK)
@given(scripts=scripts)
def test_long_runs_of_interleaved_writers_leave_every_summary_right(connections, scripts):
    interleave(scripts)


@settings(max_examples=20, **QUICK)
@given(data=st.data(), script=st.lists(writes.filter(lambda w: w[0] in ("store", "consent"))))
def test_the_order_of_writes_leaves_no_trace_in_the_list(connections, data, script):
    steps = [(kind, [one]) for kind, batch in script for one in batch]
    # One content for each id: which of two would be stored does depend on the order.
    seen: set = set()
    steps = [
        step
        for step in steps
        if step[0] == "consent" or not (step[1][0]["id"] in seen or seen.add(step[1][0]["id"]))
    ]
    assert look_after(steps) == look_after(data.draw(st.permutations(steps)))


def test_the_same_rows_in_any_order_from_many_at_once_are_stored_once(connections):
    organization, numbers = new_inbox()
    rows = [
        {
            "id": uuid.uuid4(),
            "own": OWN[n % 2],
            "contact": contact(n % 40),
            "direction": "inbound",
            "body": ("STOP", "START", "hello")[n % 3],
            "at": NOON + timedelta(seconds=n % 100),
        }
        for n in range(600)
    ]

    def store(seed: int) -> Counter:
        shuffled = random.Random(seed).sample(rows, len(rows))
        verdicts = Counter()
        for start in range(0, len(rows), 60):
            batch = [message(numbers, **row) for row in shuffled[start : start + 60]]
            verdicts.update(record_messages(organization.id, batch))
        return verdicts

    verdicts = sum(at_once(*(lambda seed=n: store(seed) for n in range(WRITERS))), Counter())
    assert verdicts == {Outcome.CREATED: len(rows), Outcome.KNOWN: len(rows) * (WRITERS - 1)}
    assert stored_count(organization) == len(rows)
    assert_consistent(organization)


def test_messages_consent_and_redaction_of_the_same_contacts_do_not_deadlock(connections):
    organization, numbers = new_inbox()

    def store():
        for n in range(30):
            write(
                organization,
                numbers,
                "store",
                [
                    {
                        "id": uuid.uuid4(),
                        "own": OWN[k % 2],
                        "contact": CONTACTS[(n + k) % 3],
                        "direction": "inbound",
                        "body": BODIES[(n + k) % 5],
                        "at": NOON + timedelta(seconds=(n * 7 + k) % 30),
                    }
                    for k in range(12)
                ],
            )

    def consent():
        for n in range(60):
            pairs = [(OWN[k % 2], CONTACTS[(n - k) % 3]) for k in range(6)]
            write(
                organization,
                numbers,
                "consent",
                [
                    {"own": own, "contact_number": each, "opted_in": n % 2 == 0}
                    | {"captured_at": NOON + timedelta(seconds=n)}
                    for own, each in pairs
                ],
            )

    def redact():
        for n in range(30):
            write(organization, numbers, "run", NOON + timedelta(seconds=n))
            write(organization, numbers, "erase", CONTACTS[n % 3])

    at_once(store, consent, redact)
    assert stored_count(organization) == 30 * 12
    assert_consistent(organization)


def test_an_id_of_a_name_is_the_uuid_of_version_5():
    namespace = uuid.uuid4()
    for name in ("", "a", "Grüße 🛑", "x" * 1000):
        assert name_based_id(namespace, name.encode()) == uuid.uuid5(namespace, name)
