"""What each carrier reports becomes one message, whatever is in it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from schemas.fields import format_instant
from tests.api import hooks
from tests.api.hooks import AT, MAKE, NAMES, SID, counts, put, put_own
from tests.conftest import assert_error, contact

# What is recorded


def test_a_message_is_recorded_with_all_that_the_carrier_says(alice, hook, carrier):
    before = datetime.now(UTC)
    response = hook.call(carrier, MAKE[carrier](alice.number))
    if carrier == "twilio":
        assert (response.status_code, response.data) == (200, b"<Response/>")
        assert response.headers["Content-Type"] == "text/xml"
    else:
        assert counts(response) == (1, 0, 0)
    (message,) = hook.messages()
    assert uuid.UUID(message.pop("id")).version == 5
    at = datetime.fromisoformat(message.pop("created_at"))
    if carrier == "twilio":  # It gives no instant.
        assert before <= at <= datetime.now(UTC)
    else:
        assert at == datetime.fromisoformat(AT)
    assert message == {
        "direction": "inbound",
        "phone_number_id": str(alice.phone_number_id),
        "from_number": contact(1),
        "to_number": alice.number,
        "body": "hello",
        "media_urls": [],
        "channel": "sms",
        "segment_count": 1 if carrier in ("twilio", "telnyx") else None,
        "redacted_at": None,
    }


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        ("a\0b\0", "a\ufffdb\ufffd"),
        ("x" * 5000, "x" * 5000),
        ("👋" * 10_000, "👋" * 10_000),
        ("é\r\n<b>&amp;+%41\u2028", "é\r\n<b>&amp;+%41\u2028"),
    ],
)
def test_a_text_is_kept_whatever_is_in_it(alice, hook, carrier, text, stored):
    hook.call(carrier, put(MAKE[carrier](alice.number), NAMES[carrier]["text"], text))
    (message,) = hook.messages()
    assert (message["body"], message["channel"]) == (stored, "sms")
    (row,) = alice.conversations()
    assert row["last_message_preview"] == (stored if len(stored) <= 160 else stored[:159] + "…")


def test_a_message_without_a_text_has_an_empty_one(alice, hook, carrier):
    hook.call(carrier, put(MAKE[carrier](alice.number), NAMES[carrier]["text"], ...))
    assert [message["body"] for message in hook.messages()] == [""]


def test_a_text_that_is_null_is_an_empty_one(alice, hook, gateway):
    hook.call(gateway, put(MAKE[gateway](alice.number), NAMES[gateway]["text"], None))
    assert [message["body"] for message in hook.messages()] == [""]


def test_a_text_of_more_than_10_000_characters_is_cut_and_the_log_says_so(
    alice, hook, carrier, reasons
):
    hook.call(carrier, put(MAKE[carrier](alice.number), NAMES[carrier]["text"], "x" * 10_001))
    assert reasons() == "the text was cut to 10000 characters"
    assert [message["body"] for message in hook.messages()] == ["x" * 10_000]


@pytest.mark.parametrize("name", ["DHL", "My Bank", "54321", "1und1", "O'Reilly"])
def test_a_sender_id_or_a_short_code_is_a_contact(alice, hook, carrier, name):
    hook.call(carrier, put(MAKE[carrier](alice.number), NAMES[carrier]["contact"], name))
    assert [row["contact_number"] for row in alice.conversations()] == [name]


def test_a_keyword_counts_at_the_instant_of_its_message(alice, hook, carrier):
    hook.call(carrier, put(MAKE[carrier](alice.number), NAMES[carrier]["text"], "Start!"))
    (row,) = alice.conversations()
    assert row["consent"] == {"opted_in": True, "opted_in_at": row["last_message_at"]}


@pytest.mark.parametrize(
    ("type", "text", "opted_in"),
    [
        ("STOP", "no more of this", False),
        ("START", "yes please", True),
        ("START", "STOP", False),
        ("HELP", "HELP", None),
        ("", "hello", None),
        ("nonsense", "hello", None),
    ],
)
def test_what_twilio_itself_takes_for_an_opt_out_is_one(alice, hook, type, text, opted_in):
    hook.call("twilio", hooks.twilio(alice.number, OptOutType=type, Body=text))
    (row,) = alice.conversations()
    assert (row["consent"] or {"opted_in": None})["opted_in"] is opted_in


# Pictures

PICTURES = ["https://example.com/1.jpg", "http://example.com/2.jpg?x=1"]


def with_pictures(carrier: str, own: str, urls: list[str], text: str = "") -> dict:
    if carrier == "twilio":
        media = {f"MediaUrl{n}": url for n, url in enumerate(urls)}
        sid = "MM" + SID[2:]
        return hooks.twilio(own, Body=text, MessageSid=sid, NumMedia=str(len(urls)), **media)
    if carrier == "telnyx":
        media = [{"url": url, "content_type": "image/jpeg", "size": 1} for url in urls]
        return hooks.telnyx(own, type="MMS", text=text, media=media)
    return hooks.httpsms(own, content=text, attachments=urls)


@pytest.fixture(params=["twilio", "telnyx", "httpsms"])
def pictures_from(request) -> str:
    """A carrier that gives the addresses of pictures."""
    return request.param


@pytest.mark.parametrize("text", ["", "look"])
def test_a_picture_is_an_mms_with_its_address(alice, hook, pictures_from, text):
    hook.call(pictures_from, with_pictures(pictures_from, alice.number, PICTURES, text))
    (message,) = hook.messages()
    assert message["media_urls"] == PICTURES
    assert (message["body"], message["channel"]) == (text or None, "mms")
    assert alice.conversations()[0]["last_message_preview"] == text or "[media]"


def test_the_first_ten_addresses_are_kept_in_their_order(alice, hook, pictures_from, reasons):
    urls = [f"https://example.com/{n}.jpg" for n in range(12)]
    hook.call(pictures_from, with_pictures(pictures_from, alice.number, urls))
    assert reasons() == "media addresses left out: 2"
    assert [message["media_urls"] for message in hook.messages()] == [urls[:10]]


def test_an_address_that_is_none_is_left_out(alice, hook, pictures_from, reasons):
    urls = ["ftp://example.com/1", "https://example.com/2", "https:// x", "javascript:1"]
    hook.call(pictures_from, with_pictures(pictures_from, alice.number, urls))
    assert reasons() == "media addresses left out: 3"
    (message,) = hook.messages()
    assert (message["media_urls"], message["channel"]) == (urls[1:2], "mms")


@pytest.mark.parametrize("count", ["1", "10"])
def test_a_picture_without_an_address_is_an_mms_without_a_text(alice, hook, count):
    hook.call("twilio", hooks.twilio(alice.number, NumMedia=count, Body=""))
    (message,) = hook.messages()
    assert (message["body"], message["media_urls"], message["channel"]) == (None, [], "mms")
    assert alice.conversations()[0]["last_message_preview"] == "[media]"


@pytest.mark.parametrize("text", ["", None, "look"])
def test_an_mms_of_smsgate_has_no_address(alice, hook, text, reasons):
    attachments = [{"contentType": "image/jpeg", "data": "/9j/4AAQ"}]
    payload = {"body": text, "attachments": attachments}
    event = hooks.smsgate(alice.number, "mms:downloaded", **payload)
    put(event, "payload.message", ...)
    assert counts(hook.call("smsgate", event)) == (1, 0, 0)
    assert reasons() == "attachments without an address: 1"
    (message,) = hook.messages()
    assert (message["body"], message["channel"]) == (text or None, "mms")


def test_an_encrypted_text_is_recorded_without_it(alice, hook, reasons):
    hook.call("httpsms", hooks.httpsms(alice.number, content="c2VjcmV0", encrypted=True))
    assert reasons() == "the text is encrypted"
    (message,) = hook.messages()
    assert (message["body"], message["channel"]) == (None, "mms")
    assert alice.conversations()[0]["last_message_preview"] == "[media]"


# Instants


def test_an_instant_that_is_missing_is_now(alice, hook):
    for content in (
        put(put(hooks.telnyx(alice.number), "data.occurred_at", ...), NAMES["telnyx"]["at"], None),
        put(put(hooks.httpsms(alice.number), "time", ...), NAMES["httpsms"]["at"], ...),
    ):
        carrier = "telnyx" if "meta" in content else "httpsms"
        before = datetime.now(UTC)
        assert counts(hook.call(carrier, content)) == (1, 0, 0)
        instants = [datetime.fromisoformat(each["created_at"]) for each in hook.messages()]
        assert before <= max(instants) <= datetime.now(UTC)


def test_the_instant_of_the_event_stands_in_for_that_of_the_message(alice, hook):
    hook.call("telnyx", put(hooks.telnyx(alice.number), NAMES["telnyx"]["at"], ...))
    hook.call("httpsms", put(hooks.httpsms(alice.number), NAMES["httpsms"]["at"], None))
    assert {each["created_at"] for each in hook.messages()} == {"2026-04-28T12:00:02Z"}


def test_smsgate_must_give_an_instant_because_its_id_needs_it(alice, hook):
    content = put(hooks.smsgate(alice.number), NAMES["smsgate"]["at"], ...)
    details = {"payload.receivedAt": "is required"}
    assert_error(hook.call("smsgate", content), 422, "VALIDATION_FAILED", **details)


@pytest.mark.parametrize("at", ["", "now", "2026-04-28", "2026-04-28T12:00:01", 1777377601])
def test_a_malformed_instant_is_refused(alice, hook, gateway, at):
    name = NAMES[gateway]["at"]
    response = hook.call(gateway, put(MAKE[gateway](alice.number), name, at))
    details = {name: "must be an RFC 3339 date-time with an offset"}
    assert_error(response, 422, "VALIDATION_FAILED", **details)
    assert hook.messages() == []


def test_an_instant_far_ahead_is_now_and_the_log_says_so(alice, hook, gateway, reasons):
    at = format_instant(datetime.now(UTC) + timedelta(hours=25))
    hook.call(gateway, put(MAKE[gateway](alice.number), NAMES[gateway]["at"], at))
    assert reasons() == "the instant was more than 24 hours ahead"
    (message,) = hook.messages()
    age = datetime.now(UTC) - datetime.fromisoformat(message["created_at"])
    assert timedelta() <= age < timedelta(minutes=1)


# Numbers


def test_a_number_that_is_not_the_organizations_is_refused(alice, hook, carrier):
    response = hook.call(carrier, put_own(carrier, MAKE[carrier](alice.number), contact(9)))
    details = {NAMES[carrier]["own"]: "is not one of your phone numbers"}
    assert_error(response, 422, "VALIDATION_FAILED", **details)
    alice.new_number(contact(9))
    hook.call(carrier, put_own(carrier, MAKE[carrier](alice.number), contact(9)))
    assert [row["phone_number"] for row in alice.conversations()] == [contact(9)]


def test_a_parameter_names_the_number_for_a_gateway_that_does_not(alice, hook, carrier):
    absent = [] if carrier == "telnyx" else ...
    content = put(MAKE[carrier](alice.number), NAMES[carrier]["own"], absent)
    details = {NAMES[carrier]["own"]: "is required, or the parameter number"}
    assert_error(hook.call(carrier, content), 422, "VALIDATION_FAILED", **details)
    details = {"number": "is not one of your phone numbers"}
    response = hook.call(carrier, content, number=contact(9))
    assert_error(response, 422, "VALIDATION_FAILED", **details)
    assert hook.call(carrier, content, number=alice.number).status_code == 200
    assert len(hook.messages()) == 1


@pytest.mark.parametrize("none", [None, ""])
def test_a_recipient_that_smsgate_does_not_know_is_none(alice, hook, none):
    response = hook.call("smsgate", hooks.smsgate(none), number=alice.number)
    assert counts(response) == (1, 0, 0)


def test_the_gateways_own_number_wins_over_the_parameter(alice, hook, carrier):
    alice.new_number(contact(9))
    hook.call(carrier, MAKE[carrier](alice.number), number=contact(9))
    assert [row["phone_number"] for row in alice.conversations()] == [alice.number]


def test_a_raw_plus_in_the_parameter_works_like_its_encoded_form(alice, hook):
    content = hooks.smsgate(None)
    query = f"key={hook.key}&number={alice.number}"
    assert counts(hook.send("smsgate", content, query)) == (1, 0, 0)
    query = f"key={hook.key}&number={alice.number.replace('+', '%2B')}"
    assert counts(hook.send("smsgate", content, query)) == (0, 1, 0)


def test_numbers_without_a_plus_are_national_ones_of_the_region(alice, hook, carrier):
    alice.new_number("+31612345678")
    content = put_own(carrier, MAKE[carrier](alice.number), "06 12345678")
    put(content, NAMES[carrier]["contact"], "0049 30 123456")
    assert hook.call(carrier, content).status_code == 422
    assert hook.call(carrier, content, region="nl").status_code == 200
    (row,) = alice.conversations()
    assert (row["phone_number"], row["contact_number"]) == ("+31612345678", "+4930123456")


def test_the_parameter_may_be_a_national_number_too(alice, hook):
    alice.new_number("+31612345678")
    response = hook.call("smsgate", hooks.smsgate(None), number="0612345678", region="NL")
    assert counts(response) == (1, 0, 0)


@pytest.mark.parametrize(
    "sender", ["650555-1212x", "a longer name", "+1 555", "123456789", "\0", ""]
)
def test_a_sender_that_is_no_number_is_refused(alice, hook, carrier, sender):
    name = NAMES[carrier]["contact"]
    response = hook.call(carrier, put(MAKE[carrier](alice.number), name, sender))
    assert_error(response, 422, "VALIDATION_FAILED", **{name: "must be E.164"})
