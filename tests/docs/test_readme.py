"""The documents say what is true: settings, routes, commands, errors, files and the example."""

import re

import orjson
import pytest

import app as service
from conversations import settings
from conversations.api.auth import VIEW_SCOPES
from conversations.api.envelope import ERRORS
from conversations.api.views import CREATE_MESSAGE, LIST_CONVERSATIONS
from conversations.inbox import api_keys, demo
from tests.servers import ROOT

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
BUILT_IN_COMMANDS = {"routes", "run", "shell"}


def rows_of_table(document: str, first_cell: str) -> list[list[str]]:
    """The rows of the first table whose header starts with a cell, as lists of cells."""
    lines = document.split(f"\n| {first_cell} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line[1:-1])] for line in lines]


def code(cell: str) -> str:
    return re.search(r"`([^`]*)`", cell)[1]


def test_every_setting_is_in_the_readme_with_its_default():
    documented = {code(name): default for name, default, *_ in rows_of_table(README, "variable")}
    assert set(documented) == set(settings.VARIABLES)
    defaults = settings.load({})
    for name, default in documented.items():
        value = getattr(defaults, name.lower())
        if isinstance(value, tuple):
            value = ",".join(value)
        if value is not None:
            assert default == f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_route_is_in_the_readme_with_its_scope():
    documented = {
        code(route): scope.strip("`") for route, scope, _ in rows_of_table(README, "route")
    }
    documented.pop("GET /metrics")  # Served only with METRICS=true.
    actual = {}
    for rule in service.app.url_map.iter_rules():
        if rule.rule == "/" or rule.rule.startswith(("/docs/", "/inbox/")):
            continue  # The redirect to /inbox, and the files of the pages.
        (method,) = rule.methods - {"HEAD", "OPTIONS"}
        name = rule.endpoint.rpartition(".")[2]
        actual[f"{method} {rule.rule}"] = VIEW_SCOPES.get(name, "")
    assert documented == actual
    assert set(documented.values()) == {*api_keys.SCOPES, ""}


def test_every_command_is_in_the_documents():
    documented = {code(line[0]).split()[1] for line in rows_of_table(OPERATIONS, "command")}
    assert documented == set(service.app.cli.commands) - BUILT_IN_COMMANDS


def test_every_error_is_in_the_documents():
    documented = {int(status): code(name) for status, name, _ in rows_of_table(API, "status")}
    assert documented == {status: name for status, (name, _) in ERRORS.items()}


def test_every_parameter_and_field_is_in_the_documents():
    documented = {code(name) for name, _ in rows_of_table(API, "parameter")}
    assert documented == set(LIST_CONVERSATIONS.fields)
    fields = CREATE_MESSAGE.fields
    documented = re.findall(r"`(\w+)`", " ".join(name for name, _ in rows_of_table(API, "field")))
    assert set(documented) == {field.data_key or name for name, field in fields.items()}


def test_every_wing_is_in_the_tree():
    tree = README.split("## The six wings", 1)[1].split("```")[1]
    wings = [path.parent for path in (ROOT / "conversations").glob("*/__init__.py")]
    folders = [ROOT / "schemas", ROOT / "sql", ROOT / "tests", ROOT / "tools"]
    for path in [*ROOT.glob("*.py"), *wings, *folders]:
        name = path.name + ("/" if path.is_dir() else "")
        assert re.search(rf"^\s*{re.escape(name)}", tree, re.MULTILINE), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document):
    text = document.read_text()
    named = {
        ROOT / path
        for path in re.findall(
            r"(?<![\w/])(?:tests|bench|sql|conversations|tools|deploy)/[\w./]+\.\w+", text
        )
    }
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text)
    named |= {document.parent / path for path in links}
    assert [str(path) for path in named if not path.exists()] == []


def test_the_example_is_what_the_demo_inbox_answers(client):
    demo.load()
    key = demo.new_demo_key()
    examples = [text.split("```json", 1)[1].split("```", 1)[0] for text in (README, API)]
    answer = client.get(
        "/v1/conversations?limit=1&contact_number=+15554443333",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert [orjson.loads(example) for example in examples] == [answer.json] * 2


def test_no_recipe_leaves_its_umask_in_the_shell():
    # `umask 077` for a backup would close the files of the upgrade that follows it.
    offenders = [
        line
        for document in DOCUMENTS
        for line in document.read_text().splitlines()
        if re.match(r"\s*(\$ )?umask ", line)
    ]
    assert offenders == []
