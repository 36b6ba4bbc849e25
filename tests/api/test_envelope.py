"""What is the same for every answer: the envelope, request ids, the order of checks, the log."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from ulid import ULID

import app as service
from conversations.api.auth import VIEW_SCOPES
from conversations.api.envelope import ERRORS
from conversations.database import migrations
from conversations.inbox import api_keys
from tests.api.hooks import CARRIERS
from tests.conftest import SERVER_URL, assert_error, contact, new_database, new_organization

LIST = "/v1/conversations"
AT = "2026-04-28T12:00:01+00:00"
ULID_TEXT = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")

RULES = list(service.app.url_map.iter_rules())
METHODS = {
    rule.rule: set().union(*(other.methods for other in RULES if other.rule == rule.rule))
    for rule in RULES
}
# The scope of each route of the API, by its path and method.
V1_ROUTES = {
    (rule.rule, method): VIEW_SCOPES[rule.endpoint.rpartition(".")[2]]
    for rule in RULES
    if rule.rule.startswith("/v1")
    for method in rule.methods - {"HEAD", "OPTIONS"}
}


def fill(path: str) -> str:
    """A path of a route with something well-formed for its variables."""
    path = path.replace("<contact_number>", contact(1))
    return re.sub(r"<(?:\w+:)?\w+>", "A" * 22, path)


# The envelope

MESSAGES = {
    "INVALID_INPUT": (400, "invalid input"),
    "UNAUTHORIZED": (401, "authentication failed"),
    "FORBIDDEN": (403, "missing required scope"),
    "NOT_FOUND": (404, "not found"),
    "METHOD_NOT_ALLOWED": (405, "method not allowed"),
    "CONFLICT": (409, "conflict"),
    "PAYLOAD_TOO_LARGE": (413, "payload too large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "unsupported media type"),
    "VALIDATION_FAILED": (422, "validation failed"),
    "INTERNAL_ERROR": (500, "internal error"),
    "UNAVAILABLE": (503, "temporarily unavailable"),
}


def test_every_error_has_one_code_and_one_message():
    assert {code: (status, message) for status, (code, message) in ERRORS.items()} == MESSAGES


@pytest.mark.parametrize(
    ("method", "path", "arguments", "code"),
    [
        ("GET", f"{LIST}/x/messages", {}, "INVALID_INPUT"),
        (
            "POST",
            "/v1/messages",
            {"data": b"[]", "content_type": "application/json"},
            "INVALID_INPUT",
        ),
        ("GET", LIST, {"headers": {"Authorization": "Bearer x"}}, "UNAUTHORIZED"),
        ("GET", "/v1/nowhere", {}, "NOT_FOUND"),
        ("GET", f"{LIST}/{'A' * 22}/messages", {}, "NOT_FOUND"),
        ("DELETE", LIST, {}, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/messages", {"data": b"{}"}, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/v1/messages", {"json": "x" * 1024 * 1024}, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_an_error_is_an_envelope_in_the_documented_order(alice, method, path, arguments, code):
    headers = {**alice.auth, **arguments.pop("headers", {})}
    response = alice.client.open(path, method=method, headers=headers, **arguments)
    status, message = MESSAGES[code]
    assert_error(response, status, code, **response.json["error"].get("details", {}))
    assert response.json["error"]["message"] == message


def test_a_success_has_meta_on_lists_only(alice):
    alice.receive(contact(1), AT)
    (row,) = alice.conversations()
    for path in (LIST, f"{LIST}/{row['id']}/messages"):
        assert list(alice.get(path).json) == ["success", "data", "meta"]
    message = alice.inbound()
    consent = {
        "phone_number_id": str(alice.phone_number_id),
        "contact_number": contact(1),
        "opted_in": True,
    }
    answers = [
        alice.post("/v1/messages", message),
        alice.post("/v1/consent", consent),
        alice.get("/livez"),
        alice.get("/readyz"),
    ]
    for response in answers:
        assert response.status_code in (200, 201)
        assert list(response.json) == ["success", "data"]
        assert response.json["success"] is True
        assert response.content_type == "application/json"


def test_json_is_utf8_not_escapes(alice):
    alice.receive(contact(1), AT, "caf\u00e9 \N{GRINNING FACE}")
    assert "caf\u00e9 \N{GRINNING FACE}".encode() in alice.get(LIST).data


# Request ids


def every_kind_of_answer(alice) -> list:
    tag = alice.get(LIST).headers["ETag"]
    return [
        alice.get(LIST),
        alice.get(LIST, **{"If-None-Match": tag}),
        alice.get(f"{LIST}?limit=0"),
        alice.get("/v1/nowhere"),
        alice.get("/livez"),
        alice.get("/readyz"),
        alice.get("/"),
        alice.get("/docs"),
        alice.get("/inbox"),
        alice.get("/openapi.json"),
        alice.post("/v1/messages", {}),
        alice.client.get(LIST),
        alice.client.head(LIST, headers=alice.auth),
        alice.client.options(LIST),
        alice.client.delete(LIST),
    ]


def test_every_answer_has_a_request_id_of_its_own_which_the_log_knows(alice, log_lines):
    answers = every_kind_of_answer(alice)
    assert {answer.status_code for answer in answers} == {200, 302, 304, 401, 404, 405, 422}
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert all(map(ULID_TEXT.fullmatch, ids))
    assert len(set(ids)) == len(answers)
    for answer, id in zip(answers, ids, strict=True):
        assert sum(f"request_id={id} " in line for line in log_lines()) == 1
        if answer.status_code >= 400 and answer.data:
            assert answer.json["error"]["request_id"] == id
    now = datetime.now(UTC)
    for id in ids:
        assert now - timedelta(minutes=5) < ULID.from_str(id).datetime <= now


@pytest.mark.parametrize(
    ("incoming", "is_logged"),
    [
        ("01JTBQH2FZ8K1RXC0WJ4Z9P3VM", True),
        ("6f1d2c3b-4a5e-4f60-8b7a-9c0d1e2f3a4b", True),
        ("req_42", True),
        ("a.b-c", True),
        ("15557654321", False),
        ("+15557654321", False),
        ("two words", False),
        ("level=error", False),
        ("x" * 101, False),
        ("\u00e9", False),
    ],
)
def test_an_incoming_request_id_is_logged_but_never_taken_for_ours(
    client, log_lines, incoming, is_logged
):
    response = client.get(LIST, headers={"X-Request-Id": incoming})
    assert ULID_TEXT.fullmatch(response.headers["X-Request-Id"])
    assert response.headers["X-Request-Id"] != incoming
    assert response.json["error"]["request_id"] == response.headers["X-Request-Id"]
    (line,) = log_lines()
    assert (f"incoming_request_id={incoming} " in line) == is_logged
    assert ("incoming_request_id" in line) == is_logged


# Routes


UNKNOWN = [
    *("/nowhere", "/v1", "/v1/", "/v2/conversations", "/V1/conversations", "/v1/Conversations"),
    *(f"{LIST}/", f"{LIST}//", "/v1//conversations", f"{LIST}//messages", f"{LIST}/messages"),
    *(f"{LIST}/{'A' * 22}", f"{LIST}/{'A' * 22}/messages/", f"{LIST}/{'A' * 22}//messages"),
    *(f"{LIST}/{'A' * 22}/messages/x", "/v1/messages/", "/v1/consent/", "/v1/messages/x"),
    *(
        "/livez/",
        "/readyz/",
        "/docs/",
        "/inbox/",
        "/openapi.json/",
        "/static/x",
        "/favicon.ico",
        "/.git",
    ),
    *("/%00", "/%FF", f"{LIST}%00", f"{LIST}%2F", "/..%2F..%2Fetc"),
    *(f"{LIST};x=1", f"{LIST}.json", "/v1/conversations%20", "/" + "x" * 2000),
]


def test_an_unknown_path_is_a_404_and_never_a_redirect(alice, subtests):
    for path in UNKNOWN:
        with subtests.test(path=path):
            assert_error(alice.get(path), 404, "NOT_FOUND")
            assert_error(alice.client.get(path), 404, "NOT_FOUND")
            assert_error(alice.client.post(path, data=b"x"), 404, "NOT_FOUND")


def test_the_one_redirect_is_from_the_root_to_the_inbox(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response.headers["Location"] == "inbox"  # Relative, as a proxy's prefix needs it.


def test_a_wrong_method_is_a_405_that_names_the_right_ones(client, subtests):
    for path in sorted(METHODS):
        with subtests.test(path=path):
            allowed = METHODS[path]
            assert allowed <= {"GET", "HEAD", "OPTIONS", "POST"}
            for method in {
                "GET",
                "HEAD",
                "POST",
                "PUT",
                "PATCH",
                "DELETE",
                "TRACE",
                "BREW",
            } - allowed:
                response = client.open(fill(path), method=method)
                assert response.status_code == 405
                assert set(response.headers["Allow"].split(", ")) == allowed
                if method != "HEAD":
                    assert_error(response, 405, "METHOD_NOT_ALLOWED")


def test_options_needs_no_key_and_names_the_methods(client, subtests):
    for path in sorted(METHODS):
        with subtests.test(path=path):
            for headers in ({}, {"Authorization": "Bearer x"}):
                response = client.options(fill(path), headers=headers)
                assert response.status_code == 200
                assert set(response.headers["Allow"].split(", ")) == METHODS[path]
                assert response.json["success"] is True


PATHS = [LIST, f"{LIST}?limit=0", "/nowhere", "/livez", f"{LIST}/x/messages"]


def test_head_answers_as_get_without_the_body(alice, subtests):
    for authorized in (True, False):
        for path in PATHS:
            with subtests.test(authorized=authorized, path=path):
                headers = alice.auth if authorized else {}
                got, head = (
                    alice.client.get(path, headers=headers),
                    alice.client.head(path, headers=headers),
                )
                assert head.status_code == got.status_code
                assert head.data == b""
                assert head.headers["Content-Length"] == str(len(got.data))
                assert list(head.headers.keys()) == list(got.headers.keys())


# Keys and scopes


def test_every_v1_route_requires_a_key(client, subtests):
    for path, method in sorted(V1_ROUTES):
        with subtests.test(path=path, method=method):
            response = client.open(fill(path), method=method)
            assert_error(response, 401, "UNAUTHORIZED")
            basic = ['Basic realm="conversations"'] if path.startswith("/v1/hooks/") else []
            assert response.headers.getlist("WWW-Authenticate") == [*basic, "Bearer"]


NO_KEYS = [
    *("", "Bearer", "Bearer ", "Bearer  ", "{key}", "Basic {key}", "Token {key}", "Bearer: {key}"),
    *("Bearer {key}x", "Bearer x{key}", "Bearer {key},", "Bearer {key} {key}", "Bearer\t{key}"),
    *('Bearer "{key}"', "Bearer {key}, Bearer {key}", "Bearer token={key}", "Bearer{key}"),
    *("Bearer {upper}", "Bearer {short}", "Bearer {typo}", "Bearer {unknown}", "Bearer \u00e9"),
    "Bearer am_live_" + "\u0661" * 34,
]


def test_whatever_is_not_a_live_key_gets_the_same_401(alice, subtests):
    for authorization in NO_KEYS:
        with subtests.test(authorization=authorization):
            typo = alice.key[:20] + ("a" if alice.key[20] != "a" else "b") + alice.key[21:]
            header = authorization.format(
                key=alice.key,
                upper=alice.key.upper(),
                short=alice.key[:-1],
                typo=typo,
                unknown=api_keys.new_key(),
            )
            for path in (LIST, f"{LIST}/{'A' * 22}/messages"):
                response = alice.client.get(path, headers={"Authorization": header})
                assert_error(response, 401, "UNAUTHORIZED")
                assert response.headers["WWW-Authenticate"] == "Bearer"


SCHEMES = ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer ", "Bearer   "]


def test_the_scheme_is_read_without_regard_to_case(alice, subtests):
    for scheme in SCHEMES:
        with subtests.test(scheme=scheme):
            response = alice.client.get(LIST, headers={"Authorization": f"{scheme} {alice.key}"})
            assert response.status_code == 200


def test_every_scope_is_the_scope_of_the_routes_that_need_it():
    consent = "/v1/consent"
    expected = {
        (LIST, "GET"): "conversations:read",
        (f"{LIST}/<id>/messages", "GET"): "conversations:read",
        ("/v1/messages", "POST"): "messages:write",
        ("/v1/contacts/<contact_number>/erase", "POST"): "messages:erase",
        (consent, "GET"): "consent:read",
        (consent, "POST"): "consent:write",
        ("/v1/phone-numbers", "GET"): "numbers:read",
        **{(f"/v1/hooks/{carrier}", "POST"): "messages:write" for carrier in CARRIERS},
    }
    assert expected == V1_ROUTES
    assert set(V1_ROUTES.values()) == set(api_keys.SCOPES)


def test_every_v1_route_requires_its_scope_and_no_other(client, subtests):
    for path, method in sorted(V1_ROUTES):
        with subtests.test(path=path, method=method):
            scope = V1_ROUTES[path, method]
            others = [other for other in api_keys.SCOPES if other != scope]
            outsider = new_organization(client, scopes=others)
            response = client.open(fill(path), method=method, headers=outsider.auth)
            assert_error(response, 403, "FORBIDDEN")
            assert response.json["error"]["message"] == "missing required scope"
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            assert response.headers["WWW-Authenticate"] == challenge

            insider = new_organization(client, scopes=[scope])
            response = client.open(fill(path), method=method, headers=insider.auth)
            assert response.status_code in (200, 404, 415)


# The order of checks


def test_checks_run_in_the_documented_order(alice):
    reader = new_organization(alice.client, scopes=["conversations:read"])
    large, text, json = b"[" * (1024 * 1024 + 1), "text/plain", "application/json"
    steps = [
        ("/v1/nowhere", "POST", None, large, text, 404),
        ("/v1/messages", "PUT", None, large, text, 405),
        ("/v1/messages", "POST", None, large, text, 401),
        ("/v1/messages", "POST", reader, large, text, 403),
        ("/v1/messages", "POST", alice, large, text, 415),
        ("/v1/messages", "POST", alice, large, json, 413),
        ("/v1/messages", "POST", alice, b"[", json, 400),
        ("/v1/messages", "POST", alice, b"[]", json, 400),
        ("/v1/messages", "POST", alice, b"{}", json, 422),
    ]
    for path, method, who, data, content_type, status in steps:
        headers = who.auth if who else {}
        response = alice.client.open(
            path, method=method, headers=headers, data=data, content_type=content_type
        )
        assert response.status_code == status


def test_a_malformed_id_comes_before_bad_parameters_and_those_before_the_look_up(alice):
    for query in ("?limit=0", "?page=1", "?cursor=x"):
        malformed, unknown = f"{LIST}/x/messages", f"{LIST}/{'A' * 22}/messages"
        assert alice.get(malformed + query).status_code == 400
        assert alice.get(unknown + query).status_code == 422
        assert alice.get(unknown).status_code == 404
        assert alice.client.get(malformed + query).status_code == 401


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/consent"])
def test_a_name_that_a_body_repeats_is_refused(alice, path):
    for text, names in (
        ('{"body": "first", "body": "second"}', ["body"]),
        ('{"body": "x", "to": 1, "bo\\u0064y": "y", "to": 2, "from": 3}', ["body", "to"]),
        ('{"media_urls": [{"a": 1, "a": 1}]}', ["a"]),
        ('{"deep": ' + "[" * 1000 + "]" * 1000 + ', "to": 1, "to": 2}', ["to"]),
        ('{"a": "\\"", "b": "{\\"a\\": 1", "c": {"a": 1}, "b" : 2}', ["b"]),
    ):
        headers = alice.auth | {"Content-Type": "application/json"}
        response = alice.client.post(path, data=text, headers=headers)
        details = dict.fromkeys(names, "must be given once")
        assert_error(response, 422, "VALIDATION_FAILED", **details)
    for text in ('[{"a": 1, "a": 1}]', '{"a": 1, "a"}'):
        response = alice.client.post(path, data=text, headers=headers)
        assert_error(response, 400, "INVALID_INPUT", body="must be a JSON object in UTF-8")
    long_number = '{"body": ' + "9" * 300 + "}"
    assert alice.client.post(path, data=long_number, headers=headers).status_code == 422


# Bugs


@pytest.fixture
def crash(alice):
    """Ask a fresh application for a route that fails on what it is given."""
    app = service.create_app()

    @app.post("/crash/<number>")
    def fail(number: str):
        raise LookupError(number, service.request.get_data())

    def ask(number: str, body: bytes):
        return app.test_client().post(
            f"/crash/{number}?secret=query", data=body, headers=alice.auth
        )

    return ask


def test_a_bug_is_a_500_in_the_envelope_and_nothing_of_it_leaks(crash, log_lines):
    response = crash("+15557654321", b"a private text")
    assert_error(response, 500, "INTERNAL_ERROR")
    assert response.json["error"]["message"] == "internal error"
    for secret in ("LookupError", "Traceback", "5557654321", "private", "crash"):
        assert secret not in response.text
    bug, request = log_lines()
    for line in (bug, request):
        assert f"request_id={response.headers['X-Request-Id']} " in line
        for secret in ("5557654321", "private text", "secret=query"):
            assert secret not in line
    assert "LookupError" in bug
    assert "test_envelope.py" in bug
    assert "status=500" in request


# The log


def test_the_log_holds_no_keys_bodies_numbers_or_queries(alice, log_lines):
    other = api_keys.new_key()
    secrets = {
        *(alice.key, alice.key[12:], other, other[12:], alice.number.lstrip("+")),
        *("15557654321", "a private text", "cdn.example.com", "secret", "?"),
    }
    message = {
        "direction": "inbound",
        "from": "+15557654321",
        "to": alice.number,
        "body": "a private text",
        "media_urls": ["https://cdn.example.com/secret.jpg"],
    }
    consent = {"phone_number_id": str(alice.phone_number_id), "contact_number": "+15557654321"}
    assert alice.post("/v1/messages", message).status_code == 201
    alice.post("/v1/messages", {**message, "secret": 1})
    alice.post("/v1/messages", {**message, "id": "a private text"})
    alice.post("/v1/consent", {**consent, "opted_in": True})
    alice.post("/v1/consent", {**consent, "phone_number_id": str(uuid.uuid4())})
    alice.client.post("/v1/messages", data=b"a private text", headers=alice.auth)
    (row,) = alice.conversations(contact_number="+15557654321")
    alice.get(f"{LIST}/{row['id']}/messages")
    alice.get(f"{LIST}?contact_number=+15557654321&secret=1")
    alice.get(f"{LIST}/+15557654321/messages")
    alice.get(f"/v1/+15557654321/secret?key={alice.key}")
    alice.get(f"{LIST}?api_key={alice.key}")
    for hidden in (other, alice.key, "+15557654321", "15557654321", "a private text\nsecret=1"):
        alice.client.get(f"/{hidden}")
        alice.client.get(LIST, headers={"Authorization": f"Bearer {hidden.partition(chr(10))[0]}"})
        alice.client.get(LIST, headers={"X-Request-Id": hidden.partition("\n")[0]})
        alice.client.get(LIST, headers={"User-Agent": hidden.partition("\n")[0]})
    lines = log_lines()
    assert len(lines) == 32
    for line in lines:
        for secret in secrets:
            assert secret not in line


def test_a_log_line_names_the_route_not_the_path(alice, log_lines):
    alice.get(f"{LIST}/{'A' * 22}/messages?limit=1")
    alice.get("/v1/nowhere")
    first, second = log_lines()
    assert " route=/v1/conversations/<id>/messages " in first
    assert " route=- " in second


# Without a key


def test_livez_says_ok_and_leaves_the_database_alone(client, log_lines):
    response = client.get("/livez")
    assert response.status_code == 200
    assert response.json == {"success": True, "data": {"status": "ok"}}
    assert log_lines()[-1].endswith(" statements=0")


def test_readyz_names_the_schema(client):
    response = client.get("/readyz")
    assert response.status_code == 200
    data = response.json["data"]
    assert list(data)[:2] == ["status", "schema_version"]
    assert data["status"] == "ok"
    assert data["schema_version"] == sorted(path.stem for path in migrations.FOLDER.iterdir())[-1]


def test_over_a_schema_that_is_behind_only_livez_is_well(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", new_database(SERVER_URL))
        client = service.create_app().test_client()
    try:
        assert client.get("/livez").status_code == 200
        response = client.get("/readyz")
        assert_error(response, 503, "UNAVAILABLE")
        assert response.headers["Retry-After"].isdigit()
        key = {"Authorization": f"Bearer {api_keys.new_key()}"}
        assert_error(client.get(LIST, headers=key), 503, "UNAVAILABLE")
    finally:
        service.create_app()


def test_the_answers_are_strict_json(client):
    def refuse(constant: str):
        raise AssertionError(constant)

    for path in ("/livez", "/readyz", "/nowhere", LIST, "/openapi.json"):
        assert json.loads(client.get(path).data, parse_constant=refuse)
