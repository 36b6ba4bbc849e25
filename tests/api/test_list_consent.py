import base64
import struct
import uuid
from datetime import datetime, timedelta

import pytest

from conversations.database import pool
from conversations.inbox import organizations
from tests.conftest import assert_error, contact, new_organization

CONSENT = "/v1/consent"
EARLY, NOON, LATE = "2026-04-01T09:00:00Z", "2026-04-01T12:00:00Z", "2026-04-01T18:00:00Z"


def event(organization, number: int, opted_in: bool, at: str = NOON, **fields) -> dict:
    """Record consent over HTTP and return what is then on record."""
    body = {"phone_number_id": str(organization.phone_number_id), "contact_number": contact(number)}
    response = organization.post(CONSENT, body | {"opted_in": opted_in, "captured_at": at} | fields)
    assert response.status_code == 200, response.text
    return response.json["data"]


def listed(organization, **query) -> list[dict]:
    """The rows of one page, which must agree with its total."""
    response = organization.get(CONSENT, query)
    assert response.status_code == 200, response.text
    page = response.json
    assert page["meta"]["total"] == len(page["data"])
    assert page["meta"]["next_cursor"] is None
    return page["data"]


def contacts(organization, **query) -> list[str]:
    return [row["contact_number"] for row in listed(organization, **query)]


def update_at(organization, number: int, at: str) -> None:
    """Let a record have changed at an instant, as time would."""
    with pool.connection() as conn:
        conn.execute(
            "UPDATE conversations SET consent_updated_at = %s"
            " WHERE organization_id = %s AND contact_number = %s",
            [at, organization.id, contact(number)],
        )


@pytest.fixture
def records(alice):
    """Five records, two opted in; three of them changed in the same microsecond."""
    for number, opted_in in enumerate((True, False, True, False, False), 1):
        event(alice, number, opted_in)
    for number, second in enumerate(("01", "02.5", "02.5", "02.5", "03"), 1):
        update_at(alice, number, f"2026-04-28T12:00:{second}Z")
    return listed(alice)


def test_lists_what_the_post_answered(alice):
    posted = event(alice, 1, True)
    response = alice.get(CONSENT)
    assert list(response.json) == ["success", "data", "meta"]
    assert response.json["data"] == [posted]
    assert list(response.json["data"][0]) == list(posted)
    assert response.json["meta"] == {"total": 1, "limit": 50, "offset": 0, "next_cursor": None}


def test_nothing_on_record_is_an_empty_list(alice):
    alice.receive(contact(1), NOON)
    assert listed(alice) == []


def test_a_record_without_a_message_is_listed(alice):
    event(alice, 1, False)
    assert alice.conversations() == []
    assert contacts(alice) == [contact(1)]


def test_a_keyword_is_on_record_like_everything_else(alice):
    alice.receive(contact(1), NOON, "STOP")
    (row,) = listed(alice)
    assert (row["opted_in"], row["opted_in_at"], row["opted_out_at"]) == (False, None, NOON)


def test_both_instants_are_listed(alice):
    event(alice, 1, True, EARLY)
    event(alice, 1, False, NOON)
    (row,) = listed(alice)
    assert (row["opted_in"], row["opted_in_at"], row["opted_out_at"]) == (False, EARLY, NOON)


def test_the_record_that_changed_last_comes_first(alice):
    for number in (1, 2, 3):
        event(alice, number, True)
    assert contacts(alice) == [contact(3), contact(2), contact(1)]
    event(alice, 1, False, LATE)
    assert contacts(alice) == [contact(1), contact(3), contact(2)]


def test_an_event_that_changes_nothing_moves_nothing(alice):
    for number in (1, 2):
        event(alice, number, True)
    before = listed(alice)
    event(alice, 1, True, EARLY)
    alice.receive(contact(1), LATE, "hello")
    assert listed(alice) == before


def test_the_same_microsecond_is_ordered_by_the_id_of_the_conversation(alice, records):
    with pool.connection() as conn:
        rows = conn.execute(
            "SELECT contact_number FROM conversations WHERE organization_id = %s"
            " ORDER BY consent_updated_at DESC, id DESC",
            [alice.id],
        ).fetchall()
    assert [row["contact_number"] for row in records] == [row["contact_number"] for row in rows]


QUERIES = [{}, {"opted_in": "false"}, {"since": "2026-04-28T12:00:02Z"}]


def test_every_page_size_visits_every_record_once(alice, records, subtests):
    for query in QUERIES:
        for limit in (1, 2, 3, 4, 5, 6):
            with subtests.test(query=query, limit=limit):
                assert alice.walk(CONSENT, limit, **query) == listed(alice, **query)


def test_the_cursor_is_the_instant_and_the_id_of_the_last_record(alice, records):
    page = alice.get(CONSENT, {"limit": 1}).json
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT id FROM conversations WHERE organization_id = %s AND contact_number = %s",
            [alice.id, records[0]["contact_number"]],
        ).fetchone()
    raw = struct.pack(">q", 1777377603_000000) + row["id"].bytes
    assert page["meta"]["next_cursor"] == base64.urlsafe_b64encode(raw).decode()


def test_the_total_is_that_of_all_pages(alice, records):
    page = alice.get(CONSENT, {"limit": 2}).json
    assert page["meta"]["total"] == 5
    page = alice.get(CONSENT, {"limit": 2, "cursor": page["meta"]["next_cursor"]}).json
    assert page["meta"]["total"] == 5


def test_a_next_page_is_named_in_link(alice, records):
    response = alice.get(CONSENT, {"limit": 2, "opted_in": "false"})
    link = f"<?limit=2&opted_in=false&cursor={response.json['meta']['next_cursor']}>"
    assert response.headers["Link"] == f'{link}; rel="next"'
    assert "Link" not in alice.get(CONSENT).headers


# Filters


def test_filters_by_opted_in(alice, records):
    assert {row["opted_in"] for row in listed(alice, opted_in="true")} == {True}
    assert len(listed(alice, opted_in="true")) == 2
    assert len(listed(alice, opted_in="false")) == 3
    # A conversation with nothing on record is in neither.
    alice.receive(contact(9), NOON)
    assert len(listed(alice, opted_in="false")) == 3


@pytest.mark.parametrize("plus", ["%2B", "+", "%20"])
def test_filters_by_contact_number_however_its_plus_is_spelled(alice, records, plus):
    response = alice.get(CONSENT, f"contact_number={plus}{contact(2)[1:]}")
    assert [row["contact_number"] for row in response.json["data"]] == [contact(2)]
    assert response.json["meta"]["total"] == 1


def test_filters_by_a_sender_id(alice):
    for number in ("My Bank", "MY BANK", "54321"):
        alice.record_consent(number, False, NOON)
        (row,) = listed(alice, contact_number=number)
        assert row["contact_number"] == number


def test_filters_by_phone_number_id(alice, records):
    second = alice.new_number("+15559990000")
    event(alice, 1, True, phone_number_id=str(second))
    assert len(listed(alice, phone_number_id=alice.phone_number_id)) == 5
    (row,) = listed(alice, phone_number_id=str(second).upper())
    assert row["phone_number"] == "+15559990000"
    assert len(listed(alice, contact_number=contact(1))) == 2
    assert listed(alice, phone_number_id=second, contact_number=contact(2)) == []
    assert listed(alice, phone_number_id=second, opted_in="false") == []
    assert listed(alice, phone_number_id=uuid.uuid4()) == []


def test_since_keeps_what_changed_at_that_instant_or_later(alice, records):
    assert len(listed(alice, since="2026-04-28T12:00:02.5Z")) == 4
    assert len(listed(alice, since="2026-04-28T12:00:02.500001Z")) == 1
    assert len(listed(alice, since="2026-04-28T14:00:03+02:00")) == 1
    assert listed(alice, since="2026-04-28T12:00:03.000001Z") == []


def test_all_filters_at_once(alice, records):
    query = {
        "phone_number_id": alice.phone_number_id,
        "contact_number": contact(2),
        "opted_in": "false",
        "since": "2026-04-28T12:00:02.5Z",
    }
    assert contacts(alice, **query) == [contact(2)]
    assert contacts(alice, **query | {"opted_in": "true"}) == []


def test_since_the_last_walk_finds_every_later_change(alice, records):
    now = datetime.fromisoformat(event(alice, 7, True)["updated_at"])
    assert contacts(alice, since=(now - timedelta(minutes=5)).isoformat()) == [contact(7)]


REFUSED = [
    ("limit=0", {"limit": "must be 1..200"}),
    ("cursor=x", {"cursor": "must be a next_cursor of an earlier answer"}),
    ("opted_in=1", {"opted_in": "must be true or false"}),
    ("contact_number=x%00", {"contact_number": "must be E.164"}),
    ("phone_number_id=x", {"phone_number_id": "must be a UUID"}),
    ("since=2026-04-28", {"since": "must be an RFC 3339 date-time with an offset"}),
    ("limit=1&limit=2", {"limit": "must be given once"}),
    ("opt_in=true", {"opt_in": "unknown parameter; did you mean opted_in?"}),
]


def test_is_as_strict_as_the_list_of_conversations(alice, subtests):
    for query, details in REFUSED:
        with subtests.test(query=query, details=details):
            assert_error(alice.get(CONSENT, query), 422, "VALIDATION_FAILED", **details)


# Totals


def test_totals_follow_every_change(client):
    organization = new_organization(client)
    second = str(organization.new_number("+15559990000"))
    events = [
        (1, True, EARLY, {}),
        (1, True, EARLY, {}),
        (1, False, NOON, {}),
        (2, False, NOON, {"phone_number_id": second}),
        (2, True, NOON, {"phone_number_id": second}),
        (2, True, LATE, {"phone_number_id": second}),
        (3, True, LATE, {}),
    ]
    for number, opted_in, at, fields in events:
        event(organization, number, opted_in, at, **fields)
        for query in ({}, {"opted_in": "true"}, {"opted_in": "false"}, {"phone_number_id": second}):
            # `listed` compares the total with the rows.
            listed(organization, **query)
    assert len(listed(organization)) == 3
    assert len(listed(organization, opted_in="true")) == 2


def test_a_batch_of_events_is_counted_once_for_each_pair(alice, client):
    organization = new_organization(client)
    numbers = organizations.list_phone_numbers(organization.id)
    assert list(numbers) == [organization.number]
    for number in range(3):
        for body in ("START", "STOP", "START"):
            organization.receive(contact(number), NOON, body)
    # At the same instant the opt-out wins.
    assert len(listed(organization, opted_in="false")) == 3
    assert listed(organization, opted_in="true") == []


# The tag


def test_the_tag_changes_with_consent_and_not_without(alice):
    event(alice, 1, True)
    tag = {"If-None-Match": alice.get(CONSENT).headers["ETag"]}
    response = alice.get(CONSENT, **tag)
    assert (response.status_code, response.data) == (304, b"")
    event(alice, 1, False, LATE)
    assert alice.get(CONSENT, **tag).status_code == 200
