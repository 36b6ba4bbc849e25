"""GET /v1/conversations: each parameter, each refusal, each field of a row, and meta."""

import itertools
import uuid
from datetime import UTC, datetime

import pytest
from psycopg_pool import ConnectionPool

from conversations.inbox import retention
from schemas.fields import decode_base64url
from tests.conftest import assert_error, contact, new_organization
from tests.expectations import COMPLAINTS

PATH = "/v1/conversations"
AT = "2026-04-28T12:00:01+00:00"


def refused(response, **details: str) -> None:
    assert_error(response, 422, "VALIDATION_FAILED", **details)
    assert response.json["error"]["message"] == "validation failed"


def test_it_lists_a_conversation_with_every_field(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00+00:00", "Hello", direction="outbound")
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00", "Cancel my appointment please")
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")

    response = alice.get(PATH)

    assert response.status_code == 200
    assert response.content_type == "application/json"
    id = response.json["data"][0]["id"]
    assert response.json == {
        "success": True,
        "data": [
            {
                "id": id,
                "phone_number_id": str(alice.phone_number_id),
                "phone_number": "+15551112222",
                "contact_number": contact(1),
                "last_message_at": "2026-04-28T12:00:01Z",
                "last_message_direction": "inbound",
                "last_message_preview": "Cancel my appointment please",
                "last_message_body_redacted_at": None,
                "message_count": 2,
                "consent": {"opted_in": True, "opted_in_at": "2026-04-01T09:00:00Z"},
            }
        ],
        "meta": {"total": 1, "limit": 50, "offset": 0, "next_cursor": None},
    }
    assert len(id) == 22
    assert len(decode_base64url(id, 16)) == 16


def test_keys_come_in_the_order_of_the_documentation(alice):
    alice.receive(contact(1), AT)
    alice.record_consent(contact(1), True, AT)
    answer = alice.get(PATH).json
    assert list(answer) == ["success", "data", "meta"]
    assert list(answer["meta"]) == ["total", "limit", "offset", "next_cursor"]
    (row,) = answer["data"]
    assert list(row) == [
        "id",
        "phone_number_id",
        "phone_number",
        "contact_number",
        "last_message_at",
        "last_message_direction",
        "last_message_preview",
        "last_message_body_redacted_at",
        "message_count",
        "consent",
    ]
    assert list(row["consent"]) == ["opted_in", "opted_in_at"]


def test_an_empty_inbox_is_an_empty_page(alice):
    answer = alice.get(PATH).json
    assert answer["data"] == []
    assert answer["meta"] == {"total": 0, "limit": 50, "offset": 0, "next_cursor": None}


# The row


@pytest.mark.parametrize(
    ("at", "printed"),
    [
        ("2026-04-28T12:00:01+00:00", "2026-04-28T12:00:01Z"),
        ("2026-04-28T12:00:01.5+00:00", "2026-04-28T12:00:01.500000Z"),
        ("2026-04-28T12:00:01.000001+00:00", "2026-04-28T12:00:01.000001Z"),
        ("2026-04-28T12:00:01.120000+02:00", "2026-04-28T10:00:01.120000Z"),
        ("0099-01-01T00:00:00+00:00", "0099-01-01T00:00:00Z"),
    ],
)
def test_instants_have_six_digits_of_fraction_or_none(alice, at, printed):
    alice.receive(contact(1), at)
    alice.record_consent(contact(1), True, at)
    (row,) = alice.conversations()
    assert row["last_message_at"] == printed
    assert row["consent"]["opted_in_at"] == printed


@pytest.mark.parametrize(
    ("body", "preview"),
    [
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 159 + "…"),
        ("x" * 1600, "x" * 159 + "…"),
        ("\N{GRINNING FACE}" * 160, "\N{GRINNING FACE}" * 160),
        ("\N{GRINNING FACE}" * 161, "\N{GRINNING FACE}" * 159 + "…"),
        ("e\N{COMBINING ACUTE ACCENT}" * 81, "e\N{COMBINING ACUTE ACCENT}" * 79 + "e…"),
        (" \n ", " \n "),
        ("[redacted]", "[redacted]"),
        ("[media]", "[media]"),
    ],
)
def test_the_preview_is_the_body_cut_to_160_characters(alice, body, preview):
    alice.receive(contact(1), AT, body)
    (row,) = alice.conversations()
    assert row["last_message_preview"] == preview
    assert row["last_message_body_redacted_at"] is None


def test_a_removed_body_previews_as_redacted_and_says_when(alice):
    alice.receive(contact(1), AT, "secret")
    before = datetime.now(UTC)
    retention.erase_contact(alice.id, contact(1))
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "[redacted]"
    assert before <= datetime.fromisoformat(row["last_message_body_redacted_at"])
    assert row["last_message_body_redacted_at"].endswith("Z")
    assert row["message_count"] == 1


def test_a_contact_who_texts_redacted_is_told_apart_by_the_instant(alice):
    alice.receive(contact(1), AT, "[redacted]")
    alice.receive(contact(2), AT, "secret")
    retention.erase_contact(alice.id, contact(2))
    rows = {row["contact_number"]: row for row in alice.conversations()}
    assert {row["last_message_preview"] for row in rows.values()} == {"[redacted]"}
    assert rows[contact(1)]["last_message_body_redacted_at"] is None
    assert rows[contact(2)]["last_message_body_redacted_at"] is not None


def test_a_message_without_text_previews_as_media_even_when_redacted(alice):
    alice.receive(contact(1), AT, None, media_urls=["https://example.com/1.jpg"])
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "[media]"
    retention.erase_contact(alice.id, contact(1))
    assert alice.conversations() == [row]


def test_a_new_message_after_a_redaction_shows_its_text(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00+00:00", "secret")
    retention.erase_contact(alice.id, contact(1))
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00", "fresh")
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "fresh"
    assert row["last_message_body_redacted_at"] is None
    assert row["message_count"] == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_last_message_is_the_greatest_whatever_order_they_arrive_in(alice, order):
    messages = [
        ("2026-04-28T12:00:00+00:00", "early", uuid.UUID(int=9)),
        ("2026-04-28T12:00:01+00:00", "late, smaller id", uuid.UUID(int=1)),
        ("2026-04-28T12:00:01+00:00", "late, greater id", uuid.UUID(int=2)),
    ]
    for at, body, id in (messages[index] for index in order):
        direction = "outbound" if "greater" in body else "inbound"
        alice.receive(contact(1), at, body, id=id, direction=direction)
    (row,) = alice.conversations()
    assert row["last_message_at"] == "2026-04-28T12:00:01Z"
    assert row["last_message_preview"] == "late, greater id"
    assert row["last_message_direction"] == "outbound"
    assert row["message_count"] == 3


def test_consent_shows_what_is_on_record(alice):
    events = {
        contact(1): [],
        contact(2): [(True, "2026-04-01T09:00:00+00:00")],
        contact(3): [(False, "2026-04-01T09:00:00+00:00")],
        contact(4): [(True, "2026-04-01T09:00:00+00:00"), (False, "2026-04-02T09:00:00+00:00")],
        contact(5): [(False, "2026-04-01T09:00:00+00:00"), (True, "2026-04-02T09:00:00.25+00:00")],
        contact(6): [(False, "2026-04-01T09:00:00+00:00"), (True, "2026-04-01T09:00:00+00:00")],
    }
    for number, recorded in events.items():
        alice.receive(number, AT)
        for opted_in, at in recorded:
            alice.record_consent(number, opted_in, at)
    assert {row["contact_number"]: row["consent"] for row in alice.conversations()} == {
        contact(1): None,
        contact(2): {"opted_in": True, "opted_in_at": "2026-04-01T09:00:00Z"},
        contact(3): {"opted_in": False, "opted_in_at": None},
        contact(4): {"opted_in": False, "opted_in_at": "2026-04-01T09:00:00Z"},
        contact(5): {"opted_in": True, "opted_in_at": "2026-04-02T09:00:00.250000Z"},
        contact(6): {"opted_in": False, "opted_in_at": "2026-04-01T09:00:00Z"},
    }


def test_consent_without_a_message_is_not_a_conversation(alice):
    alice.record_consent(contact(1), True, AT)
    alice.record_consent(contact(2), False, AT)
    filters = ({}, {"contact_number": contact(1)}, {"opted_in": "true"}, {"opted_in": "false"})
    for query in filters:
        answer = alice.get(PATH, query).json
        assert answer["data"] == []
        assert answer["meta"]["total"] == 0

    alice.receive(contact(1), AT)
    (row,) = alice.conversations(opted_in="true")
    assert row["consent"]["opted_in"] is True
    assert alice.get(PATH, {"opted_in": "true"}).json["meta"]["total"] == 1


def test_consent_is_kept_for_each_number_apart(alice):
    other_id = alice.new_number("+15551119999")
    alice.receive(contact(1), AT)
    alice.receive(contact(1), AT, own="+15551119999")
    alice.record_consent(contact(1), True, AT, phone_number_id=other_id)
    consents = {row["phone_number"]: row["consent"] for row in alice.conversations()}
    assert consents[alice.number] is None
    assert consents["+15551119999"]["opted_in"] is True


def test_the_id_depends_on_the_pair_of_numbers_alone(client):
    phone_number_id = uuid.uuid4()
    ids = set()
    for at in (AT, "2020-01-01T00:00:00+00:00"):
        organization = new_organization(client, phone_number_id=phone_number_id)
        organization.receive(contact(1), at, "a message like no other")
        organization.receive(contact(2), AT)
        (row,) = organization.conversations(contact_number=contact(1))
        ids.add(row["id"])
        path = f"{PATH}/{row['id']}/messages"
        assert organization.get(path).json["data"][0]["from_number"] == contact(1)
    assert len(ids) == 1


# The order


def test_newest_first_and_then_by_the_bytes_of_the_id(alice):
    for number in range(40):
        at = "2026-04-28T12:00:01.000002+00:00" if number < 30 else "2026-04-28T12:00:01+00:00"
        alice.receive(contact(number), at)
    rows = alice.conversations()
    places = [(row["last_message_at"], decode_base64url(row["id"], 16)) for row in rows]
    by_instant = [place[0] for place in places]
    assert by_instant == ["2026-04-28T12:00:01.000002Z"] * 30 + ["2026-04-28T12:00:01Z"] * 10
    assert [id for _, id in places[:30]] == sorted((id for _, id in places[:30]), reverse=True)
    assert [id for _, id in places[30:]] == sorted((id for _, id in places[30:]), reverse=True)


@pytest.mark.parametrize("limit", range(1, 7))
def test_next_cursor_is_null_exactly_when_nothing_follows(alice, limit):
    for number in range(4):
        alice.receive(contact(number), f"2026-04-28T12:00:0{number}+00:00")
    seen, cursor = 0, {}
    for _ in range(5):
        answer = alice.get(PATH, {"limit": limit, **cursor}).json
        assert answer["data"]
        assert answer["meta"]["total"] == 4
        seen += len(answer["data"])
        next_cursor = answer["meta"]["next_cursor"]
        assert (next_cursor is None) == (seen == 4)
        if next_cursor is None:
            return
        cursor = {"cursor": next_cursor}
    raise AssertionError("the walk does not end")


# Filters


@pytest.fixture(scope="module")
def mixed_inbox(app):
    """An organization with conversations of every kind, and the rows that it lists."""
    alice = new_organization(app.test_client())
    ids = {alice.number: alice.phone_number_id, "+15551119999": alice.new_number("+15551119999")}
    kinds = itertools.product(range(1, 5), ids, (None, True, False), ("", ".000001"))
    for index, (day, own, opted_in, fraction) in enumerate(kinds):
        at = f"2026-04-0{day}T12:00:00{fraction}+00:00"
        number = contact(index % 7 if index % 3 else 100 + index)
        alice.receive(number, at, own=own)
        if opted_in is not None:
            alice.record_consent(number, opted_in, at, phone_number_id=ids[own])
    alice.record_consent(contact(999), True, AT)
    return alice, alice.conversations(limit=200)


def keeps(row: dict, phone_number_id, contact_number, since, opted_in) -> bool:
    """What the filters say, in Python."""
    consented = bool(row["consent"] and row["consent"]["opted_in"])
    at = datetime.fromisoformat(row["last_message_at"])
    return (
        phone_number_id in (None, row["phone_number_id"])
        and contact_number in (None, row["contact_number"])
        and (since is None or at >= datetime.fromisoformat(since))
        and opted_in in (None, "true" if consented else "false")
    )


def test_every_combination_of_filters_lists_and_counts_what_it_says(mixed_inbox):
    alice, everything = mixed_inbox
    assert len(everything) > 25
    choices = {
        "phone_number_id": [None, str(uuid.uuid4()), str(alice.phone_number_id)],
        "contact_number": [None, contact(1), contact(100), contact(555)],
        "since": [
            None,
            "2026-04-02T12:00:00.000001Z",
            "2026-05-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
        ],
        "opted_in": [None, "true", "false"],
    }
    sizes = set()
    for values in itertools.product(*choices.values()):
        expected = [row for row in everything if keeps(row, *values)]
        sizes.add(len(expected))
        query = {name: value for name, value in zip(choices, values, strict=True) if value}
        answer = alice.get(PATH, {**query, "limit": 4}).json
        assert answer["data"] == expected[:4], query
        assert answer["meta"]["total"] == len(expected), query
        assert (answer["meta"]["next_cursor"] is None) == (len(expected) <= 4), query
    assert {0, 1, 2, 4, 5, len(everything)} <= sizes


def test_the_total_is_the_same_on_every_page(mixed_inbox):
    alice, everything = mixed_inbox
    for query in ({}, {"opted_in": "false"}, {"since": "2026-04-02T00:00:00Z"}):
        totals, cursor = set(), {}
        while cursor is not None:
            meta = alice.get(PATH, {**query, "limit": 5, **cursor}).json["meta"]
            totals.add(meta["total"])
            cursor = {"cursor": meta["next_cursor"]} if meta["next_cursor"] else None
        assert len(totals) == 1
    past_the_end = alice.get(PATH, {"cursor": "A" * 32}).json
    assert past_the_end["data"] == []
    assert past_the_end["meta"]["total"] == len(everything)
    assert past_the_end["meta"]["next_cursor"] is None


def test_opted_in_true_and_false_together_are_everything(mixed_inbox):
    alice, everything = mixed_inbox
    yes, no = alice.conversations(opted_in="true"), alice.conversations(opted_in="false")
    assert {row["consent"]["opted_in"] for row in yes} == {True}
    assert None in [row["consent"] for row in no]
    assert {"opted_in": False, "opted_in_at": None} in [row["consent"] for row in no]
    by_id = {row["id"]: row for row in yes + no}
    assert len(by_id) == len(yes) + len(no)
    assert by_id == {row["id"]: row for row in everything}


def test_filters_may_change_between_pages_because_a_cursor_is_only_a_position(mixed_inbox):
    alice, everything = mixed_inbox
    cursor = alice.get(PATH, {"limit": 10}).json["meta"]["next_cursor"]
    rows = alice.conversations(cursor=cursor, opted_in="true", limit=200)
    assert rows == [row for row in everything[10:] if keeps(row, None, None, None, "true")]
    assert 0 < len(rows) < len(everything[10:])


def test_since_keeps_what_happened_at_that_very_microsecond(alice):
    alice.receive(contact(1), "2026-04-28T12:00:01.000001+00:00")
    assert len(alice.conversations(since="2026-04-28T12:00:01.000001Z")) == 1
    assert len(alice.conversations(since="2026-04-28T12:00:01.0000019Z")) == 1
    assert len(alice.conversations(since="2026-04-28T12:00:01.000001999Z")) == 1
    assert len(alice.conversations(since="2026-04-28T12:00:01.000002Z")) == 0


def test_the_total_with_since_is_exact_on_both_sides_of_the_oldest_conversation(alice):
    for second, body in enumerate(("START", "hello", "hello")):
        alice.receive(contact(second), f"2026-04-28T12:00:0{second}+00:00", body)
    alice.record_consent(contact(9), True, "2026-04-01T00:00:00+00:00")

    def total(since: str, **query) -> int:
        query |= {"since": since, "limit": 1}
        return alice.get(PATH, query).json["meta"]["total"]

    oldest, later = "2026-04-28T12:00:00Z", "2026-04-28T12:00:00.000001Z"
    assert [total(since) for since in ("0001-01-01T00:00:00Z", oldest, later)] == [3, 3, 2]
    assert [total(since, opted_in="true") for since in (oldest, later)] == [1, 0]
    assert [total(since, opted_in="false") for since in (oldest, later)] == [2, 2]
    assert [total(since, phone_number_id=str(uuid.uuid4())) for since in (oldest, later)] == [0, 0]


def test_a_phone_number_id_of_nobody_is_an_empty_page(alice, bob):
    alice.receive(contact(1), AT)
    bob.receive(contact(1), AT)
    for id in (bob.phone_number_id, uuid.uuid4(), uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)):
        answer = alice.get(PATH, {"phone_number_id": id}).json
        assert answer["data"] == []
        assert answer["meta"] == {"total": 0, "limit": 50, "offset": 0, "next_cursor": None}


# Parameters; test_fields.py has what each of them takes


UNKNOWN = [
    ("phone_number", "unknown parameter; did you mean phone_number_id?"),
    ("phoneNumberId", "unknown parameter; did you mean phone_number_id?"),
    ("contact", "unknown parameter; did you mean contact_number?"),
    ("contact-number", "unknown parameter; did you mean contact_number?"),
    ("Limit", "unknown parameter; did you mean limit?"),
    ("limit[]", "unknown parameter; did you mean limit?"),
    (" limit", "unknown parameter; did you mean limit?"),
    ("next_cursor", "unknown parameter; did you mean cursor?"),
    ("opt_in", "unknown parameter; did you mean opted_in?"),
    ("sinse", "unknown parameter; did you mean since?"),
    ("page", "unknown parameter"),
    ("api_key", "unknown parameter"),
    ("x" * 2000, "unknown parameter"),
    ("", "unknown parameter"),
    ("\0", "unknown parameter"),
    ("名前", "unknown parameter"),
]


def test_refuses_an_unknown_parameter_by_name(alice, subtests):
    for name, complaint in UNKNOWN:
        with subtests.test(name=name, complaint=complaint):
            refused(alice.get(PATH, {name: "1"}), **{name: complaint})


def test_an_unknown_parameter_that_repeats_is_unknown(alice):
    refused(alice.get(f"{PATH}?page=1&page=2"), page="unknown parameter")


def test_every_bad_parameter_is_named_at_once(alice):
    query = "limit=0&since=x&cursor=x&phone_number_id=x&contact_number=x&opted_in=x&page=1&page=2"
    refused(alice.get(f"{PATH}?{query}"), **COMPLAINTS, page="unknown parameter")
    refused(
        alice.get(f"{PATH}?limit=1&limit=2&since=x"),
        limit="must be given once",
        since=COMPLAINTS["since"],
    )


def test_an_empty_query_is_no_query(alice):
    assert alice.get(f"{PATH}?").status_code == 200
    assert alice.get(f"{PATH}?&&").status_code == 200


def test_a_flood_of_unknown_parameters_is_refused_like_one(alice):
    names = [f"limit{number}" for number in range(500)]
    response = alice.get(f"{PATH}?" + "&".join(f"{name}=1" for name in names))
    assert response.status_code == 422
    assert list(response.json["error"]["details"]) == names


def test_a_body_and_its_type_do_not_matter_to_a_get(alice):
    alice.receive(contact(1), AT)
    response = alice.client.get(PATH, data=b"\xff{", content_type="text/plain", headers=alice.auth)
    assert response.status_code == 200
    assert len(response.json["data"]) == 1


def test_a_page_and_its_key_take_one_connection_for_one_wait(alice, monkeypatch):
    alice.conversations()
    waits = []
    getconn = ConnectionPool.getconn
    monkeypatch.setattr(ConnectionPool, "getconn", lambda *args: waits.append(1) or getconn(*args))
    alice.conversations()
    assert len(waits) == 1
