import itertools
import threading
import uuid
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from conversations.inbox.consent import record_consent
from schemas.fields import format_instant
from tests.conftest import assert_error, contact, new_organization

KEYS = [
    "phone_number_id",
    "phone_number",
    "contact_number",
    "opted_in",
    "opted_in_at",
    "opted_out_at",
    "updated_at",
]
EARLY, NOON, LATE = "2026-04-01T09:00:00Z", "2026-04-01T12:00:00Z", "2026-04-01T18:00:00Z"


def event(organization, opted_in: bool = True, at: str | None = NOON, **fields) -> dict:
    """The body of a consent event; a field given as ... is left out."""
    body = {
        "phone_number_id": str(organization.phone_number_id),
        "contact_number": contact(1),
        "opted_in": opted_in,
        "captured_at": at or ...,
    }
    return {name: value for name, value in (body | fields).items() if value is not ...}


def post(organization, *args, **fields):
    return organization.post("/v1/consent", event(organization, *args, **fields))


def consent(organization, *args, **fields) -> dict:
    """The data of a POST that must be a 200."""
    response = post(organization, *args, **fields)
    assert response.status_code == 200, response.text
    return response.json["data"]


def state(row: dict) -> tuple:
    return row["opted_in"], row["opted_in_at"], row["opted_out_at"]


def test_records_an_opt_in(alice):
    before = datetime.now(UTC)
    response = post(alice, True, "2026-04-01T11:00:00+02:00")
    after = datetime.now(UTC)
    assert response.status_code == 200
    assert list(response.json) == ["success", "data"]
    row = response.json["data"]
    assert list(row) == KEYS
    updated_at = datetime.fromisoformat(row.pop("updated_at"))
    assert before - timedelta(seconds=1) <= updated_at <= after + timedelta(seconds=1)
    assert row == {
        "phone_number_id": str(alice.phone_number_id),
        "phone_number": alice.number,
        "contact_number": contact(1),
        "opted_in": True,
        "opted_in_at": EARLY,
        "opted_out_at": None,
    }


def test_records_an_opt_out_of_someone_who_never_opted_in(alice):
    assert state(consent(alice, False, NOON)) == (False, None, NOON)


def test_an_event_without_captured_at_happened_now(alice):
    before = datetime.now(UTC)
    row = consent(alice, True, None)
    assert before <= datetime.fromisoformat(row["opted_in_at"]) <= datetime.now(UTC)


def test_both_instants_are_kept(alice):
    consent(alice, True, EARLY)
    assert state(consent(alice, False, NOON)) == (False, EARLY, NOON)
    assert state(consent(alice, True, LATE)) == (True, LATE, NOON)


def test_a_late_event_does_not_move_its_instant_back(alice):
    consent(alice, True, NOON)
    assert state(consent(alice, True, EARLY)) == (True, NOON, None)
    assert state(consent(alice, False, EARLY)) == (True, NOON, EARLY)


def test_at_the_same_instant_the_opt_out_wins(client):
    for first in (True, False):
        organization = new_organization(client)
        consent(organization, first, NOON)
        assert state(consent(organization, not first, NOON)) == (False, NOON, NOON)


def test_a_microsecond_decides(alice):
    consent(alice, False, "2026-04-01T12:00:00.000001Z")
    assert consent(alice, True, "2026-04-01T12:00:00.000001Z")["opted_in"] is False
    assert consent(alice, True, "2026-04-01T12:00:00.000002Z")["opted_in"] is True


def test_the_order_in_which_events_arrive_leaves_no_trace(client):
    events = [(True, EARLY), (False, NOON), (True, NOON), (False, EARLY)]
    outcomes = set()
    for order in itertools.permutations(events):
        organization = new_organization(client)
        for opted_in, at in order:
            row = consent(organization, opted_in, at)
        outcomes.add(state(row))
    assert outcomes == {(False, NOON, NOON)}


def test_events_in_one_batch_leave_what_they_leave_one_by_one(alice):
    pairs = [(True, EARLY), (False, NOON), (True, LATE), (True, NOON)]
    events = [
        {
            "phone_number_id": alice.phone_number_id,
            "phone_number": alice.number,
            "contact_number": contact(1),
            "opted_in": opted_in,
            "captured_at": datetime.fromisoformat(at),
        }
        for opted_in, at in pairs
    ]
    (*_, row), news = record_consent(alice.id, events)
    assert format_instant(row["opted_in_at"]) == LATE
    assert format_instant(row["opted_out_at"]) == NOON
    # The last one tells nothing that the third had not told.
    assert news == [True, True, True, False]


def test_updated_at_moves_when_something_changes(alice):
    first = consent(alice, True, NOON)["updated_at"]
    assert consent(alice, True, NOON)["updated_at"] == first
    assert consent(alice, True, EARLY)["updated_at"] == first
    second = consent(alice, False, EARLY)["updated_at"]
    assert datetime.fromisoformat(second) > datetime.fromisoformat(first)
    assert consent(alice, False, EARLY)["updated_at"] == second
    third = consent(alice, True, LATE)["updated_at"]
    assert datetime.fromisoformat(third) > datetime.fromisoformat(second)


def test_a_message_does_not_move_updated_at(alice):
    first = consent(alice, True, NOON)["updated_at"]
    alice.receive(contact(1), "2026-04-28T12:00:00Z", "hello")
    assert consent(alice, True, NOON)["updated_at"] == first


def test_consent_comes_before_the_first_message_and_stays(alice):
    consent(alice, True, EARLY)
    assert alice.conversations() == []
    assert alice.get("/v1/conversations").json["meta"]["total"] == 0
    alice.receive(contact(1), "2026-04-28T12:00:00Z")
    (row,) = alice.conversations(opted_in="true")
    assert row["consent"] == {"opted_in": True, "opted_in_at": EARLY}
    assert row["message_count"] == 1
    assert alice.get("/v1/conversations", {"opted_in": "true"}).json["meta"]["total"] == 1
    assert alice.get("/v1/conversations", {"opted_in": "false"}).json["meta"]["total"] == 0


def test_the_list_shows_and_filters_what_is_on_record(alice):
    for number in (1, 2, 3):
        alice.receive(contact(number), "2026-04-28T12:00:00Z")
    consent(alice, True, EARLY, contact_number=contact(1))
    consent(alice, True, EARLY, contact_number=contact(2))
    consent(alice, False, LATE, contact_number=contact(2))
    rows = {row["contact_number"]: row["consent"] for row in alice.conversations()}
    assert rows == {
        contact(1): {"opted_in": True, "opted_in_at": EARLY},
        contact(2): {"opted_in": False, "opted_in_at": EARLY},
        contact(3): None,
    }
    may = [row["contact_number"] for row in alice.conversations(opted_in="true")]
    may_not = [row["contact_number"] for row in alice.conversations(opted_in="false")]
    assert may == [contact(1)]
    assert set(may_not) == {contact(2), contact(3)}


def test_consent_belongs_to_the_pair_of_number_and_contact(alice):
    other = alice.new_number("+15551113333")
    for own in (alice.number, "+15551113333"):
        alice.receive(contact(1), "2026-04-28T12:00:00Z", own=own)
    row = consent(alice, phone_number_id=str(other).upper())
    assert (row["phone_number_id"], row["phone_number"]) == (str(other), "+15551113333")
    rows = {row["phone_number"]: row["consent"] for row in alice.conversations()}
    assert rows[alice.number] is None
    assert rows["+15551113333"]["opted_in"] is True


def test_a_contact_may_be_a_short_code(alice):
    assert consent(alice, contact_number="54321")["contact_number"] == "54321"


def test_another_organizations_number_is_refused(alice, bob):
    sentence = "is not one of your phone numbers"
    for id in (bob.phone_number_id, uuid.uuid4()):
        response = post(alice, phone_number_id=str(id))
        assert_error(response, 422, "VALIDATION_FAILED", phone_number_id=sentence)


def test_the_same_number_id_in_two_organizations_has_two_records(client, alice):
    twin = new_organization(client, phone_number_id=alice.phone_number_id)
    consent(alice, True, NOON)
    assert state(consent(twin, False, EARLY)) == (False, None, EARLY)
    assert state(consent(alice, True, NOON)) == (True, NOON, None)


NIL_IN_BRACES = "{00000000-0000-0000-0000-000000000000}"
REFUSED = {
    ("phone_number_id", "must be a UUID"): [None, 5, "", "x", NIL_IN_BRACES, "\0"],
    ("contact_number", "must be E.164"): [None, 15551234567, "", "12", "+0", "15551234567", "+1\0"],
    ("opted_in", "must be true or false"): [None, "true", 1, 0, "yes", [], {}],
    (
        "captured_at",
        "must be an RFC 3339 date-time with an offset, at most 24 hours in the future",
    ): [1, "", "now", "2026-04-01", "2026-04-01T12:00:00", "9999-12-31T00:00:00Z"],
    ("optedin", "unknown field; did you mean opted_in?"): [True],
    ("opted_in_at", "unknown field; did you mean opted_in?"): [NOON],
    ("note", "unknown field"): ["x"],
}


CASES = [(*key, value) for key, values in REFUSED.items() for value in values]


def test_refuses_by_name_whatever_it_does_not_take(alice, subtests):
    for field, sentence, value in CASES:
        with subtests.test(field=field, sentence=sentence, value=value):
            response = post(alice, **{field: value})
            assert_error(response, 422, "VALIDATION_FAILED", **{field: sentence})


def test_says_everything_that_is_missing(alice):
    assert_error(
        alice.post("/v1/consent", {}),
        422,
        "VALIDATION_FAILED",
        phone_number_id="is required",
        contact_number="is required",
        opted_in="is required",
    )


def test_captured_at_may_be_up_to_24_hours_ahead(alice):
    sentence = "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"
    nearly = format_instant(datetime.now(UTC) + timedelta(hours=23, minutes=59))
    beyond = format_instant(datetime.now(UTC) + timedelta(hours=24, minutes=1))
    assert consent(alice, True, nearly)["opted_in_at"] == nearly
    response = post(alice, True, beyond)
    assert_error(response, 422, "VALIDATION_FAILED", captured_at=sentence)


def test_captured_at_may_be_null_and_not_before_the_first_text_message(alice):
    assert post(alice, captured_at=None).status_code == 200
    response = post(alice, at="1992-12-02T23:59:59Z")
    details = {"captured_at": "must not be before 1992-12-03"}
    assert_error(response, 422, "VALIDATION_FAILED", **details)


def test_a_refused_event_leaves_nothing_on_record(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00Z")
    post(alice, opted_in="true")
    post(alice, phone_number_id=str(uuid.uuid4()))
    assert alice.conversations()[0]["consent"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"null", b'{"opted_in": tru'])
def test_refuses_a_body_that_is_no_json_object(alice, body):
    response = alice.client.post(
        "/v1/consent", data=body, content_type="application/json", headers=alice.auth
    )
    assert_error(response, 400, "INVALID_INPUT", body="must be a JSON object in UTF-8")


def test_refuses_what_is_not_declared_as_json_and_what_is_too_large(alice):
    body = orjson.dumps(event(alice))

    def send(data, content_type):
        return alice.client.post(
            "/v1/consent", data=data, content_type=content_type, headers=alice.auth
        )

    assert_error(send(body, "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")
    too_large = body.ljust(1024 * 1024 + 1)
    assert_error(send(too_large, "application/json"), 413, "PAYLOAD_TOO_LARGE")
    assert_error(send(too_large, "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_events_and_messages_of_one_contact_at_once_all_count(app, alice):
    """A new pair, so that consent and messages race for the birth of the conversation."""
    statuses = []

    def call(path, body):
        statuses.append(app.test_client().post(path, json=body, headers=alice.auth).status_code)

    message = alice.inbound()
    calls = [("/v1/messages", message)] * 6
    calls += [("/v1/consent", event(alice, True, f"2026-04-01T0{n}:00:00Z")) for n in range(6)]
    threads = [threading.Thread(target=call, args=args) for args in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 6 + [201] * 6
    (row,) = alice.conversations(opted_in="true")
    assert row["message_count"] == 6
    assert row["consent"] == {"opted_in": True, "opted_in_at": "2026-04-01T05:00:00Z"}
    assert alice.get("/v1/conversations", {"opted_in": "true"}).json["meta"]["total"] == 1
    assert alice.get("/v1/conversations").json["meta"]["total"] == 1
