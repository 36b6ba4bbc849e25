"""The recipes of docs/carriers.md, run as they are printed against a running service."""

import os
import re
import shutil
import subprocess
from urllib.parse import quote

import pytest

from tests.api.hooks import Hook
from tests.conftest import DATABASE_URL, contact, new_organization
from tests.servers import ROOT, running_service

DOCUMENT = (ROOT / "docs" / "carriers.md").read_text()
RECIPES = dict(re.findall(r"<!-- recipe: (\w+) -->\n```\w*\n(.*?)```", DOCUMENT, re.DOTALL))
TEXT = "Grüße 👋 \"quoted\" $HOME `id` \\ & + 100% 'x' (*)!\nsecond line"
# What Kannel leaves as it is when it encodes a field.
KANNEL_SAFE = "-_.!~*'()"


@pytest.fixture(scope="module")
def service(app):
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as running:
        yield running


@pytest.fixture
def inbox(app) -> Hook:
    return Hook(new_organization(app.test_client()))


def run(script: str, service, hook, *arguments: str, text: str = "", **env: str) -> None:
    """Run a script as the shell does; it must succeed and print nothing."""
    if not (shutil.which("curl") and shutil.which("jq")):
        pytest.skip("no curl and jq: apt-get install curl jq, or make test")
    done = subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        env=os.environ | {"INBOX": service.url, "KEY": hook.key} | env,
        input=text.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_recipe_is_run_below():
    assert set(RECIPES) == {"gammu", "kannel", "script"}


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SMS_MESSAGES": "1", "SMS_1_TEXT": TEXT, "DECODED_PARTS": "0"}, TEXT),
        ({"SMS_MESSAGES": "1", "DECODED_PARTS": "0"}, ""),
        (
            {
                **{"SMS_MESSAGES": "2", "SMS_1_TEXT": "cut", "SMS_2_TEXT": "off"},
                **{"DECODED_PARTS": "2", "DECODED_1_TEXT": TEXT, "DECODED_2_TEXT": " end"},
            },
            TEXT + " end",
        ),
    ],
)
def test_gammu_records_what_it_receives(service, inbox, variables, text):
    own = inbox.organization.number
    run(RECIPES["gammu"], service, inbox, OWN_NUMBER=own, SMS_1_NUMBER=contact(1), **variables)
    (message,) = inbox.messages()
    assert (message["from_number"], message["body"]) == (contact(1), text)


def test_gammu_hands_over_numbers_as_the_network_gives_them(service, inbox):
    own = inbox.organization.number
    variables = {"SMS_MESSAGES": "1", "SMS_1_TEXT": "x", "SMS_1_NUMBER": "6505551212"}
    run(RECIPES["gammu"], service, inbox, OWN_NUMBER=own, **variables)
    assert [message["from_number"] for message in inbox.messages()] == ["+16505551212"]


def kannel_command(**fields: str) -> str:
    """The command that Kannel hands to the shell for a message."""
    (command,) = re.findall(r'^exec = "(.*)"$', RECIPES["kannel"], re.MULTILINE)
    command = command.replace('\\"', '"')
    for name, value in fields.items():
        encoded = quote(value, safe=KANNEL_SAFE).replace("%20", "+")
        assert f"%{name}" in command
        command = command.replace(f"%{name}", encoded)
    return command


def test_kannel_records_what_it_receives_once(service, inbox):
    fields = {"I": "5ae5e6a1-4a4b-4c4d-8e8f-0a0b0c0d0e0f", "q": contact(1), "b": TEXT}
    command = kannel_command(Q=inbox.organization.number, **fields)
    for _ in range(2):
        run(command, service, inbox)
    (message,) = inbox.messages()
    assert (message["from_number"], message["body"]) == (contact(1), TEXT)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_script_records_what_a_program_exchanges_once(service, inbox, direction):
    ends = [contact(1), inbox.organization.number]
    if direction == "outbound":
        ends.reverse()
    arguments = (direction, *ends, "id 7", "2026-04-28T12:00:01Z")
    for _ in range(2):
        run(RECIPES["script"], service, inbox, *arguments, text=TEXT)
    (message,) = inbox.messages()
    assert (message["direction"], message["body"]) == (direction, TEXT)
    assert message["created_at"] == "2026-04-28T12:00:01Z"


def test_every_carrier_of_the_document_has_its_hook(app):
    rules = {rule.rule for rule in app.url_map.iter_rules() if "/hooks/" in rule.rule}
    assert set(re.findall(r"^\| [^|]+ \| `(/v1/hooks/\w+)` \|", DOCUMENT, re.MULTILINE)) == rules
