"""Following next_cursor to the end visits every conversation exactly once, in order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from conversations.api.views import LIST_CONVERSATIONS
from conversations.database import pool, queries
from conversations.inbox import organizations
from conversations.inbox.messages import Outcome, complete_message, record_messages
from schemas.fields import decode_cursor, encode_base64url, encode_cursor
from tests.conftest import contact, new_organization, using_connections

PATH = "/v1/conversations"
SHARED = datetime(2026, 4, 28, 12, 0, 1, 123456, tzinfo=UTC)
NO_FILTER = dict.fromkeys(LIST_CONVERSATIONS.fields.keys() - {"limit", "cursor"})


def new_crowd(client, shared: int, spaced: int):
    """An organization with conversations on two numbers: some in one microsecond, some 37 apart."""
    alice = new_organization(client)
    alice.new_number("+15551119999")
    numbers = organizations.list_phone_numbers(alice.id)
    steps = [0] * shared + [step for step in range(-spaced // 2, spaced // 2 + 1) if step]
    messages = [
        complete_message(
            {
                "direction": "inbound",
                "from_number": contact(index),
                "to_number": alice.number if index % 3 else "+15551119999",
                "body": "hello" if index % 7 else "START",
                "created_at": SHARED + timedelta(microseconds=37 * step),
            },
            numbers,
        )
        for index, step in enumerate(steps)
    ]
    assert set(record_messages(alice.id, messages)) == {Outcome.CREATED}
    return alice


@pytest.fixture(scope="module")
def crowds(app) -> dict:
    """Two organizations, of 200 conversations and of 2,000."""
    client = app.test_client()
    # As commands do, without the time limit of requests: the machine may be busy.
    with using_connections(1):
        return {200: new_crowd(client, 150, 50), 2000: new_crowd(client, 1500, 500)}


@pytest.fixture(scope="module")
def crowd(crowds):
    """The organization with 2,000 conversations."""
    return crowds[2000]


def expected_rows(organization) -> list[dict]:
    """The stored conversations in the order that a walk must visit them."""
    with pool.connection() as conn:
        rows = conn.execute(
            "SELECT * FROM conversations WHERE organization_id = %s", [organization.id]
        ).fetchall()
    assert sum(row["last_message_at"] == SHARED for row in rows) == 0.75 * len(rows)
    return sorted(rows, key=lambda row: (row["last_message_at"], row["id"].bytes), reverse=True)


@pytest.fixture(scope="module")
def expected(crowd) -> list[dict]:
    """The rows of the 2,000 conversations, in order."""
    return expected_rows(crowd)


def ids(rows: list[dict]) -> list[str]:
    return [encode_base64url(row["id"].bytes) for row in rows]


def walk(organization, limit: int, **filters) -> list[str]:
    """Follow the cursor as the endpoint does, without HTTP, and return the ids visited."""
    seen, position = [], (None, None)
    while len(seen) <= 2000:
        page = queries.fetch_page(
            "list_conversations",
            organization_id=organization.id,
            cursor_at=position[0],
            cursor_id=position[1],
            limit=limit,
            **{**NO_FILTER, **filters},
        )
        seen += [row["id"] for row in orjson.loads(orjson.dumps(page.items))]
        if page.last_at is None:
            return seen
        position = decode_cursor(encode_cursor(page.last_at, page.last_id.bytes))
    raise AssertionError("the walk does not end")


SOME_SIZES = [5, 7, *range(10, 201, 10), 49, 99, 101, 199]


@pytest.mark.parametrize(
    ("count", "limits"),
    [
        (200, range(1, 201)),
        (2000, SOME_SIZES),
        pytest.param(2000, range(1, 201), marks=pytest.mark.soak),
    ],
)
def test_every_page_size_visits_every_conversation_exactly_once(crowds, count, limits):
    must_see = ids(expected_rows(crowds[count]))
    assert len(must_see) == count
    with ThreadPoolExecutor(4) as threads:
        walks = threads.map(lambda limit: walk(crowds[count], limit), limits)
        for limit, seen in zip(limits, walks, strict=True):
            assert seen == must_see, limit


@pytest.mark.parametrize("limit", [37, 199, 200])
def test_a_walk_over_http_visits_every_conversation_exactly_once(crowd, expected, limit):
    assert [row["id"] for row in crowd.walk(PATH, limit)] == ids(expected)


@pytest.mark.parametrize("opted_in", [None, True, False])
@pytest.mark.parametrize("since", [None, SHARED, SHARED + timedelta(microseconds=1)])
@pytest.mark.parametrize("one_number", [False, True])
def test_a_filtered_walk_visits_what_matches_exactly_once(
    crowd, expected, opted_in, since, one_number
):
    matching = [
        row
        for row in expected
        if opted_in in (None, row["opted_in"])
        and (since is None or row["last_message_at"] >= since)
        and (not one_number or row["phone_number_id"] == crowd.phone_number_id)
    ]
    assert matching
    query = {"limit": 97}
    if opted_in is not None:
        query["opted_in"] = str(opted_in).lower()
    if since:
        query["since"] = since.isoformat()
    if one_number:
        query["phone_number_id"] = crowd.phone_number_id
    assert [row["id"] for row in crowd.walk(PATH, **query)] == ids(matching)


def test_a_walk_with_another_page_size_each_time_visits_every_conversation_once(crowd, expected):
    seen, query, limit = [], {}, 0
    while len(seen) <= 2000:
        limit = limit * 31 % 199 + 1
        answer = crowd.get(PATH, {"limit": limit, **query}).json
        seen += [row["id"] for row in answer["data"]]
        if answer["meta"]["next_cursor"] is None:
            break
        query = {"cursor": answer["meta"]["next_cursor"]}
    assert seen == ids(expected)
