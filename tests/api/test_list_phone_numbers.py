import base64
import struct
import threading
import uuid
from datetime import UTC, datetime

import pytest

from conversations.database import pool
from conversations.inbox import organizations
from tests.conftest import assert_error

NUMBERS = "/v1/phone-numbers"


@pytest.fixture
def five(alice) -> list[dict]:
    """Five numbers, three of them of the same microsecond, as they are listed."""
    ids = [alice.phone_number_id, *(alice.new_number(f"+1555999000{n}") for n in range(4))]
    for id, second in zip(ids, ("01", "02.5", "02.5", "02.5", "03"), strict=True):
        with pool.connection() as conn:
            conn.execute(
                "UPDATE phone_numbers SET created_at = %s WHERE organization_id = %s AND id = %s",
                [f"2026-04-28T12:00:{second}Z", alice.id, id],
            )
    return alice.get(NUMBERS).json["data"]


def test_a_number_in_full(alice):
    response = alice.get(NUMBERS)
    assert response.status_code == 200
    (row,) = response.json["data"]
    assert list(row) == ["id", "phone_number", "created_at"]
    created_at = datetime.fromisoformat(row.pop("created_at"))
    assert abs((datetime.now(UTC) - created_at).total_seconds()) < 60
    assert row == {"id": str(alice.phone_number_id), "phone_number": alice.number}
    assert response.json["meta"] == {"total": 1, "limit": 50, "offset": 0, "next_cursor": None}


def test_lists_oldest_first_and_the_same_microsecond_by_id(alice, five):
    assert five == sorted(five, key=lambda row: (row["created_at"], uuid.UUID(row["id"]).bytes))
    assert five[0]["phone_number"] == alice.number
    assert [row["created_at"] for row in five] == [
        "2026-04-28T12:00:01Z",
        *["2026-04-28T12:00:02.500000Z"] * 3,
        "2026-04-28T12:00:03Z",
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_every_page_size_visits_every_number_once(alice, five, limit):
    assert alice.walk(NUMBERS, limit) == five


def test_the_cursor_is_the_instant_and_the_id_of_the_last_number(alice, five):
    page = alice.get(NUMBERS, {"limit": 1}).json
    raw = struct.pack(">q", 1777377601_000000) + alice.phone_number_id.bytes
    assert page["meta"]["next_cursor"] == base64.urlsafe_b64encode(raw).decode()


def test_an_organization_without_numbers_has_an_empty_list(alice):
    assert organizations.delete_phone_number(alice.id, alice.number)
    response = alice.get(NUMBERS)
    assert response.json["data"] == []
    assert response.json["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("limit=201", {"limit": "must be 1..200"}),
        ("cursor=", {"cursor": "must be a next_cursor of an earlier answer"}),
        ("phone_number=1", {"phone_number": "unknown parameter"}),
        ("limit=1&limit=1", {"limit": "must be given once"}),
    ],
)
def test_is_as_strict_as_the_other_lists(alice, query, details):
    assert_error(alice.get(NUMBERS, query), 422, "VALIDATION_FAILED", **details)


def test_a_number_that_is_added_or_removed_changes_every_tag(alice):
    """Removing a number must not take its changes out of the sum that the tag is made of."""
    paths = (NUMBERS, "/v1/conversations", "/v1/consent")
    seen = set()
    for _ in range(3):
        alice.new_number("+15559990000")
        tags = [alice.get(path).headers["ETag"] for path in paths]
        organizations.delete_phone_number(alice.id, "+15559990000")
        tags += [alice.get(path).headers["ETag"] for path in paths]
        assert not seen & set(tags)
        seen |= set(tags)
    assert len(seen) == 18
    for path, tag in zip(paths, tags[-3:], strict=True):
        assert alice.get(path, **{"If-None-Match": tag}).status_code == 304


def test_creating_a_number_that_is_there_changes_no_tag(alice):
    tag = alice.get(NUMBERS).headers["ETag"]
    alice.new_number(alice.number)
    assert alice.get(NUMBERS, **{"If-None-Match": tag}).status_code == 304


def test_a_number_that_is_deleted_while_a_message_arrives_is_a_503_and_then_a_422(
    alice, monkeypatch
):
    """The message has its number looked up, and then the number goes."""
    find = organizations.find_phone_numbers

    def find_and_delete(*args, **kwargs):
        found = find(*args, **kwargs)
        thread = threading.Thread(
            target=organizations.delete_phone_number, args=(alice.id, alice.number)
        )
        thread.start()
        thread.join()
        return found

    body = alice.inbound()
    monkeypatch.setattr(organizations, "find_phone_numbers", find_and_delete)
    response = alice.post("/v1/messages", body)
    assert_error(response, 503, "UNAVAILABLE")
    assert response.headers["Retry-After"] == "1"
    monkeypatch.undo()
    response = alice.post("/v1/messages", body)
    assert_error(response, 422, "VALIDATION_FAILED", to="is not one of your phone numbers")
