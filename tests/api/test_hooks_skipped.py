"""What carriers report beside received messages: events, statuses, what was sent, groups."""

import pytest

from tests.api import hooks
from tests.api.hooks import AT, MAKE, assert_skipped, counts
from tests.conftest import contact

# What is skipped


@pytest.mark.parametrize("status", ["queued", "sent", "delivered", "undelivered", "failed", "read"])
def test_a_status_of_delivery_is_skipped_before_its_numbers_are_looked_at(
    alice, hook, reasons, status
):
    form = hooks.twilio("x", SmsStatus=status, MessageStatus=status, From="y", Body=...)
    assert_skipped(hook, "twilio", form, reasons, f"status of delivery {status}")


@pytest.mark.parametrize("channel", ["whatsapp", "rcs", "messenger"])
@pytest.mark.parametrize("end", ["From", "To"])
def test_another_channel_is_skipped_before_its_numbers_are_looked_at(
    alice, hook, reasons, channel, end
):
    form = hooks.twilio("+15559999999", **{end: f"{channel}:+15554443333"})
    assert_skipped(hook, "twilio", form, reasons, f"channel {channel}")


def test_another_channel_of_telnyx_is_skipped(alice, hook, reasons):
    event = hooks.telnyx(contact(9), type="RCS", to="agent", **{"from": "x"})
    assert_skipped(hook, "telnyx", event, reasons, "channel RCS")


@pytest.mark.parametrize(
    ("carrier", "event"),
    [
        ("telnyx", "message.sent"),
        ("smsgate", "mms:received"),
        ("smsgate", "sms:sent"),
        ("smsgate", "sms:delivered"),
        ("smsgate", "sms:failed"),
        ("smsgate", "sms:data-received"),
        ("smsgate", "system:ping"),
        ("httpsms", "message.phone.delivered"),
        ("httpsms", "message.send.failed"),
        ("httpsms", "phone.heartbeat.offline"),
    ],
)
def test_another_kind_of_event_is_skipped_whatever_is_in_it(hook, reasons, carrier, event):
    content = MAKE[carrier]("x", event)
    content["data" if carrier == "httpsms" else "payload"] = 5
    assert_skipped(hook, carrier, content, reasons, f"event {event}")


@pytest.mark.parametrize("event", ["+15554443333", "call 911", "x" * 50, "a\nb", "10dlc.update"])
def test_a_name_that_might_be_anything_is_not_logged(hook, reasons, event):
    assert_skipped(hook, "telnyx", hooks.telnyx("x", event), reasons, "another event")


# What is sent


@pytest.mark.parametrize("status", ["sent", "delivered", "delivery_unconfirmed"])
def test_telnyx_tells_what_was_sent(alice, hook, status):
    assert counts(hook.call("telnyx", hooks.sent_by_telnyx(alice.number, status))) == (1, 0, 0)
    (message,) = hook.messages()
    assert (message["direction"], message["created_at"]) == ("outbound", AT)
    assert (message["from_number"], message["to_number"]) == (alice.number, contact(1))


@pytest.mark.parametrize("status", ["expired", "sending_failed", "delivery_failed", "queued"])
def test_what_telnyx_could_not_send_is_skipped(hook, reasons, status):
    # Before its number is looked at: it is nobody's here.
    event = hooks.sent_by_telnyx(contact(9), status)
    assert_skipped(hook, "telnyx", event, reasons, f"status {status}")


def test_a_text_to_several_is_a_message_to_each_that_it_reached(alice, hook, reasons):
    statuses = ["delivered", "delivery_failed", "sent"]
    to = [{"phone_number": contact(n), "status": each} for n, each in enumerate(statuses)]
    event = hooks.sent_by_telnyx(alice.number, to=to)
    assert counts(hook.call("telnyx", event)) == (2, 0, 1)
    assert reasons() == "status delivery_failed"
    assert {row["contact_number"] for row in alice.conversations()} == {contact(0), contact(2)}
    assert counts(hook.call("telnyx", event)) == (0, 2, 1)


@pytest.mark.parametrize("missing", ["sent_at", "completed_at"])
def test_the_instant_of_what_was_sent_is_the_first_that_telnyx_gives(alice, hook, missing):
    names = ["sent_at", "completed_at"][: ["sent_at", "completed_at"].index(missing) + 1]
    hook.call("telnyx", hooks.sent_by_telnyx(alice.number, **dict.fromkeys(names)))
    expected = {"sent_at": "2026-04-28T12:00:03Z", "completed_at": "2026-04-28T12:00:02Z"}
    assert [each["created_at"] for each in hook.messages()] == [expected[missing]]


def test_httpsms_tells_what_was_sent(alice, hook):
    assert counts(hook.call("httpsms", hooks.sent_by_httpsms(alice.number))) == (1, 0, 0)
    (message,) = hook.messages()
    assert (message["direction"], message["body"]) == ("outbound", "hello")


# Groups


def test_a_text_to_a_group_is_one_message_to_the_number_of_yours(alice, hook):
    to = [{"phone_number": number} for number in (contact(5), alice.number, contact(6))]
    assert counts(hook.call("telnyx", hooks.telnyx(alice.number, to=to))) == (1, 0, 0)
    assert [row["contact_number"] for row in alice.conversations()] == [contact(1)]


def test_a_text_to_two_numbers_of_yours_is_a_message_to_each(alice, hook):
    alice.new_number(contact(7))
    to = [{"phone_number": number} for number in (alice.number, contact(7))]
    assert counts(hook.call("telnyx", hooks.telnyx(alice.number, to=to))) == (2, 0, 0)
    assert {row["phone_number"] for row in alice.conversations()} == {alice.number, contact(7)}


def test_a_copy_is_skipped(alice, hook, reasons):
    group = {"to": [{"phone_number": contact(5)}], "cc": [{"phone_number": alice.number}]}
    event = hooks.telnyx(alice.number, **group)
    assert_skipped(hook, "telnyx", event, reasons, "a copy: the number is in cc alone")
