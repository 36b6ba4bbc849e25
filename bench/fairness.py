"""How an organization with two clients fares beside one with many."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlencode

from bench import load
from bench.database import ORGANIZATION_ID, Inbox
from conversations.database.connection import connect
from conversations.inbox import api_keys, organizations
from conversations.inbox.messages import complete_message, record_messages

FEW = 2
MANY = (16, 32, 64)
SMALL_ORGANIZATION_ID = uuid.UUID("0b5e55ed-0000-4000-8000-000000000002")
NUMBER = "+15550000009"
PAGE = "/v1/conversations"


@dataclass(frozen=True)
class Share:
    """What the clients of one organization saw. Latency in milliseconds; `failed` are requests."""

    rate: float
    p50: float
    p99: float
    failed: int


def slow_page(inbox: Inbox) -> str:
    """Return a list since just after the oldest conversation: its total counts all the others."""
    query = "SELECT min(last_message_at) AS at FROM conversations WHERE organization_id = %s"
    with connect(inbox.url) as conn:
        oldest = conn.execute(query, [ORGANIZATION_ID]).fetchone()
    since = (oldest["at"] + timedelta(microseconds=1)).isoformat()
    return f"{PAGE}?{urlencode({'since': since})}"


def small_organization() -> str:
    """Create an organization with 50 conversations, if it is not there, and return a new key."""
    id = organizations.create_organization("Small", id=SMALL_ORGANIZATION_ID)
    numbers = {NUMBER: organizations.create_phone_number(id, NUMBER)}
    noon = datetime(2026, 4, 28, 12, tzinfo=UTC)
    given = [
        {
            "id": uuid.uuid5(id, str(n)),
            "direction": "inbound",
            "from_number": f"+1555{n:07d}",
            "to_number": NUMBER,
            "body": "hello",
            "created_at": noon + timedelta(seconds=n),
        }
        for n in range(50)
    ]
    record_messages(id, [complete_message(message, numbers) for message in given])
    return api_keys.create_api_key(id, ["conversations:read"], "bench")


def measure(
    origin: str, keys: tuple[str, str], path: str, many: int, seconds: int
) -> tuple[Share, Share]:
    """Load the service with both organizations at once; return what the many and the few saw."""
    plans = zip(keys, (path, PAGE), (many, FEW), strict=True)

    def run(key: str, path: str, clients: int) -> Share:
        what = load.Requests([path], {"Authorization": f"Bearer {key}"})
        seen, failed = load.attempt(origin, what, seconds, clients)
        return Share(seen.rate, seen.p50, seen.p99, failed)

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(run, *plan) for plan in plans]
        large, small = (each.result() for each in running)
    return large, small


def typical(shares: list[Share]) -> Share:
    """Return the medians of several runs, and all failed requests."""
    return Share(
        median(share.rate for share in shares),
        median(share.p50 for share in shares),
        median(share.p99 for share in shares),
        sum(share.failed for share in shares),
    )


def line(label: str, share: Share) -> str:
    """Return a line of the table."""
    return f"{label:44} {share.rate:10,.0f} {share.p50:10,.1f} {share.p99:10,.1f} {share.failed:8,}"


HEAD = f"{'':44} {'requests/s':>10} {'p50 ms':>10} {'p99 ms':>10} {'failed':>8}"
