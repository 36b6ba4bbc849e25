"""The messages of httpSMS's API, an object a line."""

import orjson
import pytest

from tests.api.hooks import Hook
from tests.command_line import flask
from tests.conftest import contact

ID = "32343a19-da5e-4b1b-a767-3298a73703cb"
AT = "2026-04-28T12:00:01Z"


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def entity(owner: str, **fields) -> dict:
    """A received message as the API returns it."""
    return {
        "id": ID,
        "owner": owner,
        "contact": contact(1),
        "user_id": "x",
        "content": "hello",
        "encrypted": False,
        "attachments": None,
        "type": "mobile-originated",
        "status": "received",
        "sim": "SIM1",
        "request_received_at": "2026-04-28T12:00:05Z",
        "created_at": "2026-04-28T12:00:06Z",
        "order_timestamp": "2026-04-28T12:00:07Z",
        "sent_at": None,
        "received_at": "2026-04-28T14:00:01+02:00",
        "failure_reason": None,
        **fields,
    }


@pytest.fixture
def imports(alice, tmp_path):
    """Import messages as Alice and return the result."""

    def run(*messages: dict, arguments=(), ends_with: int = 0):
        path = tmp_path / "messages.ndjson"
        path.write_bytes(b"\n".join(map(orjson.dumps, messages)))
        given = (alice.id, path, "--format", "httpsms", *arguments)
        return flask("import-messages", *given, ends_with=ends_with)

    return run


def stored(organization) -> list[dict]:
    (row,) = organization.conversations()
    return organization.get(f"/v1/conversations/{row['id']}/messages").json["data"]


def test_received_and_sent_messages_are_read(alice, imports):
    sent = {"type": "mobile-terminated", "status": "delivered", "received_at": None}
    media = ["https://example.com/1.jpg", "no address"]
    messages = [
        entity(alice.number),
        entity(alice.number, id="s1", **sent, sent_at="2026-04-28T12:00:02Z"),
        entity(alice.number, id="s2", **sent | {"status": "sent"}, content="later"),
        entity(alice.number, id="m", attachments=media, content="", received_at=None),
        entity(
            *(alice.number,),
            **{"id": "e", "encrypted": True, "content": "cipher"},
            received_at="0001-01-01T00:00:00Z",
            order_timestamp="2026-04-28T12:00:08Z",
        ),
    ]
    assert imports(*messages).stdout == tally(imported=5)
    names = ("direction", "body", "channel", "media_urls", "created_at")
    assert [tuple(each[name] for name in names) for each in stored(alice)] == [
        ("inbound", "hello", "sms", [], AT),
        ("outbound", "hello", "sms", [], "2026-04-28T12:00:02Z"),
        *sorted(
            [
                ("outbound", "later", "sms", [], "2026-04-28T12:00:07Z"),
                ("inbound", None, "mms", media[:1], "2026-04-28T12:00:07Z"),
            ],
            key=lambda row: [each["body"] for each in stored(alice)].index(row[1]),
        ),
        ("inbound", None, "mms", [], "2026-04-28T12:00:08Z"),
    ]
    assert imports(*messages).stdout == tally(there=5)


def test_what_the_hook_has_recorded_is_already_there_in_either_order(alice, imports):
    hook = Hook(alice)

    def received(id: str) -> dict:
        data = {"message_id": id, "owner": alice.number, "contact": contact(1), "sim": "SIM1"}
        data |= {"content": "hello", "timestamp": "2026-04-28T12:00:03Z"}
        event = {"type": "message.phone.received", "id": "x", "time": AT, "data": data}
        response = alice.client.post(f"/v1/hooks/httpsms?key={hook.key}", json=event)
        return response.json["data"]

    assert received(ID)["recorded"] == 1
    both = entity(alice.number), entity(alice.number, id="other")
    assert imports(*both).stdout == tally(imported=1, there=1)
    assert received("other")["already_there"] == 1
    assert len(stored(alice)) == 2


def test_calls_and_messages_that_were_not_exchanged_are_skipped(alice, imports):
    statuses = ["pending", "scheduled", "sending", "failed", "expired", "deleted", None]
    skipped = [entity(alice.number, status=status) for status in statuses]
    skipped.append(entity(alice.number, type="call/missed"))
    assert imports(*skipped).stdout == tally(skipped=8)


def test_every_refusal_names_the_field_of_the_message(alice, imports):
    cases = [
        ({"owner": contact(9)}, "owner is not one of your phone numbers"),
        ({"owner": None}, "owner must be E.164"),
        ({"contact": "rcs:x"}, "contact must be E.164"),
        ({"contact": 5}, "contact must be E.164"),
        ({"id": ""}, "id must be 1..64 letters, digits and hyphens"),
        ({"type": "fax"}, "type must be mobile-originated or mobile-terminated"),
        ({"content": 5}, "content must be 0..10000 chars"),
        ({"received_at": "now"}, "order_timestamp must be an RFC 3339 date-time"),
        ({"received_at": None, "order_timestamp": None}, "order_timestamp"),
    ]
    messages = [entity(alice.number) | fields for fields, _ in cases]
    result = imports(*messages, ends_with=1)
    assert result.stdout == tally(refused=len(cases))
    printed = result.stderr.splitlines()
    starts = [f"line {n}: {said}" for n, (_, said) in enumerate(cases, 1)]
    offenders = [(p, s) for p, s in zip(printed, starts, strict=True) if not p.startswith(s)]
    assert offenders == []


def test_national_numbers_are_read_with_a_region(alice, imports):
    assert imports(entity(alice.number, contact="2125550123"), arguments=("--region", "us")).stdout
    (row,) = alice.conversations()
    assert row["contact_number"] == "+12125550123"
