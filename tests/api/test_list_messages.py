import base64
import struct
import uuid

import pytest

from conversations.database import pool
from schemas.fields import encode_base64url
from tests.conftest import assert_error, contact, new_organization

ROW_KEYS = [
    "id",
    "direction",
    "phone_number_id",
    "from_number",
    "to_number",
    "body",
    "media_urls",
    "channel",
    "segment_count",
    "created_at",
    "redacted_at",
]


@pytest.fixture
def conversation(alice) -> str:
    """The path of a conversation of five messages, three of them in one microsecond."""
    for number, at in enumerate(["01", "02.5", "02.5", "02.5", "03"]):
        alice.receive(contact(1), f"2026-04-28T12:00:{at}+00:00", f"message {number}")
    (row,) = alice.conversations()
    return path_of(row["id"])


def path_of(conversation_id: str) -> str:
    return f"/v1/conversations/{conversation_id}/messages"


def cursor_of(microseconds: int, id: uuid.UUID) -> str:
    """A position, encoded by hand as the API documents it."""
    return base64.urlsafe_b64encode(struct.pack(">q", microseconds) + id.bytes).decode()


def test_an_inbound_message_in_full(alice):
    id = alice.receive(
        contact(1),
        "2026-04-28T14:00:01+02:00",
        "Look at this",
        media_urls=["https://example.com/1.jpg"],
        segment_count=2,
    )
    (conversation,) = alice.conversations()
    response = alice.get(path_of(conversation["id"]))
    assert response.status_code == 200
    assert list(response.json) == ["success", "data", "meta"]
    assert response.json["data"] == [
        {
            "id": str(id),
            "direction": "inbound",
            "phone_number_id": str(alice.phone_number_id),
            "from_number": contact(1),
            "to_number": alice.number,
            "body": "Look at this",
            "media_urls": ["https://example.com/1.jpg"],
            "channel": "mms",
            "segment_count": 2,
            "created_at": "2026-04-28T12:00:01Z",
            "redacted_at": None,
        }
    ]
    assert list(response.json["data"][0]) == ROW_KEYS
    assert list(response.json["meta"]) == ["total", "limit", "offset", "next_cursor"]
    assert response.json["meta"] == {"total": 1, "limit": 50, "offset": 0, "next_cursor": None}


def test_an_outbound_message_has_its_ends_the_other_way_round(alice):
    alice.receive(contact(1), "2026-04-28T12:00:01.000001+00:00", direction="outbound")
    (conversation,) = alice.conversations()
    (row,) = alice.get(path_of(conversation["id"])).json["data"]
    assert (row["from_number"], row["to_number"]) == (alice.number, contact(1))
    assert (row["direction"], row["channel"]) == ("outbound", "sms")
    assert (row["media_urls"], row["segment_count"]) == ([], None)
    assert row["created_at"] == "2026-04-28T12:00:01.000001Z"


def test_lists_oldest_first_and_the_same_microsecond_by_id(alice, conversation):
    rows = alice.get(conversation).json["data"]
    assert rows == sorted(rows, key=lambda row: (row["created_at"], uuid.UUID(row["id"]).bytes))
    assert rows[0]["body"] == "message 0"
    assert rows[-1]["body"] == "message 4"
    assert len({row["created_at"] for row in rows}) == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_every_page_size_visits_every_message_once(alice, conversation, limit):
    assert alice.walk(conversation, limit) == alice.get(conversation).json["data"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_newest_first_is_exactly_the_reverse(alice, conversation, limit):
    oldest_first = alice.get(conversation, {"order": "asc"}).json["data"]
    assert oldest_first == alice.get(conversation).json["data"]
    assert alice.walk(conversation, limit, order="desc") == oldest_first[::-1]


def test_the_last_page_can_be_read_first(alice, conversation):
    page = alice.get(conversation, {"order": "desc", "limit": 2}).json
    assert page["data"] == alice.get(conversation).json["data"][:-3:-1]
    assert page["meta"]["total"] == 5


def test_a_cursor_works_with_either_order(alice, conversation):
    rows = alice.get(conversation).json["data"]
    for place in range(1, 5):
        cursor = alice.get(conversation, {"limit": place}).json["meta"]["next_cursor"]
        after = alice.get(conversation, {"cursor": cursor}).json["data"]
        before = alice.get(conversation, {"cursor": cursor, "order": "desc"}).json["data"]
        assert after == rows[place:]
        assert before == rows[: place - 1][::-1]
        back = {"limit": 6 - place, "order": "desc"}
        if place > 1:
            cursor_back = alice.get(conversation, back).json["meta"]["next_cursor"]
            assert cursor_back == cursor


@pytest.mark.parametrize("order", ["", "ASC", "newest", "desc "])
def test_an_order_is_asc_or_desc(alice, conversation, order):
    response = alice.get(conversation, {"order": order})
    assert_error(response, 422, "VALIDATION_FAILED", order="must be asc or desc")


def test_the_next_page_keeps_the_order(alice, conversation):
    response = alice.get(conversation, {"order": "desc", "limit": 2})
    cursor = response.json["meta"]["next_cursor"]
    assert response.headers["Link"] == f'<?order=desc&limit=2&cursor={cursor}>; rel="next"'


def test_the_total_is_the_message_count_on_every_page(alice, conversation):
    first = alice.get(conversation, {"limit": 3}).json["meta"]
    last = alice.get(conversation, {"limit": 3, "cursor": first["next_cursor"]}).json["meta"]
    assert (first["total"], first["limit"], first["offset"]) == (5, 3, 0)
    assert (last["total"], last["limit"], last["offset"]) == (5, 3, 0)
    assert alice.conversations()[0]["message_count"] == 5


def test_a_page_that_ends_the_list_has_no_next_cursor(alice, conversation):
    assert alice.get(conversation, {"limit": 5}).json["meta"]["next_cursor"] is None
    assert alice.get(conversation, {"limit": 4}).json["meta"]["next_cursor"] is not None


def test_the_cursor_is_the_instant_and_the_id_of_the_last_row(alice, conversation):
    page = alice.get(conversation, {"limit": 2}).json
    microseconds = 1777377602_500000
    assert page["data"][-1]["created_at"] == "2026-04-28T12:00:02.500000Z"
    last_id = uuid.UUID(page["data"][-1]["id"])
    assert page["meta"]["next_cursor"] == cursor_of(microseconds, last_id)


def test_a_cursor_is_only_a_position_and_works_where_there_is_no_message(alice, conversation):
    between = cursor_of(1777377602_499999, uuid.UUID(int=2**128 - 1))
    bodies = [row["body"] for row in alice.get(conversation, {"cursor": between}).json["data"]]
    assert sorted(bodies) == ["message 1", "message 2", "message 3", "message 4"]
    before_all = cursor_of(-(2**55), uuid.UUID(int=0))
    assert len(alice.get(conversation, {"cursor": before_all}).json["data"]) == 5


def test_a_cursor_at_the_end_is_an_empty_page_with_the_total(alice, conversation):
    end = cursor_of(1777377603_000000, uuid.UUID(int=2**128 - 1))
    response = alice.get(conversation, {"cursor": end})
    assert response.status_code == 200
    assert response.json["data"] == []
    assert response.json["meta"] == {"total": 5, "limit": 50, "offset": 0, "next_cursor": None}


def test_a_late_message_goes_where_its_instant_puts_it(alice, conversation):
    first = alice.get(conversation, {"limit": 1}).json["data"][0]
    alice.receive(contact(1), "2026-04-27T12:00:00+00:00", "late")
    rows = alice.get(conversation).json["data"]
    assert [row["body"] for row in rows[:2]] == ["late", first["body"]]


def test_two_contacts_and_two_numbers_do_not_mix(alice):
    alice.new_number("+15551113333")
    for own in (alice.number, "+15551113333"):
        for number in (1, 2):
            alice.receive(contact(number), "2026-04-28T12:00:00Z", f"{own} {number}", own=own)
    for conversation in alice.conversations():
        (row,) = alice.get(path_of(conversation["id"])).json["data"]
        number = 1 if conversation["contact_number"] == contact(1) else 2
        assert row["body"] == f"{conversation['phone_number']} {number}"


MALFORMED = [
    "x",
    "A" * 21,
    "A" * 23,
    "A" * 24,
    "A" * 21 + "=",
    "A" * 22 + "==",
    "A" * 21 + "B",
    "A" * 21 + "+",
    "A" * 21 + "é",
    "A" * 21 + "%00",
    "%00" + "A" * 22,
    "A" * 22 + "%0A",
    "%20" + "A" * 22,
    "A" * 11 + "%20" + "A" * 11,
    "%F0%9F%92%A9",
    "%FF" * 22,
    "%ED%A0%80",
    str(uuid.UUID(int=0)),
]


def test_refuses_a_malformed_id(alice, subtests):
    for malformed in MALFORMED:
        with subtests.test(malformed=malformed):
            details = {"id": "must be the id of a conversation"}
            assert_error(alice.get(path_of(malformed)), 400, "INVALID_INPUT", **details)


def test_an_unknown_id_and_a_foreign_one_get_the_same_answer(alice, bob, conversation):
    unknown = alice.get(path_of("A" * 22))
    foreign = bob.get(conversation)
    assert_error(unknown, 404, "NOT_FOUND")
    assert_error(foreign, 404, "NOT_FOUND")
    ids = [response.json["error"]["request_id"] for response in (unknown, foreign)]
    assert unknown.text.replace(*ids) == foreign.text


def test_the_same_pair_in_two_organizations_has_one_id_and_two_contents(client, alice):
    alice.receive(contact(1), "2026-04-28T12:00:00Z", "to Alice")
    (alices,) = alice.conversations()
    twin = new_organization(client, phone_number_id=alice.phone_number_id)
    assert_error(twin.get(path_of(alices["id"])), 404, "NOT_FOUND")
    twin.receive(contact(1), "2026-04-28T12:00:00Z", "to her twin")
    assert [row["body"] for row in twin.get(path_of(alices["id"])).json["data"]] == ["to her twin"]
    assert [row["body"] for row in alice.get(path_of(alices["id"])).json["data"]] == ["to Alice"]


def test_consent_without_a_message_is_no_conversation(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00Z")
    (with_message,) = alice.conversations()
    alice.record_consent(contact(2), True, "2026-04-28T12:00:00+00:00")
    with pool.connection() as conn:
        rows = conn.execute(
            "SELECT id FROM conversations WHERE organization_id = %s", [alice.id]
        ).fetchall()
    ids = {encode_base64url(row["id"].bytes) for row in rows} - {with_message["id"]}
    (consent_only,) = ids
    assert_error(alice.get(path_of(consent_only)), 404, "NOT_FOUND")


LIMITS = [
    "",
    "0",
    "201",
    "-1",
    "+5",
    "5.0",
    "007",
    "1_0",
    "\u0665",
    "5 ",
    " 5",
    "1e1",
    "5\0",
    "9" * 5000,
]


def test_refuses_a_limit_that_is_not_1_to_200(alice, conversation, subtests):
    for limit in LIMITS:
        with subtests.test(limit=limit):
            response = alice.get(conversation, {"limit": limit})
            assert_error(response, 422, "VALIDATION_FAILED", limit="must be 1..200")


@pytest.mark.parametrize("limit", ["1", "200"])
def test_takes_the_bounds_of_limit(alice, conversation, limit):
    assert alice.get(conversation, {"limit": limit}).json["meta"]["limit"] == int(limit)


CURSORS = [
    "",
    "x",
    "A" * 31,
    "A" * 33,
    "A" * 32 + "=",
    "A" * 31 + "+",
    "A" * 31 + "/",
    "A" * 31 + "\0",
    "A" * 31 + "é",
    " " + "A" * 32,
    "A" * 32 + "\n",
    "f" + "_" * 31,
    "g" + "A" * 31,
]


def test_refuses_a_cursor_it_cannot_have_issued(alice, conversation, subtests):
    for cursor in CURSORS:
        with subtests.test(cursor=cursor):
            sentence = "must be a next_cursor of an earlier answer"
            response = alice.get(conversation, {"cursor": cursor})
            assert_error(response, 422, "VALIDATION_FAILED", cursor=sentence)


def test_refuses_unknown_and_repeated_parameters_by_name(alice, conversation):
    response = alice.get(conversation, "limits=5&since=2026-04-28T12:00:00Z&limit=1&limit=1")
    assert_error(
        response,
        422,
        "VALIDATION_FAILED",
        limits="unknown parameter; did you mean limit?",
        since="unknown parameter",
        limit="must be given once",
    )


def test_a_malformed_id_is_told_before_a_bad_parameter_and_that_before_the_look_up(alice):
    assert alice.get(path_of("x"), {"limit": "0"}).status_code == 400
    response = alice.get(path_of("A" * 22), {"limit": "0"})
    assert_error(response, 422, "VALIDATION_FAILED", limit="must be 1..200")


def test_a_repeated_unknown_parameter_is_unknown(alice, conversation):
    response = alice.get(conversation, "offset=1&offset=2")
    assert_error(response, 422, "VALIDATION_FAILED", offset="unknown parameter")
