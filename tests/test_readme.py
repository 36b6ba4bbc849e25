"""The README says what is true: settings, routes, commands, errors, files and the example."""

import json
import re

import orjson
from servers import ROOT

import app as service
import demo
import keys
from envelope import ERRORS
from listing import CONVERSATIONS
from settings import Settings

README = (ROOT / "README.md").read_text()
BUILT_IN_COMMANDS = {"routes", "run", "shell"}


def rows_of_table(first_cell: str) -> list[list[str]]:
    """The rows of the table whose header starts with a cell, as lists of cells."""
    lines = README.split(f"\n| {first_cell} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def code(cell: str) -> str:
    return re.search(r"`([^`]*)`", cell)[1]


def test_every_setting_is_in_the_readme_with_its_default():
    documented = {code(name): default for name, default, *_ in rows_of_table("variable")}
    fields = Settings().fields
    assert set(documented) == set(fields)
    for name, field in fields.items():
        if field.load_default is not None:
            assert documented[name] == f"`{json.dumps(field.load_default).strip(chr(34))}`"


def test_every_route_is_in_the_readme_with_its_scope():
    documented = {code(route): scope.strip("`") for route, scope, _ in rows_of_table("route")}
    documented.pop("GET /metrics")  # Served only with METRICS=true.
    actual = {}
    for rule in service.app.url_map.iter_rules():
        if rule.rule == "/" or rule.rule.startswith("/docs/"):
            continue  # The redirect to /docs, and its files.
        (method,) = rule.methods - {"HEAD", "OPTIONS"}
        view = service.app.view_functions[rule.endpoint]
        actual[f"{method} {rule.rule}"] = getattr(view, "scope", "")
    assert documented == actual
    assert set(documented.values()) == {*keys.SCOPES, ""}


def test_every_command_is_in_the_readme():
    documented = {code(line[0]).split()[1] for line in rows_of_table("command")}
    assert documented == set(service.app.cli.commands) - BUILT_IN_COMMANDS


def test_every_error_is_in_the_readme():
    documented = {int(status): code(name) for status, name, _ in rows_of_table("status")}
    assert documented == {status: name for status, (name, _) in ERRORS.items()}


def test_every_parameter_and_field_is_in_the_readme():
    assert {code(name) for name, _ in rows_of_table("parameter")} == set(
        CONVERSATIONS.schema.fields
    )
    fields = service.api.CREATE_MESSAGE.fields
    documented = re.findall(r"`(\w+)`", " ".join(name for name, _ in rows_of_table("field")))
    assert set(documented) == {field.data_key or name for name, field in fields.items()}


def test_every_product_file_is_in_the_tree():
    tree = README.split("## How it works", 1)[1].split("```")[1]
    documented = set(re.findall(r"^\S+", tree, re.MULTILINE))
    for path in [*ROOT.glob("*.py"), ROOT / "schemas", ROOT / "sql", ROOT / "tests"]:
        name = path.name + ("/" if path.is_dir() else "")
        assert any(entry.startswith(name) for entry in documented), name


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`((?:tests|bench|sql)/[\w./]+)`", README + security()))
    named |= set(re.findall(r"\]\(([\w.]+)\)", README))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def security() -> str:
    return (ROOT / "SECURITY.md").read_text()


def test_the_example_is_what_the_demo_inbox_answers(client):
    demo.load()
    key = demo.mint_key()
    example = orjson.loads(README.split("```json", 1)[1].split("```", 1)[0])
    answer = client.get(
        "/v1/conversations?limit=1&contact_number=+15554443333",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.json == example
