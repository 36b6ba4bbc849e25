import io
import threading
import uuid
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from conversations.database import queries
from conversations.inbox import retention
from schemas.fields import encode_base64url, format_instant
from tests.conftest import assert_error, contact

AT = "2026-04-28T12:00:01Z"
E164 = "must be E.164"
TAKEN = {"id": "belongs to a message with other content"}


def inbound(organization, **fields) -> dict:
    """The body of an inbound message; a field given as ... is left out."""
    body = organization.inbound(body="Hello") | fields
    return {name: value for name, value in body.items() if value is not ...}


def post(organization, **fields):
    return organization.post("/v1/messages", inbound(organization, **fields))


def post_raw(organization, body: bytes | str, content_type: str | None = "application/json"):
    return organization.client.post(
        "/v1/messages", data=body, content_type=content_type, headers=organization.auth
    )


def messages(organization) -> list[dict]:
    """The messages of the organization's only conversation, none without one."""
    found = organization.conversations()
    if not found:
        return []
    return organization.get(f"/v1/conversations/{found[0]['id']}/messages").json["data"]


def assert_nothing_stored(organization) -> None:
    assert organization.conversations() == []


def test_records_a_message_with_every_field(alice):
    id = uuid.uuid4()
    response = post(
        alice,
        id=str(id).upper(),
        body="Look at this",
        media_urls=["https://example.com/1.jpg", "HTTP://example.com/2.jpg?x=1#y"],
        channel="sms",
        segment_count=3,
        created_at="2026-04-28T14:00:01.1234567+02:00",
    )
    assert response.status_code == 201
    assert list(response.json) == ["success", "data"]
    assert list(response.json["data"].items()) == [
        ("id", str(id)),
        ("direction", "inbound"),
        ("phone_number_id", str(alice.phone_number_id)),
        ("from_number", contact(1)),
        ("to_number", alice.number),
        ("body", "Look at this"),
        ("media_urls", ["https://example.com/1.jpg", "HTTP://example.com/2.jpg?x=1#y"]),
        ("channel", "sms"),
        ("segment_count", 3),
        ("created_at", "2026-04-28T12:00:01.123456Z"),
        ("redacted_at", None),
    ]
    assert messages(alice) == [response.json["data"]]


def test_the_defaults_are_a_new_uuid7_now_and_sms(alice):
    before = datetime.now(UTC)
    row = post(alice).json["data"]
    after = datetime.now(UTC)
    assert uuid.UUID(row["id"]).version == 7
    assert uuid.UUID(row["id"]).variant == uuid.RFC_4122
    made_at = datetime.fromtimestamp((uuid.UUID(row["id"]).int >> 80) / 1000, UTC)
    assert before - timedelta(milliseconds=1) <= made_at <= after
    assert before <= datetime.fromisoformat(row["created_at"]) <= after
    assert row["channel"] == "sms"
    assert row["media_urls"] == []
    assert row["segment_count"] is None


def test_two_messages_without_an_id_are_two_messages(alice):
    assert post(alice, created_at=AT).status_code == 201
    assert post(alice, created_at=AT).status_code == 201
    assert alice.conversations()[0]["message_count"] == 2


def test_media_without_a_text_is_an_mms(alice):
    row = post(alice, body=..., media_urls=["https://example.com/1.jpg"]).json["data"]
    assert (row["body"], row["channel"]) == (None, "mms")
    assert alice.conversations()[0]["last_message_preview"] == "[media]"


def test_a_null_body_is_no_body(alice):
    assert post(alice, body=None, media_urls=["https://example.com/1.jpg"]).status_code == 201
    response = post(alice, body=None)
    assert_error(response, 422, "VALIDATION_FAILED", body="must be 1..1600 chars")


def test_a_given_channel_is_kept_whatever_the_media_say(alice):
    row = post(alice, channel="mms").json["data"]
    assert (row["channel"], row["media_urls"]) == ("mms", [])


@pytest.mark.parametrize("number", ["123", "12345678"])
def test_a_contact_may_be_a_short_code(alice, number):
    row = post(alice, **{"from": number}).json["data"]
    assert row["from_number"] == number
    assert alice.conversations(contact_number=number)[0]["contact_number"] == number


def test_an_organizations_own_number_may_be_a_short_code(alice):
    alice.new_number("54321")
    row = post(alice, direction="outbound", **{"from": "54321", "to": contact(1)}).json["data"]
    assert row["from_number"] == "54321"


def test_the_own_number_must_be_the_receiver_of_an_inbound_message(alice):
    response = post(alice, **{"from": alice.number, "to": contact(1)})
    assert_error(response, 422, "VALIDATION_FAILED", to="is not one of your phone numbers")
    assert_nothing_stored(alice)


def test_the_own_number_must_be_the_sender_of_an_outbound_message(alice):
    response = post(alice, direction="outbound")
    assert_error(response, 422, "VALIDATION_FAILED", **{"from": "is not one of your phone numbers"})
    assert_nothing_stored(alice)


def test_another_organizations_number_is_not_ones_own(alice, bob):
    bob.new_number("+15551113333")
    response = post(alice, to="+15551113333")
    assert_error(response, 422, "VALIDATION_FAILED", to="is not one of your phone numbers")


def test_a_message_between_two_own_numbers_belongs_to_the_one_its_direction_names(alice):
    other = alice.new_number("+15551113333")
    received = post(alice, **{"from": alice.number, "to": "+15551113333"}).json["data"]
    sent = post(alice, direction="outbound", **{"from": alice.number, "to": "+15551113333"}).json[
        "data"
    ]
    assert received["phone_number_id"] == str(other)
    assert sent["phone_number_id"] == str(alice.phone_number_id)


# Idempotency


def test_the_same_message_again_is_200_and_changes_nothing(alice):
    fields = {
        "id": str(uuid.uuid4()),
        "created_at": AT,
        "media_urls": ["https://example.com/1.jpg"],
        "channel": "sms",
        "segment_count": 1,
    }
    first = post(alice, **fields)
    again = post(alice, **fields)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json["data"] == first.json["data"]
    assert alice.conversations()[0]["message_count"] == 1


def test_the_same_message_may_be_spelt_another_way(alice):
    id = str(uuid.uuid4())
    first = post(alice, id=id, created_at="2026-04-28T12:00:01Z")
    again = post(alice, id=id.upper(), created_at="2026-04-28t14:00:01.0000009+02:00")
    assert again.status_code == 200
    assert again.json["data"] == first.json["data"]


def test_a_retry_without_created_at_is_the_same_message(alice):
    id = str(uuid.uuid4())
    first = post(alice, id=id)
    again = post(alice, id=id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json["data"] == first.json["data"]


def test_only_the_fields_that_a_retry_gives_are_compared(alice):
    id = str(uuid.uuid4())
    first = post(
        alice,
        id=id,
        created_at=AT,
        media_urls=["https://example.com/1.jpg"],
        channel="sms",
        segment_count=4,
    )
    again = post(alice, id=id)
    assert again.status_code == 200
    assert again.json["data"] == first.json["data"]


@pytest.mark.parametrize(
    "other",
    [
        {"body": "hello"},
        {"body": "Hello "},
        {"body": None, "media_urls": ["https://example.com/1.jpg"]},
        {"media_urls": []},
        {"media_urls": ["https://example.com/1.jpg", "https://example.com/1.jpg"]},
        {"channel": "sms"},
        {"segment_count": 2},
        {"created_at": "2026-04-28T12:00:01.000001Z"},
        {"from": contact(2)},
        {"direction": "outbound", "from": "+15551112222", "to": contact(1)},
    ],
)
def test_the_same_id_with_other_content_is_a_conflict(alice, other):
    fields = {
        "id": str(uuid.uuid4()),
        "created_at": AT,
        "media_urls": ["https://example.com/1.jpg"],
        "channel": "mms",
        "segment_count": 1,
    }
    first = post(alice, **fields)
    assert_error(post(alice, **fields | other), 409, "CONFLICT", **TAKEN)
    assert messages(alice) == [first.json["data"]]
    assert len(alice.conversations()) == 1


def test_an_id_of_another_organization_is_free(alice, bob):
    id = str(uuid.uuid4())
    assert post(alice, id=id, body="to Alice").status_code == 201
    assert post(bob, id=id, body="to Bob").status_code == 201
    assert [row["body"] for row in messages(alice)] == ["to Alice"]
    assert [row["body"] for row in messages(bob)] == ["to Bob"]


def test_content_that_has_been_redacted_since_cannot_differ(alice):
    fields = {"id": str(uuid.uuid4()), "created_at": AT, "segment_count": 1}
    post(alice, **fields)
    retention.erase_contact(alice.id, contact(1))
    for content in (
        {},
        {"body": "something else"},
        {"body": None, "media_urls": ["https://example.com/1.jpg"]},
    ):
        again = post(alice, **fields | content)
        assert again.status_code == 200
        assert again.json["data"]["body"] is None
        assert again.json["data"]["media_urls"] == []
        assert again.json["data"]["redacted_at"] is not None
    assert_error(post(alice, **fields | {"segment_count": 2}), 409, "CONFLICT", **TAKEN)
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"


def test_the_same_hook_ten_times_at_once_stores_one_message(app, alice):
    id, statuses = str(uuid.uuid4()), []

    def call():
        response = app.test_client().post(
            "/v1/messages", json=inbound(alice, id=id), headers=alice.auth
        )
        statuses.append(response.status_code)

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 9 + [201]
    assert len(messages(alice)) == 1
    assert alice.conversations()[0]["message_count"] == 1
    assert alice.get("/v1/conversations").json["meta"]["total"] == 1


# Validation


NUMBERS = [
    None,
    15551234567,
    "",
    "x",
    "a longer name",
    "Bank ",
    "15551234567",
    "+05551234567",
    "+1234567890123456",
    "+1",
    " +15551234567",
    "+15551234567\n",
    "+1555123456\0",
    "+1555123456\u0665",
    "whatsapp:+15551234567",
    "12",
    "012",
    "123456789",
]
REFUSED = {
    ("direction", "must be inbound or outbound"): [None, "INBOUND", "", 1, ["inbound"]],
    ("from", "must be E.164"): NUMBERS,
    ("to", "must be E.164"): NUMBERS,
    ("body", "must be 1..1600 chars"): [
        ...,
        None,
        "",
        "x" * 1601,
        5,
        True,
        ["Hello"],
        {"text": "Hello"},
    ],
    ("body", "must not contain NUL"): ["x\0y", "\0"],
    ("media_urls", "must be up to 10 http(s) URLs"): [
        "https://example.com/1.jpg",
        [None],
        [""],
        ["ftp://example.com/1.jpg"],
        ["//example.com/1.jpg"],
        ["https://"],
        ["https:///1.jpg"],
        ["https://example.com/ 1.jpg"],
        ["https://example.com/\0"],
        ["https://example.com/1.jpg"] * 11,
    ],
    ("channel", "must be sms or mms"): ["", "SMS", "whatsapp"],
    ("segment_count", "must be 1..100"): [0, 101, -1, 10**18, "1", 1.0, True],
    ("id", "must be a UUID"): [
        5,
        "x",
        "{7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e}",
        "urn:uuid:7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
        "7c1f0a2d9e8b4c3a9d2e1f0a2b3c4d5e",
        "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e\n",
    ],
    ("form", "unknown field; did you mean from?"): ["+15550000001"],
    ("colour", "unknown field"): [None],
    ("from_number", "unknown field"): ["+15550000001"],
    ("", "unknown field"): [1],
    ("\0", "unknown field"): [1],
}


CASES = [(*key, value) for key, values in REFUSED.items() for value in values]


def test_refuses_by_name_whatever_it_does_not_take(alice, subtests):
    for field, sentence, value in CASES:
        with subtests.test(field=field, sentence=sentence, value=value):
            response = post(alice, **{field: value})
            assert_error(response, 422, "VALIDATION_FAILED", **{field: sentence})
            assert_nothing_stored(alice)


@pytest.mark.parametrize("field", ["direction", "from", "to"])
def test_says_which_field_is_missing(alice, field):
    response = post(alice, **{field: ...})
    assert_error(response, 422, "VALIDATION_FAILED", **{field: "is required"})


def test_no_media_do_not_stand_in_for_a_body(alice):
    response = post(alice, body=..., media_urls=[])
    assert_error(response, 422, "VALIDATION_FAILED", body="must be 1..1600 chars")


def test_refuses_a_number_beyond_all_integers(alice):
    body = orjson.dumps(inbound(alice, segment_count=1)).replace(b":1}", b":1" + b"0" * 99 + b"}")
    response = post_raw(alice, body)
    assert_error(response, 422, "VALIDATION_FAILED", segment_count="must be 1..100")


NO_INSTANTS = [
    1777377601,
    "",
    "yesterday",
    "2026-04-28",
    "2026-04-28T12:00:01",
    "2026-04-28 12:00:01Z",
    "2026-04-28T12:00Z",
    "2026-04-28T12:00:60Z",
    "2026-04-28T24:00:00Z",
    "2026-02-30T12:00:01Z",
    "2026-W18-2T12:00:01Z",
    "2026-04-28T12:00:01,5Z",
    "2026-04-28T12:00:01.Z",
    "2026-04-28T12:00:01.1234567890Z",
    "2026-04-28T12:00:01+02",
    "2026-04-28T12:00:01+24:00",
    "2026-04-28T12:00:01 02:00",
    "0000-04-28T12:00:01Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59Z",
    "2026-04-28T12:00:01Z\n",
    "2026-04-28T12:00:01\0Z",
    "\u0662026-04-28T12:00:01Z",
]


def test_refuses_a_created_at_that_is_no_instant_with_an_offset(alice, subtests):
    for created_at in NO_INSTANTS:
        with subtests.test(created_at=created_at):
            sentence = (
                "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"
            )
            response = post(alice, created_at=created_at)
            assert_error(response, 422, "VALIDATION_FAILED", created_at=sentence)
            assert_nothing_stored(alice)


def test_created_at_may_be_up_to_24_hours_ahead(alice):
    sentence = "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"
    nearly = format_instant(datetime.now(UTC) + timedelta(hours=23, minutes=59))
    beyond = format_instant(datetime.now(UTC) + timedelta(hours=24, minutes=1))
    assert_error(post(alice, created_at=beyond), 422, "VALIDATION_FAILED", created_at=sentence)
    assert post(alice, created_at=nearly).json["data"]["created_at"] == nearly


def test_created_at_may_be_as_old_as_the_first_text_message(alice):
    for at in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1992-12-02T23:59:59.999999Z"):
        details = {"created_at": "must not be before 1992-12-03"}
        assert_error(post(alice, created_at=at), 422, "VALIDATION_FAILED", **details)
    row = post(alice, created_at="1992-12-03T02:00:00+0200").json["data"]
    assert row["created_at"] == "1992-12-03T00:00:00Z"
    assert messages(alice) == [row]
    assert alice.conversations()[0]["last_message_at"] == "1992-12-03T00:00:00Z"


def test_what_may_be_left_out_may_be_null(alice):
    absent = ("id", "media_urls", "channel", "segment_count", "created_at")
    response = post(alice, **dict.fromkeys(absent))
    assert (response.status_code, response.json["data"]["channel"]) == (201, "sms")
    response = post(alice, **dict.fromkeys(("direction", "from", "to")))
    details = {"direction": "must be inbound or outbound", "from": E164, "to": E164}
    assert_error(response, 422, "VALIDATION_FAILED", **details)


@pytest.mark.parametrize(
    "body", ["x", "x" * 1600, "\U0001f4a9" * 1600, "é" * 1600, " ", "\r\n\t\x7f\u2028", "'\"\\{}%s"]
)
def test_a_body_is_kept_to_the_letter(alice, body):
    assert post(alice, body=body).json["data"]["body"] == body
    assert messages(alice)[0]["body"] == body


@pytest.mark.parametrize(
    "name", ["DHL", "My Bank", "B&B-1_2.3", "x" * 11, "Q2", "1und1", "O'Reilly", "a+"]
)
def test_a_sender_id_is_a_number_at_either_end(alice, name):
    own_id = alice.new_number(name)
    contacts = post(alice, **{"from": name}).json["data"]
    assert contacts["from_number"] == name
    sent = post(alice, direction="outbound", **{"from": name}, to=contact(2)).json["data"]
    assert (sent["from_number"], sent["phone_number_id"]) == (name, str(own_id))
    (row,) = alice.conversations(contact_number=name)
    assert row["contact_number"] == name
    (row,) = alice.conversations(phone_number_id=own_id)
    assert row["phone_number"] == name


def test_sender_ids_are_told_apart_by_upper_and_lower_case(alice):
    for name in ("DHL", "dhl"):
        post(alice, **{"from": name})
    assert [row["contact_number"] for row in alice.conversations(contact_number="dhl")] == ["dhl"]
    assert len(alice.conversations()) == 2


def test_every_complaint_is_told_at_once(alice):
    response = post(alice, direction="up", to="x", body="", segment_count="1", colour="red")
    assert_error(
        response,
        422,
        "VALIDATION_FAILED",
        direction="must be inbound or outbound",
        to="must be E.164",
        body="must be 1..1600 chars",
        segment_count="must be 1..100",
        colour="unknown field",
    )


@pytest.mark.parametrize("bounds", [1, 100])
def test_takes_the_bounds_of_segment_count(alice, bounds):
    assert post(alice, segment_count=bounds).json["data"]["segment_count"] == bounds


def test_takes_ten_media(alice):
    urls = [f"https://example.com/{number}.jpg" for number in range(10)]
    assert post(alice, media_urls=urls).json["data"]["media_urls"] == urls


# The body as a whole


NO_OBJECTS = [
    b"",
    b" ",
    b"x",
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"[{}]",
    b"{",
    b"{} {}",
    b"{'body': 'x'}",
    b'{"body": NaN}',
    b'{"segment_count": 1e999}',
    b'{"body": "\\ud800"}',
    b'{"body": "\xed\xa0\x80"}',
    b'{"body": "\xff"}',
    b'{"body": "\x01"}',
    "{}".encode("utf-16"),
    b"[" * 100_000,
    b'{"body": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
]


def test_refuses_a_body_that_is_no_json_object(alice, subtests):
    for body in NO_OBJECTS:
        with subtests.test(body=body):
            assert_error(
                post_raw(alice, body), 400, "INVALID_INPUT", body="must be a JSON object in UTF-8"
            )
            assert_nothing_stored(alice)


def test_a_byte_order_mark_before_a_body_is_ignored(alice):
    body = b"\xef\xbb\xbf" + orjson.dumps(inbound(alice))
    assert post_raw(alice, body).status_code == 201
    assert_error(
        post_raw(alice, b"\xef\xbb\xbf" + body),
        400,
        "INVALID_INPUT",
        body="must be a JSON object in UTF-8",
    )


def test_a_compressed_body_is_refused(alice):
    for coding in ("gzip", "GZIP", "br", "gzip, identity", ""):
        headers = alice.auth | {"Content-Encoding": coding, "Content-Type": "application/json"}
        response = alice.client.post("/v1/messages", data=b"{}", headers=headers)
        assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")
        assert response.headers["Accept-Encoding"] == "identity"
    headers["Content-Encoding"] = "Identity"
    assert alice.client.post("/v1/messages", data=b"{}", headers=headers).status_code == 422


def test_json_nested_as_deep_as_it_may_be_is_a_field_like_any_other(alice):
    body = orjson.dumps(inbound(alice))[:-1] + b', "deep": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert_error(post_raw(alice, body), 422, "VALIDATION_FAILED", deep="unknown field")
    repeated = body[:-1] + b', "bod\\u0079": "once more"}'
    assert_error(post_raw(alice, repeated), 422, "VALIDATION_FAILED", body="must be given once")


def test_a_field_given_twice_is_refused_because_parsers_differ_in_which_counts(alice):
    body = orjson.dumps(inbound(alice)).replace(b'"body":', b'"body":"first","body":')
    assert_error(post_raw(alice, body), 422, "VALIDATION_FAILED", body="must be given once")
    assert alice.conversations() == []


def test_an_escaped_surrogate_pair_is_one_character(alice):
    body = orjson.dumps(inbound(alice, body="?")).replace(b"?", rb"\ud83d\ude00")
    assert post_raw(alice, body).json["data"]["body"] == "\U0001f600"


NOT_JSON = [
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "application/problem+json",
    "text/json",
]


def test_refuses_what_is_not_declared_as_json(alice, subtests):
    for content_type in NOT_JSON:
        with subtests.test(content_type=content_type):
            response = post_raw(alice, orjson.dumps(inbound(alice)), content_type)
            assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")
            assert_nothing_stored(alice)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_takes_json_with_parameters_in_any_case(alice, content_type):
    body = orjson.dumps(inbound(alice))
    assert post_raw(alice, body, content_type).status_code == 201


def test_refuses_a_body_over_one_mebibyte(alice):
    body = orjson.dumps(inbound(alice))
    fits = body.ljust(1024 * 1024)
    assert_error(post_raw(alice, fits + b" "), 413, "PAYLOAD_TOO_LARGE")
    assert_nothing_stored(alice)
    assert post_raw(alice, fits).status_code == 201


def test_refuses_a_chunked_body_over_one_mebibyte(alice):
    fits = orjson.dumps(inbound(alice)).ljust(1024 * 1024)

    def send(body):
        return alice.client.post(
            "/v1/messages",
            input_stream=io.BytesIO(body),
            content_type="application/json",
            headers={**alice.auth, "Transfer-Encoding": "chunked"},
            # As gunicorn hands over a body whose end only it knows.
            environ_overrides={"wsgi.input_terminated": True},
        )

    assert_error(send(fits + b" "), 413, "PAYLOAD_TOO_LARGE")
    assert_nothing_stored(alice)
    assert send(fits).status_code == 201


def test_the_type_is_checked_before_the_size_and_that_before_the_content(alice):
    large = b"x" * (1024 * 1024 + 1)
    assert_error(post_raw(alice, large, "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert_error(post_raw(alice, large), 413, "PAYLOAD_TOO_LARGE")
    assert_error(
        post_raw(alice, large[:-1]), 400, "INVALID_INPUT", body="must be a JSON object in UTF-8"
    )


def test_the_key_is_checked_before_the_body(alice, client):
    assert_error(client.post("/v1/messages", data="x"), 401, "UNAUTHORIZED")


def test_takes_no_query_parameters_into_account(alice):
    response = alice.post("/v1/messages?body=other", inbound(alice))
    assert response.json["data"]["body"] == "Hello"


# The conversation that a message belongs to


def test_the_first_message_starts_the_conversation_under_the_id_of_its_pair(alice):
    post(alice, created_at=AT)
    (row,) = alice.conversations()
    raw = queries.fetch_all("list_summaries", organization_id=alice.id)[0]["id"].bytes
    assert row["id"] == encode_base64url(raw)
    assert row["last_message_at"] == AT
    assert row["last_message_direction"] == "inbound"
    assert row["last_message_preview"] == "Hello"
    assert row["message_count"] == 1
    assert row["consent"] is None


def test_a_late_message_does_not_move_the_conversation_back(alice):
    post(alice, body="new", created_at="2026-04-28T12:00:01Z")
    post(alice, body="old", created_at="2026-04-28T12:00:00.999999Z", direction="inbound")
    (row,) = alice.conversations()
    assert (row["last_message_at"], row["last_message_preview"]) == (AT, "new")
    assert row["message_count"] == 2


def test_in_the_same_microsecond_the_greater_id_is_the_last_message(alice):
    for id in (5, 9, 7):
        post(alice, id=str(uuid.UUID(int=id << 64)), body=f"id {id}", created_at=AT)
    assert alice.conversations()[0]["last_message_preview"] == "id 9"


@pytest.mark.parametrize(
    ("body", "preview"),
    [
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 159 + "…"),
        ("\U0001f4a9" * 161, "\U0001f4a9" * 159 + "…"),
        ("[redacted]", "[redacted]"),
        ("[media]", "[media]"),
    ],
)
def test_the_preview_is_the_body_or_its_first_159_characters(alice, body, preview):
    post(alice, body=body)
    (row,) = alice.conversations()
    assert row["last_message_preview"] == preview
    assert row["last_message_body_redacted_at"] is None
