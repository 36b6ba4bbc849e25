"""The OpenAPI document: it is complete, it is true, and clients can be made from it."""

import functools
import importlib
import subprocess
import sys

import openapi_spec_validator
import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from conversations.api.auth import VIEW_SCOPES
from conversations.api.envelope import ERRORS
from conversations.inbox import api_keys
from tests.api import hooks
from tests.conftest import contact, new_organization
from tests.servers import ROOT, running_service
from tools.openapi.build import build

DOCUMENT = orjson.loads((ROOT / "conversations" / "api" / "openapi.json").read_bytes())
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"


def resolve(part: dict) -> dict:
    """Follow a reference inside the document."""
    if "$ref" not in part:
        return part
    _, *names = part["$ref"].split("/")
    return functools.reduce(lambda found, name: found[name], names, DOCUMENT)


def operations() -> dict[str, tuple[str, str, dict]]:
    """Every operation by its id: method, path, and what the document says."""
    return {
        operation["operationId"]: (method, path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def fill(path: str) -> str:
    """A path with something well-formed for its variables."""
    return path.replace("{id}", "A" * 22).replace("{contact_number}", contact(1))


def documented_answers() -> list[tuple[str, int]]:
    return [
        (name, int(status))
        for name, (_, _, operation) in operations().items()
        for status in operation["responses"]
    ]


def assert_fits(value, schema: dict) -> None:
    """The value is what the schema says, and has no key that the document does not know."""
    closed = {
        name: {"additionalProperties": False, **component}
        for name, component in DOCUMENT["components"]["schemas"].items()
    }
    root = {**schema, "components": {"schemas": closed}}
    Draft202012Validator(root, format_checker=FormatChecker()).validate(value)


def assert_is_as_documented(response, operation: str) -> None:
    described = resolve(operations()[operation][2]["responses"][str(response.status_code)])
    for name, header in described["headers"].items():
        if name == "Link" and name not in response.headers:
            continue
        value, schema = response.headers[name], resolve(header)["schema"]
        assert_fits(int(value) if schema["type"] == "integer" else value, schema)
    contents = described.get("content", {})
    for media_type, content in contents.items():
        assert response.mimetype == media_type
        if "schema" in content:
            value = response.json if response.is_json else response.text
            assert_fits(value, content["schema"])
    if not contents and response.status_code == 304:
        assert response.data == b""


@pytest.fixture(scope="module")
def answers(app) -> dict:
    """A real answer of every kind, by operation and status."""
    client = app.test_client()
    alice = new_organization(client)
    alice.receive(contact(1), "2026-04-01T09:00:00Z", "START")
    alice.receive(contact(1), "2026-04-28T12:00:01.000001Z", "x" * 200, segment_count=2)
    alice.receive(contact(2), "2026-04-28T12:00:00Z", None, media_urls=["https://example.com/1"])
    reader = new_organization(client, scopes=["conversations:read"])
    writer = new_organization(client, scopes=["messages:write"])
    first, second = alice.conversations()
    messages = f"/v1/conversations/{first['id']}/messages"
    picture = f"/v1/conversations/{second['id']}/messages"
    message = alice.inbound(contact(3), id="0190a5b4-7c1e-7000-8000-000000000001")
    consent = {
        "phone_number_id": str(alice.phone_number_id),
        "contact_number": contact(4),
        "opted_in": False,
    }
    erase = f"/v1/contacts/{contact(2)}/erase"
    large = {"body": "x" * 1024 * 1024}
    made = {
        "list_conversations": [
            alice.get("/v1/conversations"),
            alice.get("/v1/conversations", {"limit": 1}),
            client.get("/v1/conversations"),
            writer.get("/v1/conversations"),
            alice.get("/v1/conversations", {"limit": 0}),
        ],
        "list_messages": [
            alice.get(messages, {"limit": 1}),
            alice.get(picture),
            alice.get("/v1/conversations/x/messages"),
            client.get(messages),
            writer.get(messages),
            alice.get(f"/v1/conversations/{'A' * 22}/messages"),
            alice.get(messages, {"limit": 0}),
        ],
        "create_message": [
            alice.post("/v1/messages", message),
            alice.post("/v1/messages", message),
            alice.post("/v1/messages", []),
            client.post("/v1/messages", json=message),
            reader.post("/v1/messages", message),
            alice.post("/v1/messages", message | {"body": "goodbye"}),
            alice.post("/v1/messages", large),
            client.post("/v1/messages", data=b"{}", headers=alice.auth),
            alice.post("/v1/messages", message | {"to": "x"}),
        ],
        "record_consent": [
            alice.post("/v1/consent", consent),
            alice.post("/v1/consent", []),
            client.post("/v1/consent", json=consent),
            reader.post("/v1/consent", consent),
            alice.post("/v1/consent", large),
            client.post("/v1/consent", data=b"{}", headers=alice.auth),
            alice.post("/v1/consent", consent | {"opted_in": "no"}),
        ],
        "list_consent": [
            alice.get("/v1/consent"),
            alice.get("/v1/consent", {"limit": 1}),
            client.get("/v1/consent"),
            reader.get("/v1/consent"),
            alice.get("/v1/consent", {"limit": 0}),
        ],
        "list_phone_numbers": [
            alice.get("/v1/phone-numbers"),
            client.get("/v1/phone-numbers"),
            reader.get("/v1/phone-numbers"),
            alice.get("/v1/phone-numbers", {"limit": 0}),
        ],
        "erase_contact": [
            alice.post(erase, None),
            alice.post("/v1/contacts/x/erase", None),
            client.post(erase),
            reader.post(erase, None),
            alice.post(f"{erase}?phone_number_id=1", None),
            alice.post(erase, large),
            client.post(erase, data=b"{}", headers=alice.auth),
        ],
        **hook_answers(alice),
        "livez": [client.get("/livez")],
        "readyz": [client.get("/readyz")],
        "show_openapi": [client.get("/openapi.json")],
        "show_docs": [client.get("/docs")],
        "show_inbox": [client.get("/inbox")],
        "show_start": [client.get("/")],
    }
    # Last, because every change above made another tag.
    paths = {
        "list_conversations": "/v1/conversations",
        "list_messages": messages,
        "list_consent": "/v1/consent",
        "list_phone_numbers": "/v1/phone-numbers",
    }
    for name, path in paths.items():
        tag = alice.get(path).headers["ETag"]
        made[name].append(alice.get(path, **{"If-None-Match": tag}))
    found = {}
    for name, responses in made.items():
        for response in responses:
            found.setdefault((name, response.status_code), []).append(response)
    return found


def hook_answers(organization) -> dict:
    """A real answer of every kind that a hook gives."""
    hook = hooks.Hook(organization)
    made = {}
    for carrier in hooks.CARRIERS:
        content = hooks.MAKE[carrier](organization.number)
        broken = b"a&" * 5000 if carrier == "twilio" else b"{"
        made[f"receive_{carrier}"] = [
            hook.call(carrier, content),
            hook.send(carrier, broken, {"key": hook.key}),
            hook.send(carrier, content),
            hook.send(carrier, content, {"key": organization.key}),
            hook.send(carrier, b"x" * (2**24 + 1), {"key": hook.key}),
            organization.client.post(f"/v1/hooks/{carrier}", headers=organization.auth),
            hook.call(carrier, content, region="XX"),
        ]
    return made


@pytest.mark.parametrize("carrier", hooks.CARRIERS)
def test_the_example_of_a_hook_is_recorded(client, carrier):
    alice = new_organization(client)
    (content,) = operations()[f"receive_{carrier}"][2]["requestBody"]["content"].values()
    hook = hooks.Hook(alice)
    assert hook.call(carrier, content["example"]).status_code == 200
    assert [each["body"] for each in hook.messages()] == ["See you at noon"]


ANSWERS = [answer for answer in documented_answers() if answer[1] not in (500, 503)]


def test_real_answers_are_as_documented(answers, subtests):
    for operation, status in ANSWERS:
        with subtests.test(operation=operation, status=status):
            for response in answers[operation, status]:
                assert_is_as_documented(response, operation)


def test_every_answer_is_documented(answers):
    assert set(answers) <= set(documented_answers())


def test_answers_without_a_database_are_as_documented():
    key = api_keys.new_key()
    with running_service(UNREACHABLE, WEB_CONCURRENCY=1) as service:
        for name, (method, path, operation) in operations().items():
            if "503" not in operation["responses"]:
                continue
            body = {} if method == "post" else None
            status, headers, content = service.request(method.upper(), fill(path), key, body)
            assert status == 503, name
            assert int(headers["Retry-After"]) >= 1
            assert_fits(content, {"$ref": "#/components/schemas/Failure"})


def test_the_committed_document_is_what_the_routes_and_schemas_make(app):
    document = orjson.dumps(build(app), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    assert document == (ROOT / "conversations" / "api" / "openapi.json").read_bytes()


def test_the_committed_document_is_served_without_a_key(client):
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.data == (ROOT / "conversations" / "api" / "openapi.json").read_bytes()


def test_the_document_is_valid_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1")
    openapi_spec_validator.validate(DOCUMENT)


def test_every_route_is_documented_under_the_name_of_its_view(app):
    routes = {
        (view.__name__, method.lower())
        for rule in app.url_map.iter_rules()
        for view in [app.view_functions[rule.endpoint]]
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/docs/", "/inbox/"))
    }
    assert routes == {(name, method) for name, (method, _, _) in operations().items()}


def test_the_paths_are_the_ones_that_answer(app):
    adapter = app.url_map.bind("localhost")
    for name, (method, path, _) in operations().items():
        endpoint, _ = adapter.match(fill(path), method.upper())
        assert app.view_functions[endpoint].__name__ == name


def test_every_route_with_a_scope_asks_for_a_key_with_it(app):
    for endpoint, view in app.view_functions.items():
        scope = VIEW_SCOPES.get(view.__name__)
        if endpoint.rpartition(".")[2] in operations():
            _, path, operation = operations()[view.__name__]
            ways = [{"key_in_query": []}, {"key_as_password": []}] if "/hooks/" in path else []
            assert operation.get("security") == ([{"api_key": [scope]}, *ways] if scope else None)


def test_every_error_has_a_response_of_its_own():
    described = {
        response["content"]["application/json"]["example"]["error"]["code"]
        for response in DOCUMENT["components"]["responses"].values()
    }
    assert described == {code for code, _ in ERRORS.values()}


def test_every_example_fits_its_schema():
    seen = 0

    def visit(part):
        nonlocal seen
        if isinstance(part, list):
            for item in part:
                visit(item)
        if isinstance(part, dict):
            if "example" in part:
                seen += 1
                assert_fits(part["example"], part["schema"])
            for example in part.get("examples", ()):
                seen += 1
                assert_fits(example, {key: part[key] for key in part if key != "examples"})
            for item in part.values():
                visit(item)

    visit(DOCUMENT)
    assert seen > 50


def test_every_parameter_has_an_example_and_the_first_server_is_absolute():
    # Postman makes up what has none, and takes the first server as it is.
    for name, (_, _, operation) in operations().items():
        assert all("example" in parameter for parameter in operation.get("parameters", ())), name
    assert [server["url"] for server in DOCUMENT["servers"]] == ["http://localhost:8000", "."]


def test_every_body_has_an_example():
    for name, (_, _, operation) in operations().items():
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in resolve(part).get("content", {}).values():
                assert "schema" not in content or "example" in content, name


def example_of(operation: str, status: int) -> dict:
    described = resolve(operations()[operation][2]["responses"][str(status)])
    return described["content"]["application/json"]["example"]


def test_the_examples_are_answers_of_the_demo_inbox(app, demo_key):
    client = app.test_client()
    for name in ("list_conversations", "list_messages"):
        _, path, operation = operations()[name]
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                path = path.replace("{id}", parameter["schema"]["examples"][0])
        response = client.get(
            path, query_string={"limit": 1}, headers={"Authorization": f"Bearer {demo_key}"}
        )
        assert response.json == example_of(name, 200)


def test_the_example_of_a_message_can_be_recorded(alice):
    body = operations()["create_message"][2]["requestBody"]["content"]["application/json"]
    response = alice.post("/v1/messages", body["example"])
    assert response.status_code == 201, response.text
    expected, data = example_of("create_message", 201)["data"], response.json["data"]
    own = ("id", "created_at", "phone_number_id", "segment_count")
    assert {k: v for k, v in data.items() if k not in own} == {
        k: v for k, v in expected.items() if k not in own
    }


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A client package made from the document by openapi-python-client."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.yml"
    config.write_text("post_hooks: []")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    subprocess.run(
        [
            *command,
            *("--path", ROOT / "conversations" / "api" / "openapi.json", "--config", config),
            *("--meta", "none", "--output-path", folder / "generated_client"),
        ],
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(folder))
    yield importlib.import_module("generated_client")
    sys.path.remove(str(folder))


def operation_module(generated, tag: str, name: str):
    return importlib.import_module(f"{generated.__name__}.api.{tag}.{name}")


def test_a_generated_client_walks_the_demo_inbox(generated, demo_service, demo_key):
    list_conversations = operation_module(generated, "conversations", "list_conversations")
    list_messages = operation_module(generated, "conversations", "list_messages")
    conversations, cursor = [], generated.types.UNSET
    with generated.AuthenticatedClient(demo_service.url, demo_key) as client:
        for _ in range(10):
            page = list_conversations.sync(client=client, limit=3, cursor=cursor)
            conversations += page.data
            if (cursor := page.meta.next_cursor) is None:
                break
        assert len({row.id for row in conversations}) == page.meta.total == len(conversations)
        assert {row.consent is None for row in conversations} == {True, False}
        assert {row.last_message_body_redacted_at is None for row in conversations} == {True, False}
        for row in conversations:
            messages = list_messages.sync(row.id, client=client).data
            assert len(messages) == row.message_count
            assert messages[-1].created_at == row.last_message_at


def test_a_generated_client_reads_errors(generated, demo_service):
    list_conversations = operation_module(generated, "conversations", "list_conversations")
    with generated.AuthenticatedClient(demo_service.url, "am_live_x") as client:
        failure = list_conversations.sync(client=client)
    assert failure.error.code == "UNAUTHORIZED"
