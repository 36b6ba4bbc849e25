import uuid

import pytest

from conversations.inbox import retention
from tests.conftest import assert_error, contact, new_organization

AT = "2026-04-28T12:00:01+00:00"


def path_of(number: str) -> str:
    return f"/v1/contacts/{number}/erase"


def erase(organization, number: str, **arguments):
    return organization.client.post(path_of(number), headers=organization.auth, **arguments)


def redacted(organization, number: str) -> int:
    """Erase a contact, which must be a 200, and return how many messages were redacted."""
    response = erase(organization, number)
    assert response.status_code == 200, response.text
    assert response.json["data"]["contact_number"] == number
    return response.json["data"]["messages_redacted"]


def test_removes_what_was_exchanged_with_a_contact_on_every_number(alice):
    second = "+15559990000"
    alice.new_number(second)
    alice.receive(contact(1), AT, "a secret")
    alice.receive(contact(1), AT, None, media_urls=["https://example.com/1"], own=second)
    alice.receive(contact(2), AT, "stays")
    alice.record_consent(contact(1), True, AT)
    response = erase(alice, contact(1))
    assert response.status_code == 200
    assert list(response.json) == ["success", "data"]
    assert response.json["data"] == {"contact_number": contact(1), "messages_redacted": 2}
    assert list(response.json["data"]) == ["contact_number", "messages_redacted"]
    rows = alice.conversations()
    assert {row["last_message_preview"] for row in rows} == {"[redacted]", "[media]", "stays"}
    by_number = {(row["phone_number"], row["contact_number"]): row for row in rows}
    erased = by_number[alice.number, contact(1)]
    assert erased["last_message_preview"] == "[redacted]"
    assert erased["consent"]["opted_in"] is True
    assert erased["message_count"] == 1
    (message,) = alice.get(f"/v1/conversations/{erased['id']}/messages").json["data"]
    assert message["body"] is None
    assert message["redacted_at"] is not None


def test_again_there_is_nothing_left(alice):
    alice.receive(contact(1), AT)
    assert [redacted(alice, contact(1)) for _ in range(3)] == [1, 0, 0]


def test_nobody_there_is_no_error(alice):
    assert redacted(alice, contact(1)) == 0


@pytest.mark.parametrize("plus", ["+", "%2B", "%2b"])
def test_a_plus_may_be_encoded_or_not(alice, plus):
    alice.receive(contact(1), AT)
    response = erase(alice, plus + contact(1)[1:])
    assert response.json["data"] == {"contact_number": contact(1), "messages_redacted": 1}


@pytest.mark.parametrize(
    ("number", "path"),
    [("54321", "54321"), ("DHL", "DHL"), ("My Bank", "My%20Bank"), ("R&D_1.0-x", "R%26D_1.0-x")],
)
def test_a_short_code_and_a_sender_id_are_contacts_too(alice, number, path):
    alice.receive(number, AT)
    alice.receive(contact(2), AT)
    response = erase(alice, path)
    assert response.json["data"] == {"contact_number": number, "messages_redacted": 1}


MALFORMED = [
    *("x", "+0155", "12", "123456789", "555111222%24x", "%201555", "%2B", "+1%20555"),
    *("+1555%00", "%00", "%FF", "+%D9%A1%D9%A2%D9%A3", "+1555%0A", "+" + "1" * 16),
]


def test_a_malformed_number_is_a_400(alice, subtests):
    for number in MALFORMED:
        with subtests.test(number=number):
            assert_error(erase(alice, number), 400, "INVALID_INPUT", contact_number="must be E.164")


def test_a_malformed_number_comes_before_a_parameter_and_after_the_scope(alice, client):
    response = erase(alice, "x", query_string={"limit": 1})
    assert_error(response, 400, "INVALID_INPUT", contact_number="must be E.164")
    reader = new_organization(client, scopes=["conversations:read"])
    assert_error(erase(reader, "x"), 403, "FORBIDDEN")


def test_a_parameter_is_refused_because_it_would_not_narrow_what_is_erased(alice):
    alice.receive(contact(1), AT)
    query = {"phone_number_id": str(uuid.uuid4())}
    response = erase(alice, contact(1), query_string=query)
    assert_error(response, 422, "VALIDATION_FAILED", phone_number_id="unknown parameter")
    assert redacted(alice, contact(1)) == 1


def test_a_body_that_is_empty_or_has_no_fields_is_taken(alice):
    alice.receive(contact(1), AT)
    for content_type in (None, "text/plain", "application/json"):
        assert erase(alice, contact(1), content_type=content_type).status_code == 200
    for body in (b"{}", b" { } ", b"\xef\xbb\xbf{}"):
        response = erase(alice, contact(1), data=body, content_type="application/json")
        assert response.status_code == 200, body


def test_any_other_body_is_refused_because_it_would_not_narrow_what_is_erased(alice):
    alice.receive(contact(1), AT)
    response = erase(alice, contact(1), json={"phone_number_id": "x", "dry_run": True})
    unknown = dict.fromkeys(("phone_number_id", "dry_run"), "unknown field")
    assert_error(response, 422, "VALIDATION_FAILED", **unknown)
    details = {"body": "must be a JSON object in UTF-8"}
    for body in (b"[]", b"null", b"{", b"5"):
        response = erase(alice, contact(1), data=body, content_type="application/json")
        assert_error(response, 400, "INVALID_INPUT", **details)
    for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
        response = erase(alice, contact(1), data=b"dry_run=true", content_type=content_type)
        assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert redacted(alice, contact(1)) == 1


@pytest.mark.parametrize("path", ["/v1/contacts//erase", "/v1/contacts/erase"])
def test_a_path_without_a_number_is_a_404(alice, path):
    assert_error(alice.post(path, None), 404, "NOT_FOUND")


def test_only_post_erases(alice):
    response = alice.get(path_of(contact(1)))
    assert_error(response, 405, "METHOD_NOT_ALLOWED")
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_no_number_reaches_the_log(alice, log_lines):
    alice.receive(contact(1), AT)
    redacted(alice, contact(1))
    erase(alice, "x" + contact(1))
    lines = log_lines()[-2:]
    for line in lines:
        assert "route=/v1/contacts/<contact_number>/erase" in line
        assert contact(1)[1:] not in line


def test_more_messages_than_a_batch_are_counted_together(alice, monkeypatch):
    monkeypatch.setattr(retention, "REDACTION_BATCH", 2)
    for second in range(5):
        alice.receive(contact(1), f"2026-04-28T12:00:0{second}+00:00")
    assert redacted(alice, contact(1)) == 5
