"""Who may call a hook: a key in the query, as the password of Basic, or as Bearer."""

import urllib.error
import urllib.parse
import urllib.request

import pytest

from conversations.database import pool
from conversations.inbox import api_keys, organizations
from tests.api import hooks
from tests.api.hooks import MAKE
from tests.conftest import DATABASE_URL, assert_error, contact, new_organization
from tests.servers import running_service

CHALLENGES = ['Basic realm="conversations"', "Bearer"]
JWT = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx"}


def bearer(key: str) -> dict:
    return {"Authorization": f"Bearer {key}"}


def assert_unauthorized(response) -> None:
    assert_error(response, 401, "UNAUTHORIZED")
    assert response.headers.getlist("WWW-Authenticate") == CHALLENGES


def assert_missing_scope(response, **details) -> None:
    assert_error(response, 403, "FORBIDDEN", **details)
    challenge = 'Bearer error="insufficient_scope", scope="messages:write"'
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


@pytest.mark.parametrize("way", ["query", "basic", "bearer"])
def test_each_of_three_ways_lets_a_carrier_in(alice, hook, carrier, way):
    query = {"key": hook.key} if way == "query" else None
    headers = {"query": None, "basic": hooks.basic(hook.key), "bearer": bearer(hook.key)}[way]
    response = hook.send(carrier, MAKE[carrier](alice.number), query, headers)
    assert response.status_code == 200
    assert len(hook.messages()) == 1


@pytest.mark.parametrize("user", ["", "hook", "AC0", "a b"])
def test_the_user_of_basic_is_ignored(alice, hook, user):
    headers = hooks.basic(hook.key, user)
    assert hook.send("twilio", hooks.twilio(alice.number), None, headers).status_code == 200


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "Basic"])
def test_the_name_of_the_scheme_may_have_any_case(alice, hook, scheme):
    headers = {"Authorization": hooks.basic(hook.key)["Authorization"].replace("Basic", scheme)}
    assert hook.send("twilio", hooks.twilio(alice.number), None, headers).status_code == 200


def test_in_a_header_a_key_may_have_other_scopes_too(alice, hook):
    for headers in (hooks.basic(alice.key), bearer(alice.key)):
        assert hook.send("twilio", hooks.twilio(alice.number), None, headers).status_code == 200


@pytest.mark.parametrize(
    "scopes",
    [["messages:write", "conversations:read"], ["conversations:read"], list(api_keys.SCOPES)],
)
def test_a_key_that_can_do_more_than_record_is_refused_in_the_query(
    alice, hook, scopes, carrier, reasons
):
    key = api_keys.create_api_key(alice.id, scopes, "test")
    content = MAKE[carrier](alice.number)
    details = {"key": "must have messages:write as its one and only scope"}
    assert_missing_scope(hook.send(carrier, content, {"key": key}), **details)
    assert reasons() == "the key must have messages:write as its one and only scope"
    # What the header holds does not count then.
    assert_missing_scope(hook.send(carrier, content, {"key": key}, bearer(hook.key)), **details)
    assert hook.messages() == []


def test_a_key_without_the_scope_is_refused_in_a_header(alice, hook, carrier):
    key = api_keys.create_api_key(alice.id, ["conversations:read"], "test")
    for headers in (hooks.basic(key), bearer(key)):
        assert_missing_scope(hook.send(carrier, MAKE[carrier](alice.number), None, headers))


@pytest.mark.parametrize("headers", [JWT, {"Authorization": "x"}, hooks.basic("x"), bearer("x")])
def test_with_a_key_in_the_query_the_header_is_not_looked_at(alice, hook, headers):
    event = hooks.httpsms(alice.number)
    assert hook.send("httpsms", event, {"key": hook.key}, headers).status_code == 200


def test_a_wrong_key_in_the_query_is_not_mended_by_the_header(alice, hook, carrier):
    content = MAKE[carrier](alice.number)
    for key in ("", "x", api_keys.new_key(), hook.key[:-1], hook.key + " ", hook.key + "\0"):
        assert_unauthorized(hook.send(carrier, content, {"key": key}, bearer(hook.key)))
        assert_unauthorized(hook.send(carrier, content, {"key": key}))


def test_a_key_that_is_given_twice_is_refused(alice, hook):
    for query in (f"key={hook.key}&key={hook.key}", f"key={hook.key}&key=", f"key=&key={hook.key}"):
        assert_unauthorized(hook.send("twilio", hooks.twilio(alice.number), query))


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_revoked_or_expired_key_is_refused(alice, hook, change):
    with pool.connection() as conn:
        conn.execute(f"UPDATE api_keys SET {change} = now() WHERE label = 'hook'")
    for query, headers in (({"key": hook.key}, None), (None, hooks.basic(hook.key))):
        assert_unauthorized(hook.send("twilio", hooks.twilio(alice.number), query, headers))


@pytest.mark.parametrize(
    "value",
    [
        *("Basic", "Basic ", "Basic x", "Basic =", "Basic Og==", "Basic 4pyT4pyT", "Basic /w=="),
        *("Bearer password=KEY", 'Bearer token="KEY"', "Bearer key=KEY, password=KEY"),
        *("Bearer", "Bearer x", "Digest username=x", "", "Basic am_live_x", "Negotiate x"),
    ],
)
def test_a_header_without_a_key_is_refused(alice, hook, value):
    headers = {"Authorization": value.replace("KEY", hook.key)}
    assert_unauthorized(hook.send("twilio", hooks.twilio(alice.number), None, headers))


class Unreadable:
    """A body that nobody may read."""

    def read(self, *_):
        raise AssertionError("the body was read")

    readline = readlines = __iter__ = read


def test_a_call_without_credentials_costs_no_query_and_no_body(alice, carrier, log_lines):
    response = alice.client.post(
        f"/v1/hooks/{carrier}",
        content_type="application/json",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000000000"},
    )
    assert_unauthorized(response)
    assert " statements=0" in log_lines()[-1]


def test_the_key_of_the_query_is_for_hooks_alone(alice, hook):
    path, key = "/v1/messages", hook.key
    message = alice.inbound(body="x")
    assert_error(alice.client.post(f"{path}?key={key}", json=message), 401, "UNAUTHORIZED")
    headers = hooks.basic(key)
    assert_error(alice.client.post(path, json=message, headers=headers), 401, "UNAUTHORIZED")
    response = alice.get("/v1/conversations", {"key": alice.key})
    assert_error(response, 422, "VALIDATION_FAILED", key="unknown parameter")


@pytest.mark.parametrize("odd", ["\xff=1", "number=\xff", "%ff=%fe", "&&&=", "key", "%00=1"])
def test_any_bytes_beside_the_key_are_no_5xx(alice, hook, odd):
    environ = {"QUERY_STRING": f"key={hook.key}&{odd}"}
    response = alice.client.post(
        "/v1/hooks/twilio", data=hooks.twilio(alice.number), environ_overrides=environ
    )
    assert response.status_code in (401, 422)
    assert hook.key not in response.text


def test_a_key_whose_name_is_encoded_is_a_key(alice, hook):
    query = f"%6bey={hook.key.replace('_', '%5F')}"
    assert hook.send("twilio", hooks.twilio(alice.number), query).status_code == 200


def test_the_use_of_a_key_is_noted(alice, hook):
    hook.call("twilio", hooks.twilio(alice.number))
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT last_used_at FROM api_keys WHERE label = 'hook' AND organization_id = %s",
            [alice.id],
        ).fetchone()
    assert row["last_used_at"] is not None


def test_a_bug_tells_neither_the_key_nor_the_message(alice, hook, carrier, monkeypatch, capfd):
    def fail(*_, **__):
        raise RuntimeError(f"{hook.key} {contact(1)}")

    monkeypatch.setattr(organizations, "find_phone_numbers", fail)
    response = hook.call(carrier, MAKE[carrier](alice.number))
    assert_error(response, 500, "INTERNAL_ERROR")
    output = capfd.readouterr()
    said = response.text + output.out + output.err
    assert "RuntimeError" in said
    assert hook.key not in said
    assert contact(1) not in said
    assert "hello" not in said


def test_a_client_that_sends_its_password_only_when_asked_is_let_in(app):
    alice = new_organization(app.test_client())
    key = api_keys.create_api_key(alice.id, ["messages:write"], "hook")
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service:
        passwords = urllib.request.HTTPPasswordMgr()
        passwords.add_password("conversations", service.url, "hook", key)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
        form = urllib.parse.urlencode(hooks.twilio(alice.number)).encode()
        with opener.open(f"{service.url}/v1/hooks/twilio", form) as response:
            assert (response.status, response.read()) == (200, b"<Response/>")
        lines = [line for line in service.log().splitlines() if "/v1/hooks/twilio" in line]
    statuses = [line.split(" status=")[1][:3] for line in lines]
    assert statuses == ["401", "200"]
    assert " statements=0" in lines[0]
    assert len(alice.conversations()) == 1
