"""Requests as carriers send them, for the tests of the hooks."""

import base64
from dataclasses import dataclass, field

from conversations.inbox import api_keys
from tests.conftest import contact

AT = "2026-04-28T12:00:01Z"
SID = "SM" + "0123456789abcdef" * 2
CARRIERS = ("twilio", "telnyx", "smsgate", "httpsms")
NAMES = {
    "twilio": {"id": "MessageSid", "contact": "From", "own": "To", "text": "Body"},
    "telnyx": {
        "id": "data.payload.id",
        "contact": "data.payload.from.phone_number",
        "own": "data.payload.to",
        "text": "data.payload.text",
        "at": "data.payload.received_at",
    },
    "smsgate": {
        "id": "event",
        "contact": "payload.sender",
        "own": "payload.recipient",
        "text": "payload.message",
        "at": "payload.receivedAt",
    },
    "httpsms": {
        "id": "data.message_id",
        "contact": "data.contact",
        "own": "data.owner",
        "text": "data.content",
        "at": "data.timestamp",
    },
}


def twilio(own: str, **fields) -> dict:
    """A form of Twilio; a field that is `...` is left out."""
    form = {
        "ToCountry": "US",
        "SmsMessageSid": SID,
        "NumMedia": "0",
        "SmsSid": SID,
        "SmsStatus": "received",
        "Body": "hello",
        "To": own,
        "MessagingServiceSid": "MG0",
        "NumSegments": "1",
        "MessageSid": SID,
        "AccountSid": "AC0",
        "From": contact(1),
        "ApiVersion": "2010-04-01",
        **fields,
    }
    return {name: value for name, value in form.items() if value is not ...}


def telnyx(own: str, event: str = "message.received", **payload) -> dict:
    """An event of Telnyx."""
    return {
        "data": {
            "event_type": event,
            "id": "b301ed3f-1490-491f-995f-6e64e69674d4",
            "occurred_at": "2026-04-28T12:00:02.000+00:00",
            "record_type": "event",
            "payload": {
                "id": "84cca175-9755-4859-b67f-4730d7f58aa3",
                "direction": "inbound",
                "type": "SMS",
                "from": {"phone_number": contact(1), "carrier": "T", "line_type": "Wireless"},
                "to": [{"phone_number": own, "status": "webhook_delivered"}],
                "cc": [],
                "text": "hello",
                "media": [],
                "parts": 1,
                "received_at": "2026-04-28T12:00:01.000+00:00",
                "sent_at": None,
                "completed_at": None,
                **payload,
            },
        },
        "meta": {"attempt": 1, "delivered_to": "https://example.com"},
    }


def sent_by_telnyx(own: str, status: str = "delivered", **payload) -> dict:
    """The event of a message that the organization sent."""
    fields = {
        "direction": "outbound",
        "from": {"phone_number": own},
        "to": [{"phone_number": contact(1), "status": status}],
        "received_at": "2026-04-28T12:00:00.000+00:00",
        "sent_at": "2026-04-28T12:00:01.000+00:00",
        "completed_at": "2026-04-28T12:00:03.000+00:00",
    }
    return telnyx(own, "message.finalized", **(fields | payload))


def smsgate(own: str | None, event: str = "sms:received", **payload) -> dict:
    """An event of SMSGate; its `id` is new for each delivery."""
    return {
        "deviceId": "ffffffffceb0b1db0000018e937c815b",
        "event": event,
        "id": "Ey6ECgOkVVFjz3CL48B8C",
        "webhookId": "LreFUt-Z3sSq0JufY9uWB",
        "payload": {
            "messageId": "abc123",
            "sender": contact(1),
            "recipient": own,
            "simNumber": 1,
            "message": "hello",
            "receivedAt": "2026-04-28T14:00:01.000+02:00",
            **payload,
        },
    }


def httpsms(own: str, event: str = "message.phone.received", **data) -> dict:
    """An event of httpSMS."""
    return {
        "specversion": "1.0",
        "id": "5ee5ee48-ffbb-4c8e-a1a1-1a1a1a1a1a1a",
        "source": "/v1/messages/receive",
        "type": event,
        "datacontenttype": "application/json",
        "time": "2026-04-28T12:00:02Z",
        "data": {
            "message_id": "32343a19-da5e-4b1b-a767-3298a73703cb",
            "user_id": "x",
            "owner": own,
            "encrypted": False,
            "contact": contact(1),
            "timestamp": AT,
            "content": "hello",
            "sim": "SIM1",
            **data,
        },
    }


def sent_by_httpsms(own: str, **data) -> dict:
    """The event of a message that the phone sent."""
    event = httpsms(own, "message.phone.sent", **data)
    event["data"]["id"] = event["data"].pop("message_id")
    return event


MAKE = {"twilio": twilio, "telnyx": telnyx, "smsgate": smsgate, "httpsms": httpsms}


def put(content: dict, path: str, value) -> dict:
    """Set what a path leads to; `...` removes it."""
    *parents, name = path.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return content


def put_own(carrier: str, content: dict, number) -> dict:
    """Set the organization's number in a request."""
    if carrier == "telnyx" and number is not ...:
        number = [{"phone_number": number}]
    return put(content, NAMES[carrier]["own"], number)


def basic(key: str, user: str = "hook") -> dict:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


@dataclass
class Hook:
    """A carrier that calls for an organization, with a key that may only record."""

    organization: object
    key: str = ""
    params: dict = field(default_factory=dict)

    def __post_init__(self):
        self.key = api_keys.create_api_key(self.organization.id, ["messages:write"], "hook")

    def call(self, carrier: str, content: dict, **params):
        """Call a hook with the key in the query."""
        return self.send(carrier, content, {"key": self.key, **params})

    def send(self, carrier: str, content, query=None, headers=None):
        kind = "data" if carrier == "twilio" else "json"
        options = {kind: content} if not isinstance(content, bytes) else {"data": content}
        if carrier == "twilio":
            options["content_type"] = "application/x-www-form-urlencoded"
        elif isinstance(content, bytes):
            options["content_type"] = "application/json"
        return self.organization.client.post(
            f"/v1/hooks/{carrier}", query_string=query, headers=headers, **options
        )

    def messages(self) -> list[dict]:
        """Every message of the organization, conversation by conversation."""
        rows = self.organization.conversations()
        paths = [f"/v1/conversations/{row['id']}/messages" for row in rows]
        return [each for path in paths for each in self.organization.get(path).json["data"]]


def counts(response) -> tuple[int, int, int]:
    """What a call of a gateway was answered: recorded, already there, skipped."""
    assert response.status_code == 200, response.text
    assert response.json["success"] is True
    assert list(response.json["data"]) == ["recorded", "already_there", "skipped"]
    return tuple(response.json["data"].values())


def assert_skipped(hook, carrier: str, content: dict, reasons, reason: str) -> None:
    response = hook.call(carrier, content)
    if carrier == "twilio":
        assert (response.status_code, response.data) == (200, b"<Response/>")
    else:
        assert counts(response) == (0, 0, 1)
    assert reasons() == reason
    assert hook.messages() == []
