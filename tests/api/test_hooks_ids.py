"""One id of a carrier is one message, whichever way it comes in."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from conversations.inbox import checks, retention
from conversations.inbox.message_ids import carrier_message_id, smsgate_message_id
from conversations.inbox.organizations import get_id_namespace
from tests.api import hooks
from tests.api.hooks import AT, CARRIERS, MAKE, NAMES, SID, counts, put
from tests.command_line import flask
from tests.conftest import contact
from tests.files.twilio import csv_bytes, resource, tally

# Ids


def test_the_same_call_again_changes_nothing(alice, hook, carrier):
    content = MAKE[carrier](alice.number)
    hook.call(carrier, content)
    before = hook.messages(), alice.get("/v1/conversations").headers["ETag"]
    ways = [
        hook.call(carrier, content),
        hook.send(carrier, content, None, hooks.basic(hook.key)),
        hook.send(carrier, content, None, {"Authorization": f"Bearer {hook.key}"}),
    ]
    for response in ways:
        assert response.status_code == 200
        assert carrier == "twilio" or counts(response) == (0, 1, 0)
    assert (hook.messages(), alice.get("/v1/conversations").headers["ETag"]) == before


def test_the_same_call_ten_times_at_once_is_one_message(alice, hook, carrier):
    content = MAKE[carrier](alice.number)
    with ThreadPoolExecutor(10) as threads:
        responses = list(threads.map(lambda _: hook.call(carrier, content), range(10)))
    assert {response.status_code for response in responses} == {200}
    assert len(hook.messages()) == 1
    assert alice.conversations()[0]["message_count"] == 1
    assert list(checks.check(alice.id, repair=False)) == []


@pytest.mark.parametrize("carrier", ["twilio", "telnyx", "httpsms"])  # SMSGate has no ids.
def test_a_known_id_with_another_text_is_the_first_message(alice, hook, carrier, reasons):
    hook.call(carrier, MAKE[carrier](alice.number))
    content = put(MAKE[carrier](alice.number), NAMES[carrier]["text"], "other")
    response = hook.call(carrier, content)
    assert response.status_code == 200
    assert carrier == "twilio" or counts(response) == (0, 1, 0)
    assert reasons() == "the id is known with other content: the first counts"
    assert [each["body"] for each in hook.messages()] == ["hello"]


def test_the_ids_never_change(alice, hook):
    # A change would record everybody's history a second time.
    for name in CARRIERS:
        hook.call(name, MAKE[name](alice.number))
    assert {each["id"] for each in hook.messages()} == {
        "28bf6606-3392-5ce3-94dd-32d6192875de",
        str(carrier_message_id("telnyx", "84cca175-9755-4859-b67f-4730d7f58aa3", alice.number)),
        str(
            smsgate_message_id(
                *(get_id_namespace(alice.id), alice.number, contact(1)),
                *(datetime.fromisoformat(AT), "hello"),
            )
        ),
        str(carrier_message_id("httpsms", "32343a19-da5e-4b1b-a767-3298a73703cb", alice.number)),
    }


def test_one_id_at_two_numbers_is_two_messages(alice, hook, carrier):
    alice.new_number(contact(7))
    for own in (alice.number, contact(7)):
        hook.call(carrier, MAKE[carrier](own))
    assert len(hook.messages()) == (1 if carrier == "twilio" else 2)


@pytest.mark.parametrize("id", ["SM1", "MM" + "f" * 32, "5ae5e6a1-4a4b-4c4d-8e8f-0a0b0c0d0e0f"])
def test_twilio_and_signalwire_have_ids_of_their_own(alice, hook, id):
    assert hook.call("twilio", hooks.twilio(alice.number, MessageSid=id)).status_code == 200
    assert [each["id"] for each in hook.messages()] == [str(carrier_message_id(id))]


def test_the_id_may_have_an_older_name(alice, hook):
    hook.call("twilio", hooks.twilio(alice.number, MessageSid=...))
    hook.call("twilio", hooks.twilio(alice.number, MessageSid=..., SmsSid=...))
    hook.call("twilio", hooks.twilio(alice.number))
    assert [each["id"] for each in hook.messages()] == [str(carrier_message_id(SID))]


def test_smsgate_delivers_one_text_under_two_ids(alice, hook):
    first = hooks.smsgate(alice.number)
    again = hooks.smsgate(alice.number, messageId="other") | {"id": "other"}
    again["payload"]["receivedAt"] = "2026-04-28T12:00:01Z"
    assert counts(hook.call("smsgate", first)) == (1, 0, 0)
    assert counts(hook.call("smsgate", again)) == (0, 1, 0)
    for field, value in {"message": "hello!", "receivedAt": "2026-04-28T12:00:02Z"}.items():
        assert counts(hook.call("smsgate", hooks.smsgate(alice.number, **{field: value})))[0] == 1


def test_older_versions_of_smsgate_name_the_sender_otherwise(alice, hook):
    event = put(hooks.smsgate(alice.number, phoneNumber=contact(1)), "payload.sender", ...)
    assert counts(hook.call("smsgate", event)) == (1, 0, 0)


# One message, whichever way it comes in


@pytest.fixture
def imports(alice, tmp_path):
    """Import a log of Twilio as Alice and return its tally."""

    def run(**fields) -> str:
        path = tmp_path / "log.csv"
        path.write_bytes(csv_bytes(resource(alice, **{"sid": SID, **fields})))
        return flask("import-messages", alice.id, path, "--format", "twilio-csv").stdout

    return run


def test_a_log_after_the_hook_is_already_there(alice, hook, imports):
    hook.call("twilio", hooks.twilio(alice.number))
    assert imports(num_segments="3") == tally(there=1)
    assert imports(body="") == tally(there=1)
    assert len(hook.messages()) == 1


def test_a_log_after_an_erasure_brings_no_text_back(alice, hook, imports):
    hook.call("twilio", hooks.twilio(alice.number))
    retention.erase_contact(alice.id, contact(1))
    assert imports() == tally(there=1)
    hook.call("twilio", hooks.twilio(alice.number))
    assert [each["body"] for each in hook.messages()] == [None]
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"


def test_a_log_before_the_hook_is_one_message_too(alice, hook, imports):
    assert imports() == tally(imported=1)
    hook.call("twilio", hooks.twilio(alice.number))
    assert [each["created_at"] for each in hook.messages()] == [AT]


def test_a_hook_fills_in_what_the_log_lacks(alice, hook, imports, reasons):
    assert imports(body="") == tally(imported=1)
    pictures = {"NumMedia": "1", "MediaUrl0": "https://example.com/1.jpg", "Body": "STOP"}
    hook.call("twilio", hooks.twilio(alice.number, **pictures))
    assert reasons() == "the stored message was completed"
    (message,) = hook.messages()
    assert (message["body"], message["media_urls"]) == ("STOP", ["https://example.com/1.jpg"])
    assert (message["channel"], message["created_at"]) == ("mms", AT)
    (row,) = alice.conversations()
    assert (row["last_message_preview"], row["message_count"]) == ("STOP", 1)
    assert row["consent"] == {"opted_in": False, "opted_in_at": None}
    assert list(checks.check(alice.id, repair=False)) == []


def test_what_is_filled_in_ten_times_at_once_is_filled_in_once(alice, hook, imports):
    imports(body="")
    form = hooks.twilio(alice.number, Body="hello")
    with ThreadPoolExecutor(10) as threads:
        responses = list(threads.map(lambda _: hook.call("twilio", form), range(10)))
    assert {response.status_code for response in responses} == {200}
    assert [each["body"] for each in hook.messages()] == ["hello"]
    assert list(checks.check(alice.id, repair=False)) == []


def test_the_etag_changes_with_what_is_filled_in(alice, hook, imports):
    imports(body="")
    before = alice.get("/v1/conversations").headers["ETag"]
    hook.call("twilio", hooks.twilio(alice.number))
    assert alice.get("/v1/conversations").headers["ETag"] != before


def test_an_older_message_is_filled_in_without_a_change_of_the_preview(alice, hook, imports):
    imports(body="")
    alice.receive(contact(1), "2026-04-28T13:00:00+00:00", "newer")
    hook.call("twilio", hooks.twilio(alice.number))
    assert [each["body"] for each in hook.messages()] == ["hello", "newer"]
    assert alice.conversations()[0]["last_message_preview"] == "newer"


def test_filling_in_and_erasing_at_once_leave_nothing_readable(alice, hook, imports):
    for number in range(3):
        sid = f"SM{number:032x}"
        imports(sid=sid, body="")
        form = hooks.twilio(alice.number, MessageSid=sid, SmsSid=sid, Body="secret")
        with ThreadPoolExecutor(4) as threads:
            filled = [threads.submit(hook.call, "twilio", form) for _ in range(2)]
            erased = threads.submit(retention.erase_contact, alice.id, contact(1))
        assert {each.result().status_code for each in filled} == {200}
        erased.result()
    retention.erase_contact(alice.id, contact(1))
    assert {each["body"] for each in hook.messages()} == {None}
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"
    assert list(checks.check(alice.id, repair=False)) == []
