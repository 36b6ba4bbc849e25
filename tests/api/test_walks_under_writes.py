"""The promise to a walker while messages keep arriving, checked in the manner of Jepsen's set-full.

Every conversation's history is known: the number of changes that were acknowledged before the walk
began, and the number begun before it ended. What a walk returns is held against that.
"""

import contextlib
import math
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from conversations.database import pool
from conversations.inbox.messages import record_messages
from schemas.fields import parse_instant
from tests.conftest import contact, new_organization

LIST = "/v1/conversations"


@dataclass
class History:
    """For each contact, when each of its changes began and when it was acknowledged, if it was."""

    changes: dict[str, list[list[float]]]

    def changed_between(self, who: str, begin: float, end: float) -> bool:
        """Tell whether a change of this contact may have taken effect in that time."""
        return any(began <= end and ended >= begin for began, ended in self.changes[who])


@dataclass
class Walk:
    """What one walk returned, and when."""

    begin: float
    end: float
    first_date: datetime
    seen: list[tuple[str, str, int]]


def write(organization, history: History, contacts: list[str], stop: threading.Event, seed: int):
    """Let random contacts write, each only from this thread, as fast as it goes."""
    chance = random.Random(seed)
    while not stop.is_set():
        batch = chance.sample(contacts, min(len(contacts), chance.randint(1, 20)))
        # Recorded late, out of order: up to three minutes after it was created.
        at = [datetime.now(UTC) - timedelta(seconds=chance.choice([0, 0, 1, 180])) for _ in batch]
        messages = [organization.message(*pair) for pair in zip(batch, at, strict=True)]
        change = [time.monotonic(), math.inf]
        for who in batch:
            history.changes[who].append(change)
        # What was not acknowledged may take effect at any time, or never.
        with contextlib.suppress(pool.Unavailable):
            record_messages(organization.id, messages)
            change[1] = time.monotonic()


def walk(organization, client, limit: int, since: datetime | None = None) -> Walk:
    """Walk the whole list once."""
    query = {"limit": limit} | ({"since": since.isoformat()} if since else {})
    begin, first_date, seen, cursor = time.monotonic(), None, [], None
    while True:
        position = {"cursor": cursor} if cursor else {}
        page = client.get(LIST, query_string=query | position, headers=organization.auth)
        if page.status_code == 503:
            continue
        assert page.status_code == 200
        first_date = first_date or datetime.now(UTC).replace(microsecond=0)
        seen += [
            (row["contact_number"], row["last_message_at"], row["message_count"])
            for row in page.json["data"]
        ]
        cursor = page.json["meta"]["next_cursor"]
        assert page.json["data"] or not cursor
        if cursor is None:
            return Walk(begin, time.monotonic(), first_date, seen)


def violations(history: History, done: Walk, following: Walk) -> list[str]:
    """Hold a walk and the one with `since` after it against the three promises."""
    found = []
    times = Counter(who for who, *_ in done.seen)
    resynced = {who for who, *_ in following.seen}
    instants = [parse_instant(at) for _, at, _ in done.seen]
    for who in history.changes:
        changed = history.changed_between(who, done.begin, done.end)
        if times[who] > 1:
            found.append(f"{who} was returned twice")
        if not changed and times[who] != 1:
            found.append(f"{who} did not change and was returned {times[who]} times")
        changed_again = history.changed_between(who, following.begin, following.end)
        if changed and not changed_again and who not in resynced:
            found.append(f"{who} changed during the walk and the next one missed it")
    if instants != sorted(instants, reverse=True):
        found.append("a walk was out of order")
    return found


def run(app, conversations: int, walks: int, limits: range) -> tuple[int, list[str]]:
    """Let writers and walkers loose on a new inbox; return the rows seen and the violations."""
    organization = new_organization(app.test_client())
    contacts = [contact(number) for number in range(conversations)]
    history = History({who: [] for who in contacts})
    start = datetime.now(UTC) - timedelta(hours=1)
    first = enumerate(contacts)
    messages = [
        organization.message(who, start + timedelta(microseconds=n // 3)) for n, who in first
    ]
    record_messages(organization.id, messages)
    stop = threading.Event()

    def walk_often(seed: int) -> tuple[int, list[str]]:
        chance, rows, found = random.Random(seed), 0, []
        client = app.test_client()
        for _ in range(walks):
            done = walk(organization, client, chance.choice(limits))
            following = walk(
                organization, client, chance.choice(limits), done.first_date - timedelta(minutes=5)
            )
            rows += len(done.seen) + len(following.seen)
            found += violations(history, done, following)
        return rows, found

    with ThreadPoolExecutor(4) as pool:
        # A third of the contacts is never written to during the walks: they must all be there.
        busy = contacts[: conversations * 2 // 3]
        writers = [
            pool.submit(write, organization, history, busy[n::2], stop, seed=n) for n in range(2)
        ]
        walkers = [pool.submit(walk_often, seed) for seed in range(2)]
        results = [walker.result() for walker in walkers]
        stop.set()
        for writer in writers:
            writer.result()
    return sum(rows for rows, _ in results), [v for _, found in results for v in found]


def test_the_checker_sees_what_it_is_there_for():
    history = History({"a": [], "b": [[1.0, 2.0]]})
    rows = [("a", "2026-01-01T00:00:02Z", 1), ("b", "2026-01-01T00:00:01Z", 1)]
    good, later = Walk(0, 3, None, rows), Walk(4, 5, None, rows[1:])
    assert violations(history, good, later) == []
    assert violations(history, Walk(0, 3, None, rows + rows[:1]), later)
    assert violations(history, Walk(0, 3, None, rows[1:]), later)
    assert violations(history, Walk(0, 3, None, rows[::-1]), later)
    assert violations(history, good, Walk(4, 5, None, []))


def test_walks_keep_their_promises_while_messages_arrive(app):
    rows, found = run(app, conversations=300, walks=6, limits=range(5, 201))
    assert not found
    assert rows > 1000


@pytest.mark.soak
def test_walks_keep_their_promises_over_a_million_rows(app):
    seen = 0
    while seen < 1_000_000:
        rows, found = run(app, conversations=3000, walks=25, limits=range(1, 201))
        assert not found
        seen += rows
