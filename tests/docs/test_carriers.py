"""The recipes of docs/carriers.md, run as they are printed against a running service."""

import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote

import pytest

from tests.api.hooks import Hook
from tests.command_line import flask
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
    assert set(RECIPES) == {"gammu", "httpsms", "kannel", "script"}


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


class FakeHttpsms(BaseHTTPRequestHandler):
    """An API of httpSMS with 25 contacts, of which the first has 45 messages."""

    owner = "+15551112222"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        args = dict(parse_qsl(query))
        contacts = [contact(n) for n in range(25)]
        items = [{"contact": each, "owner": self.owner} for each in contacts]
        if path == "/v1/messages":
            count = 45 if args["contact"] == contacts[0] else 1
            items = [self.message(args["contact"], n) for n in range(count)]
        start, limit = int(args["skip"]), int(args["limit"])
        is_right = self.headers["x-api-key"] == "secret" and args["owner"] == self.owner
        body = {"data": items[start : start + limit] if limit <= 20 else [], "status": "success"}
        self.send_response(200 if is_right else 401)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def message(self, number: str, place: int) -> dict:
        at = f"2026-04-28T12:00:{place:02}Z"
        ends = {"owner": self.owner, "contact": number, "content": "back\\slash\n%s 👋"}
        kind = {"type": "mobile-originated", "status": "received", "received_at": at}
        return {"id": f"{number[1:]}-{place}", **ends, **kind}

    def log_message(self, format, *args):
        pass


def test_the_history_of_httpsms_is_fetched_whole_and_imported(inbox, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHttpsms)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        origin = SimpleNamespace(url="")
        env = {"HTTPSMS": f"http://127.0.0.1:{server.server_port}", "OWNER": FakeHttpsms.owner}
        script = f"cd {tmp_path}\n{RECIPES['httpsms']}"
        run(script, origin, inbox, HTTPSMS_KEY="secret", **env)
        result = flask(
            *("import-messages", inbox.organization.id, tmp_path / "httpsms.ndjson"),
            *("--format", "httpsms"),
        )
        assert result.stdout == "imported 69, already there 0, skipped 0, refused 0\n"
        with pytest.raises(AssertionError):
            run(script, origin, inbox, HTTPSMS_KEY="wrong", **env)
    finally:
        server.shutdown()
        server.server_close()
