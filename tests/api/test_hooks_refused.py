"""What hooks refuse, and how."""

import pytest

from tests.api import hooks
from tests.api.hooks import MAKE, NAMES, put
from tests.conftest import assert_error


@pytest.mark.parametrize("name", ["id", "contact"])
def test_a_call_without_an_id_or_a_sender_is_refused(alice, hook, carrier, name):
    content = MAKE[carrier](alice.number)
    if carrier == "twilio" and name == "id":
        del content["SmsSid"], content["SmsMessageSid"]
    path = NAMES[carrier][name]
    response = hook.call(carrier, put(content, path, ...))
    assert_error(response, 422, "VALIDATION_FAILED", **{path: "is required"})


@pytest.mark.parametrize("id", ["", "SM 1", "SM\0", "SMé", "x" * 65])
def test_an_id_that_is_none_is_refused(alice, hook, id):
    details = {"MessageSid": "must be 1..64 letters, digits and hyphens"}
    response = hook.call("twilio", hooks.twilio(alice.number, MessageSid=id))
    assert_error(response, 422, "VALIDATION_FAILED", **details)


@pytest.mark.parametrize("content", [{}, {"data": []}, {"data": None, "payload": "x"}, {"type": 5}])
def test_what_the_carrier_does_not_send_is_refused(hook, gateway, content):
    response = hook.call(gateway, content)
    assert response.status_code == 422
    (sentence,) = response.json["error"]["details"].values()
    assert sentence in ("is required", "must be a string")


@pytest.mark.parametrize(
    "to", [5, "+15551112222", [5], [{"phone_number": "x"}], [{"phone_number": None}], [{}]]
)
def test_recipients_that_are_no_list_of_numbers_are_refused(alice, hook, to):
    for event in (hooks.telnyx(alice.number, to=to), hooks.sent_by_telnyx(alice.number, to=to)):
        response = hook.call("telnyx", event)
        assert response.status_code == 422
        assert list(response.json["error"]["details"]) == ["data.payload.to"]


ODD_FIELDS = {
    "telnyx": [
        "data.payload",
        *(f"data.payload.{name}" for name in ("media", "cc", "parts", "type")),
    ],
    "smsgate": ["payload", "payload.attachments", "event"],
    "httpsms": ["data", "data.attachments", "data.encrypted", "type"],
}


def test_fields_of_another_type_than_the_carriers_are_no_5xx(alice, hook, gateway):
    for path in (*NAMES[gateway].values(), *ODD_FIELDS[gateway]):
        for value in (None, 5, 1.5, True, "x", [], [[]], [None], {}, {"x": 1}):
            content = put(MAKE[gateway](alice.number), path, value)
            assert hook.call(gateway, content).status_code in (200, 422)


def test_unknown_parameters_are_refused(alice, hook, carrier):
    response = hook.call(carrier, MAKE[carrier](alice.number), nubmer="1", regions="US")
    assert_error(
        response,
        422,
        "VALIDATION_FAILED",
        nubmer="unknown parameter; did you mean number?",
        regions="unknown parameter; did you mean region?",
    )


def test_parameters_are_checked(alice, hook, carrier):
    content = MAKE[carrier](alice.number)
    region = "must be an ISO 3166 country code, such as US"
    for name, value, sentence in (
        ("region", "XX", region),
        ("region", "USA", region),
        ("region", "", region),
        ("number", "0612345678", "must be E.164"),
        ("number", "", "must be E.164"),
        ("number", "\0", "must be E.164"),
    ):
        response = hook.call(carrier, content, **{name: value})
        assert_error(response, 422, "VALIDATION_FAILED", **{name: sentence})
    response = hook.send(carrier, content, f"key={hook.key}&region=US&region=US")
    assert_error(response, 422, "VALIDATION_FAILED", region="must be given once")


@pytest.mark.parametrize("number", ["+15551112222", "DHL"])
def test_a_field_of_a_form_that_comes_twice_counts_once(alice, hook, number):
    body = f"MessageSid=SM1&From={number.replace('+', '%2B')}&To=%2B15551112222&Body=one&Body=two"
    assert hook.send("twilio", body.encode(), {"key": hook.key}).status_code == 200
    assert [each["body"] for each in hook.messages()] == ["one"]


def test_another_content_type_is_415(alice, hook, carrier):
    for kind in (
        *("text/plain", "multipart/form-data", "application/xml", None),
        "application/json" if carrier == "twilio" else "application/x-www-form-urlencoded",
    ):
        response = alice.client.post(
            f"/v1/hooks/{carrier}?key={hook.key}", data=b"{}", content_type=kind
        )
        assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_that_is_too_large_is_413(hook, carrier):
    size = 2**24 if carrier == "smsgate" else 2**20
    response = hook.send(carrier, b"Body=" + b"x" * size, {"key": hook.key})
    assert_error(response, 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("body", [b"", b'{"data": ', b"[]", b"null", b"\xff", b'"x"'])
def test_half_of_a_json_object_is_400(hook, gateway, body):
    response = hook.send(gateway, body, {"key": hook.key})
    assert_error(response, 400, "INVALID_INPUT", body="must be a JSON object in UTF-8")


def test_a_form_of_thousands_of_fields_is_400(hook):
    response = hook.send("twilio", b"a&" * 5000, {"key": hook.key})
    assert_error(response, 400, "INVALID_INPUT", body="must be a form of up to 1000 fields")


def test_a_form_of_any_bytes_is_no_5xx(alice, hook):
    for body in (b"", b"&&", b"=%ff", b"\xff=\xff", b"MessageSid=%00", b"Body=%ff&From=%u0041"):
        assert hook.send("twilio", body, {"key": hook.key}).status_code == 422
    body = b"MessageSid=SM1&From=DHL&To=%2B15551112222&Body=%ff\xfe"
    assert hook.send("twilio", body, {"key": hook.key}).status_code == 200
    assert [each["body"] for each in hook.messages()] == ["\ufffd\ufffd"]


def test_a_carrier_that_is_unknown_is_404(hook):
    assert_error(hook.send("vonage", {}, {"key": hook.key}), 404, "NOT_FOUND")


def test_hooks_know_post_and_options_only(alice, carrier):
    path = f"/v1/hooks/{carrier}"
    assert_error(alice.get(path), 405, "METHOD_NOT_ALLOWED")
    response = alice.client.options(path)
    assert (response.status_code, response.headers["Allow"]) == (200, "OPTIONS, POST")


def test_another_organization_does_not_see_the_message(alice, bob, hook, carrier):
    hook.call(carrier, MAKE[carrier](alice.number))
    assert bob.conversations() == []
