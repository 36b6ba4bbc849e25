"""What each hook makes of every shape that its carrier, or a phone, was seen to send.

A table for each hook: the call, and what is recorded of it or why it is not.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from conversations.api import content
from conversations.inbox.message_ids import smsgate_message_id
from conversations.inbox.organizations import get_id_namespace
from tests.api import hooks
from tests.api.hooks import AT, MAKE, NAMES, Hook, put
from tests.conftest import assert_error, contact, new_organization

OWN, OTHER, FOREIGN = "+15551112222", "+4915112345678", contact(9)
PICTURE = base64.b64encode(bytes(range(256)) * 4096).decode()
SAID = {False: "opted out", True: "opted in", None: None}
NOW = "now"


class Case(NamedTuple):
    """A call, the status of its response, and what is stored of it.

    `fields` are those of the message, none if nothing is recorded. `consent` is what the contact
    then has on record. `details` are those of a 422.
    """

    name: str
    content: dict
    fields: dict[str, Any] | None = None
    params: dict[str, str] = {}
    reason: str = ""
    consent: str | None = None
    details: dict[str, str] = {}


def skipped(name: str, content: dict, reason: str, **params) -> Case:
    return Case(name, content, None, params, reason)


def refused(name: str, content: dict, field: str, sentence: str, **params) -> Case:
    return Case(name, content, None, params, details={field: sentence})


def text(body: str | None, **fields) -> dict[str, Any]:
    return {"body": body, **fields}


def mms(**payload) -> dict:
    """A picture message of SMSGate; `...` leaves a field out."""
    fields = {"message": ..., "body": "", "attachments": [], **payload}
    event = hooks.smsgate(OWN, "mms:downloaded", **fields)
    event["payload"] = {name: each for name, each in event["payload"].items() if each is not ...}
    return event


def at_smsgate(value: str) -> dict:
    return hooks.smsgate(OWN, receivedAt=value)


HIDDEN = "the sender is hidden"
EARLY = "the instant was before 1992-12-03"
NOT_YOURS = "is not one of your phone numbers"
REGISTER = "is of a Conversations webhook: register that of the number instead"
SMSGATE = (
    Case("a text", hooks.smsgate(OWN), text("hello", created_at=AT)),
    Case("an offset without a colon", at_smsgate("2026-04-28T12:00:01+0000"), {"created_at": AT}),
    Case("an hour ahead", at_smsgate("2026-04-28T13:00:01.000+0100"), {"created_at": AT}),
    Case("minus five hours", at_smsgate("2026-04-28T07:00:01+-5:00"), {"created_at": AT}),
    Case("minus three and a half", at_smsgate("2026-04-28T08:30:01+-3:-30"), {"created_at": AT}),
    Case(
        "minus eleven",
        at_smsgate("2026-04-28T01:00:01.5+-11:00"),
        {"created_at": AT[:-1] + ".500000Z"},
    ),
    Case("1970", at_smsgate("1970-01-01T00:00:00.000Z"), {"created_at": NOW}, reason=EARLY),
    Case("the year 1", at_smsgate("0001-01-01T00:00:00+02:00"), {"created_at": NOW}, reason=EARLY),
    Case(
        "the year 9999",
        at_smsgate("9999-12-31T23:59:59-02:00"),
        {"created_at": NOW},
        reason="the instant was more than 24 hours ahead",
    ),
    skipped("a hidden sender", hooks.smsgate(OWN, sender="unknown"), HIDDEN),
    skipped("a hidden sender, own number unknown", mms(sender="unknown", recipient=None), HIDDEN),
    Case("a subject alone", mms(subject="Running late"), text("Running late", channel="mms")),
    Case("a subject that is null", mms(subject=None), text(None)),
    Case("a blank subject", mms(subject=" ", body="hi"), text("hi")),
    Case("a subject before a text", mms(subject="Re: you", body="hi"), text("Re: you\nhi")),
    Case(
        "a keyword below a subject",
        mms(subject="Hi", body="Stop"),
        text("Hi\nStop"),
        consent="opted out",
    ),
    Case("a keyword as a subject alone", mms(subject="STOP"), text("STOP"), consent="opted out"),
    Case("a keyword above a text", mms(subject="STOP", body="hi"), text("STOP\nhi")),
    Case("NUL in the text", hooks.smsgate(OWN, message="a\0b"), text("a\ufffdb")),
    Case(
        "a picture of a megabyte",
        mms(body="look", attachments=[{"data": PICTURE}]),
        text("look", channel="mms"),
        reason="attachments without an address: 1",
    ),
    Case("the first SIM", hooks.smsgate(None), {"to_number": OWN}, {"sim1": OWN, "sim2": OTHER}),
    Case(
        "the second SIM",
        hooks.smsgate(None, simNumber=2),
        {"to_number": OTHER},
        {"sim1": OWN, "sim2": OTHER},
    ),
    Case(
        "a SIM beside a number",
        hooks.smsgate(None, simNumber=2),
        {"to_number": OTHER},
        {"number": OWN, "sim2": OTHER},
    ),
    Case(
        "a SIM without a parameter",
        hooks.smsgate(None, simNumber=2),
        {"to_number": OWN},
        {"number": OWN, "sim1": OTHER},
    ),
    Case(
        "no SIM named",
        hooks.smsgate(None, simNumber=None),
        {"to_number": OWN},
        {"number": OWN, "sim1": OTHER},
    ),
    Case(
        "the number before it was ported",
        hooks.smsgate(FOREIGN),
        {"to_number": OWN},
        {"number": OWN},
    ),
    Case(
        "a recipient that is no number",
        hooks.smsgate("5551112222"),
        {"to_number": OWN},
        {"number": OWN},
    ),
    Case(
        "an own number without its plus",
        hooks.smsgate("4915112345678"),
        {"to_number": OTHER},
        {"region": "DE"},
    ),
    refused(
        "nobody's number", hooks.smsgate(FOREIGN), "payload.recipient", NOT_YOURS, number=contact(8)
    ),
    refused(
        "a recipient that is no number, alone",
        hooks.smsgate("5551112222"),
        "payload.recipient",
        "must be E.164",
    ),
    refused(
        "a batch",
        hooks.smsgate(OWN, "sms:batch:received"),
        "event",
        "register sms:received instead",
    ),
    refused(
        "a batch of MMS",
        hooks.smsgate(OWN, "mms:batch:downloaded"),
        "event",
        "register mms:downloaded instead",
    ),
    refused("no event", hooks.smsgate(OWN, ""), "event", "is required"),
    skipped("a text that was sent", hooks.smsgate(OWN, "sms:sent"), "event sms:sent"),
    Case(
        "a number without a plus",
        hooks.smsgate(OWN, sender="4915112345678"),
        {"from_number": "+4915112345678"},
        {"region": "DE"},
    ),
    Case(
        "a sender ID",
        hooks.smsgate(OWN, sender="My Bank"),
        {"from_number": "My Bank"},
        {"region": "DE"},
    ),
)


def verdict(word: Any, body: str = "BAJA") -> dict:
    return hooks.telnyx(OWN, autoresponse_type=word, text=body)


def group(*numbers: str, status: str = "webhook_delivered") -> list[dict]:
    return [{"phone_number": number, "status": status} for number in numbers]


TELNYX = (
    Case("a text", hooks.telnyx(OWN), text("hello", created_at=AT)),
    Case("an opt-out in Spanish", verdict("STOP"), text("BAJA"), consent="opted out"),
    Case("an opt-out in lower case", verdict("stop"), text("BAJA"), consent="opted out"),
    Case("an opt-in", verdict("Start", "ALTA"), text("ALTA"), consent="opted in"),
    Case("help", verdict("HELP"), text("BAJA")),
    Case("no verdict", verdict(None), text("BAJA")),
    Case("a verdict that is no word", verdict(5), text("BAJA")),
    Case(
        "a keyword against the verdict", verdict("START", "STOP"), text("STOP"), consent="opted out"
    ),
    Case("a type in lower case", hooks.telnyx(OWN, type="sms"), text("hello", channel="sms")),
    Case("an MMS in lower case", hooks.telnyx(OWN, type="mms"), text("hello", channel="mms")),
    Case("no type", hooks.telnyx(OWN, type=None), text("hello")),
    skipped("another channel", hooks.telnyx(OWN, type="rcs"), "channel rcs"),
    Case("a subject alone", hooks.telnyx(OWN, type="MMS", subject="Late", text=""), text("Late")),
    Case(
        "a subject before a text",
        hooks.telnyx(OWN, type="mms", subject="Re:", text="hi"),
        text("Re:\nhi"),
    ),
    Case(
        "a keyword below a subject",
        hooks.telnyx(OWN, type="MMS", subject="Hi", text="Stop"),
        text("Hi\nStop"),
        consent="opted out",
    ),
    Case("a subject of an SMS", hooks.telnyx(OWN, subject="From Telnyx!"), text("hello")),
    Case(
        "an instant of the year 1",
        hooks.telnyx(OWN, received_at="0001-01-01T00:00:00Z"),
        {"created_at": NOW},
        reason=EARLY,
    ),
    Case(
        "an offset without a colon",
        hooks.telnyx(OWN, received_at="2026-04-28T14:00:01+0200"),
        {"created_at": AT},
    ),
    Case(
        "a group without ours, and a parameter",
        hooks.telnyx(OWN, to=group(FOREIGN)),
        {"to_number": OWN},
        {"number": OWN},
    ),
    skipped(
        "a copy, and a parameter",
        hooks.telnyx(OWN, to=group(FOREIGN), cc=group(OWN)),
        "a copy: the number is in cc alone",
        number=OWN,
    ),
    refused(
        "101 recipients",
        hooks.telnyx(OWN, to=group(OWN) * 101),
        "data.payload.to",
        "must be up to 100 recipients",
    ),
    refused(
        "101 that it was sent to",
        hooks.sent_by_telnyx(OWN, to=group(FOREIGN, status="sent") * 101),
        "data.payload.to",
        "must be up to 100 recipients",
    ),
    refused("no event", hooks.telnyx(OWN, ""), "data.event_type", "is required"),
    refused("an event that is null", hooks.telnyx(OWN, None), "data.event_type", "is required"),
    refused(
        "a Conversations webhook",
        hooks.telnyx(OWN, "conversation.message.received"),
        "data.event_type",
        "register the webhook of the messaging profile instead",
    ),
    skipped("a message on its way", hooks.telnyx(OWN, "message.sent"), "event message.sent"),
    refused("sims", hooks.telnyx(OWN), "sim1", "unknown parameter", sim1=OWN),
)
TWILIO = (
    Case("a text", hooks.twilio(OWN), text("hello", created_at=NOW)),
    Case(
        "an opt-out in lower case",
        hooks.twilio(OWN, OptOutType="stop", Body="BAJA"),
        text("BAJA"),
        consent="opted out",
    ),
    Case(
        "an opt-in",
        hooks.twilio(OWN, OptOutType="START", Body="JA"),
        text("JA"),
        consent="opted in",
    ),
    refused(
        "a Conversations webhook",
        hooks.twilio(..., EventType="onMessageAdded", From=..., Author=contact(1)),
        "EventType",
        REGISTER,
    ),
    Case(
        "an old number, and a parameter", hooks.twilio(FOREIGN), {"to_number": OWN}, {"number": OWN}
    ),
    refused("sims", hooks.twilio(OWN), "sim2", "unknown parameter", sim2=OWN),
    skipped("another channel", hooks.twilio(OWN, From="whatsapp:+15554443333"), "channel whatsapp"),
    Case("a form full of per cent signs", hooks.twilio(OWN, Body="%41%zz%"), text("%41%zz%")),
)
HTTPSMS = (
    Case("a text", hooks.httpsms(OWN), text("hello", created_at=AT)),
    Case(
        "Go's zero instant",
        hooks.httpsms(OWN, timestamp="0001-01-01T00:00:00Z"),
        {"created_at": NOW},
        reason=EARLY,
    ),
    Case("encrypted is null", hooks.httpsms(OWN, encrypted=None), text("hello")),
    Case(
        "an encrypted text",
        hooks.httpsms(OWN, encrypted=True),
        text(None),
        reason="the text is encrypted",
    ),
    Case(
        "an owner without its plus",
        hooks.httpsms("4915112345678"),
        {"to_number": OTHER},
        {"region": "DE"},
    ),
    refused("no event", hooks.httpsms(OWN, ""), "type", "is required"),
    refused("sims", hooks.httpsms(OWN), "sim1", "unknown parameter", sim1=OWN),
)
CASES = {"twilio": TWILIO, "telnyx": TELNYX, "smsgate": SMSGATE, "httpsms": HTTPSMS}


def what_came(hook: Hook, case: Case, response, reason: str) -> tuple:
    """What became of a call: details, the fields of the case, the consent and the reason."""
    details = response.json["error"]["details"] if response.status_code == 422 else {}
    found = [{name: row[name] for name in case.fields or row} for row in hook.messages()]
    for row in found:
        age = datetime.now(UTC) - datetime.fromisoformat(row.get("created_at", AT))
        if timedelta() <= age < timedelta(minutes=1):
            row["created_at"] = NOW
    (conversation, *_) = hook.organization.conversations() or [{"consent": None}]
    consent = SAID[conversation["consent"] and conversation["consent"]["opted_in"]]
    is_odd = response.status_code not in (200, 422)
    return (response.status_code if is_odd else details, found, consent, reason)


def test_each_shape_is_recorded_or_refused_as_the_document_says(client, carrier, reasons):
    wrong = []
    for case in CASES[carrier]:
        hook = Hook(new_organization(client, OWN))
        hook.organization.new_number(OTHER)
        response = hook.call(carrier, case.content, **case.params)
        reason = reasons()
        expected = (case.details, [case.fields] if case.fields else [], case.consent, case.reason)
        if (came := what_came(hook, case, response, reason)) != expected:
            wrong.append((case.name, came, expected))
    assert wrong == []


ODD_VALUES = (..., None, 0, 1, "", "x", "UNKNOWN", "x" * 70_000, [], {}, [None], True, "\0", -1)
EVENTS = {"telnyx": "data.event_type", "smsgate": "event", "httpsms": "type"}


def paths(content: Any, before: str = "") -> list[str]:
    """The paths of all values of a request."""
    if not isinstance(content, dict):
        return [before[:-1]]
    nested = [path for name, each in content.items() for path in paths(each, f"{before}{name}.")]
    return [before[:-1], *nested] if before else nested


def test_no_odd_value_is_a_5xx_or_loses_a_text_without_a_reason(client, carrier, reasons):
    wrong = []
    hook = Hook(new_organization(client, OWN))
    for path in paths(MAKE[carrier](OWN)):
        for value in ODD_VALUES:
            content = put(MAKE[carrier](OWN), path, value)
            if carrier == "twilio":
                content = {name: str(each) for name, each in content.items() if each is not None}
            response = hook.call(carrier, content, number=OWN)
            said = reasons()
            is_told = response.status_code == 422 and response.json["error"]["details"]
            is_kept = response.status_code == 200 and (hook.messages() or said)
            if not is_told and not is_kept:
                wrong.append((path, str(value)[:10], response.status_code, said))
    assert wrong == []
    assert re.search("hello", str(hook.messages()))


def test_the_id_of_an_smsgate_message_is_computed_with_the_organizations_secret(alice, hook):
    content = hooks.smsgate(alice.number, message="a\0b", receivedAt="1970-01-01T00:00:00Z")
    for device in ("local", "cloud"):
        hook.call("smsgate", content | {"deviceId": device})
    hook.call("smsgate", {name: each for name, each in content.items() if name != "deviceId"})
    (message,) = hook.messages()
    told = datetime(1970, 1, 1, tzinfo=UTC)
    expected = smsgate_message_id(
        get_id_namespace(alice.id), alice.number, contact(1), told, "a\ufffdb"
    )
    assert message["id"] == str(expected)


def test_a_call_of_smsgate_may_have_16_mib_and_others_1_mib(alice, hook, gateway):
    event = mms(body="look", attachments=[{"data": PICTURE * 8}])
    status = hook.call("smsgate", event).status_code
    assert (status, [each["body"] for each in hook.messages()]) == (200, ["look"])
    put(event, "payload.attachments", [{"data": PICTURE * 12}])
    assert hook.call("smsgate", event).status_code == 413
    content = put(MAKE[gateway](alice.number), NAMES[gateway]["text"], "x" * 2**20)
    assert hook.call(gateway, content).status_code == (200 if gateway == "smsgate" else 413)


def test_a_third_large_call_waits_for_its_place(alice, hook, reasons, monkeypatch):
    monkeypatch.setattr(content, "LARGE_CALL_WAIT_SECONDS", 0.01)
    large = mms(body="look", attachments=[{"data": PICTURE}])
    with content.large_calls, content.large_calls:
        response = hook.call("smsgate", large)
        assert_error(response, 503, "UNAVAILABLE")
        assert int(response.headers["Retry-After"]) >= 1
        assert reasons() == "too many large calls at once"
        assert hook.call("smsgate", hooks.smsgate(alice.number)).status_code == 200
    assert hook.call("smsgate", large).status_code == 200


@pytest.mark.parametrize("bytes_", [b"%" * 10**6, b"%41a" * 250_000, b"%C3%A9" * 170_000])
def test_a_form_of_per_cent_signs_is_read_quickly(alice, hook, bytes_):
    body = b"MessageSid=SM1&From=DHL&To=%2B15551112222&Body=" + bytes_
    started = datetime.now(UTC)
    assert hook.send("twilio", body, {"key": hook.key}).status_code == 200
    assert datetime.now(UTC) - started < timedelta(seconds=5)
    (message,) = hook.messages()
    assert message["body"] in ("%" * 10_000, "Aa" * 5_000, "\xe9" * 10_000)
