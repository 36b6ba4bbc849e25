"""The lists under load: every kind of page, the limits beside them, and what people would pick."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

from bench import limits, load, parity, servers
from bench.database import ORGANIZATION_ID, Inbox
from bench.load import Requests
from bench.servers import Server, Usage
from conversations.database import pool
from conversations.database.connection import connect
from conversations.inbox import api_keys
from schemas.fields import encode_base64url, encode_cursor

SAMPLES = 64
# The longest conversations: growth.py makes them longer.
LONG_SAMPLES = 5
SINCE = 200
LISTED = "organization_id = %(organization_id)s AND message_count > 0"

PAGE_ONE = "page one"
POLL = "conditional poll, 304"
CONSTANT = "a constant (/livez)"


@dataclass(frozen=True)
class Row:
    """One line of the table: what is asked of whom."""

    name: str
    server: Server
    requests: Requests


class Measured(NamedTuple):
    """What a run of a row gave: requests a second, milliseconds, CPU seconds a request."""

    rate: float
    p50: float
    p99: float
    service_cpu: float
    postgres_cpu: float


def rows(server: Server, inbox: Inbox) -> list[Row]:
    """Return the requests to the service itself, a row for each kind."""
    headers = {"Authorization": f"Bearer {inbox.key}"}
    with connect(inbox.url) as conn:

        def sample(where: str, order: str, limit: int) -> list[dict]:
            query = f"SELECT * FROM conversations WHERE {where} ORDER BY {order} LIMIT {limit}"
            return conn.execute(query, {"organization_id": ORGANIZATION_ID}).fetchall()

        # Ids are hashes: their order is chance, the same each time.
        some = sample(LISTED, "id", SAMPLES)
        long = sample(LISTED, "message_count DESC, id", LONG_SAMPLES)
        newest = sample(LISTED, "last_message_at DESC", SINCE)
    first, since = some[0], newest[-1]["last_message_at"]

    def conversations(name: str, queries: Iterable[dict], **more) -> Row:
        paths = [f"/v1/conversations?{urlencode(query)}".rstrip("?") for query in queries]
        return Row(name, server, Requests(paths, headers | more))

    def few(name: str, path: str) -> Row:
        # As many rows as a small organization has numbers.
        return Row(name, server, Requests([f"{path}?limit=4"], headers))

    def messages(name: str, queries: Iterable[dict]) -> Row:
        ids = [encode_base64url(row["id"].bytes) for row in long]
        paths = [
            f"/v1/conversations/{id}/messages?{urlencode(query)}".rstrip("?")
            for id, query in zip(ids, queries, strict=True)
        ]
        return Row(name, server, Requests(paths, headers))

    number = {"phone_number_id": first["phone_number_id"]}
    found = [
        conversations(PAGE_ONE, [{}]),
        conversations("page one, gzip", [{}], **{"Accept-Encoding": "gzip"}),
        conversations("deep page", [{"cursor": _position(row)} for row in some]),
        conversations("limit=200", [{"limit": 200}]),
        conversations("phone_number_id", [number]),
        conversations("contact_number", [{"contact_number": r["contact_number"]} for r in some]),
        conversations(f"since (newest {SINCE})", [{"since": since.isoformat()}]),
        conversations("opted_in=true (3 %)", [{"opted_in": "true"}]),
        conversations("opted_in=false", [{"opted_in": "false"}]),
        conversations("number and opted_in=true", [number | {"opted_in": "true"}]),
        conversations(
            "deep page of opted_in=false",
            [{"opted_in": "false", "cursor": _position(row)} for row in some],
        ),
        conversations(
            "all filters",
            [
                {
                    "phone_number_id": row["phone_number_id"],
                    "contact_number": row["contact_number"],
                    "opted_in": str(row["opted_in"]).lower(),
                    "since": datetime(2025, 1, 1, tzinfo=UTC).isoformat(),
                }
                for row in some
            ],
        ),
        messages("messages", [{}] * len(long)),
        messages("deep page of messages", [{"cursor": _middle(inbox, row)} for row in long]),
        few("consent, limit=4", "/v1/consent"),
        few("phone numbers, limit=4", "/v1/phone-numbers"),
    ]
    tag = server.get("/v1/conversations", headers).getheader("ETag")
    if tag:
        found.append(conversations(POLL, [{}], **{"If-None-Match": tag}))
    return [*found, Row(CONSTANT, server, Requests(["/livez"]))]


def _position(conversation: dict) -> str:
    return encode_cursor(conversation["last_message_at"], conversation["id"].bytes)


def _middle(inbox: Inbox, conversation: dict) -> str:
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT created_at, id FROM messages"
            " WHERE organization_id = %s AND conversation_id = %s"
            " ORDER BY created_at, id OFFSET %s LIMIT 1",
            [ORGANIZATION_ID, conversation["id"], conversation["message_count"] // 2],
        ).fetchone()
    return encode_cursor(row["created_at"], row["id"].bytes)


@contextlib.contextmanager
def peers(service: Server, inbox: Inbox):
    """Run the peers; yield a row for each that does the same work, and one for each bare page.

    Raises parity.Differs if one of the former does not.
    """
    with (
        servers.flask_sqlalchemy(inbox.url) as flask,
        servers.django_rest_framework(inbox.url) as django,
        servers.fastapi_asyncpg(inbox.url) as fastapi,
        servers.litestar_asyncpg(inbox.url) as litestar,
        servers.go_pgx(inbox.url) as go,
    ):
        found = [
            (f"{fastapi.name} + orjson", fastapi, "/orjson"),
            (f"{fastapi.name} + orjson, 1 connection", fastapi, "/one-connection"),
            (f"{fastapi.name}, response model", fastapi, "/model"),
            (litestar.name, litestar, "/conversations"),
            (flask.name, flask, "/conversations"),
            (django.name, django, "/conversations"),
        ]
        if go:
            found.append((go.name, go, "/conversations"))
        for _, server, path in found:
            parity.check(service, server, path, inbox)
        headers = {"Authorization": f"Bearer {inbox.key}"}
        same = [Row(name, server, Requests([path], headers)) for name, server, path in found]
        bare = [
            Row(f"bare, no key: {server.name}", server, Requests(["/bare"]))
            for server in (fastapi, flask, django)
        ]
        yield same, bare


def measure(rows: list[Row], postgres_pid: int, rounds: int, seconds: int) -> list[list[Measured]]:
    """Run every row in every round, so that what else the machine does hits all alike."""
    runs = [[] for _ in rows]
    for _ in range(rounds):
        for row, found in zip(rows, runs, strict=True):
            found.append(measure_once(row, postgres_pid, seconds))
    return runs


def measure_once(
    row: Row, postgres_pid: int, seconds: int, connections: int = load.CONNECTIONS
) -> Measured:
    """Run a row once."""
    before = Usage.of(row.server.pid).cpu, Usage.of(postgres_pid).cpu
    seen = load.run(row.server.origin, row.requests, seconds, connections)
    after = Usage.of(row.server.pid).cpu, Usage.of(postgres_pid).cpu
    cpu = [(b - a) / seen.requests for a, b in zip(before, after, strict=True)]
    return Measured(seen.rate, seen.p50, seen.p99, *cpu)


def typical(runs: list[Measured]) -> Measured:
    """Return the median of each figure."""
    return Measured(*map(median, zip(*runs, strict=True)))


def compare(ours: list[Measured], theirs: list[Measured]) -> tuple[float, float]:
    """Return how many times theirs our rate is, and how many times ours their CPU is.

    Each is the median over the rounds: neighbours in time had the same machine.
    """
    rounds = list(zip(ours, theirs, strict=True))
    fast = median(a.rate / b.rate for a, b in rounds)
    cheap = median(
        (b.service_cpu + b.postgres_cpu) / (a.service_cpu + a.postgres_cpu) for a, b in rounds
    )
    return fast, cheap


def statement_rates(inbox: Inbox, seconds: int) -> dict[str, float]:
    """Return how often a second PostgreSQL alone does what a page and what a 304 ask of it."""
    organization = {"organization_id": ORGANIZATION_ID}
    filters = ("cursor_at", "cursor_id", "phone_number_id", "contact_number", "since", "opted_in")
    page = organization | dict.fromkeys(filters) | {"limit": 50}
    key = limits.statement("get_api_key", {"key_hash": api_keys.hash_key(inbox.key)})
    scripts = {
        POLL: key + limits.statement("get_change_count", organization),
        PAGE_ONE: key + limits.statement("list_conversations", page),
    }
    return {
        name: limits.rate(inbox.url, script, seconds, load.CONNECTIONS)
        for name, script in scripts.items()
    }
