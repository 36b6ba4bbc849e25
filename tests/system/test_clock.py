"""A host whose clock is wrong: now is PostgreSQL's now, for a default and for retention."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from conversations.database import queries
from conversations.inbox.messages import get_messages
from tests.command_line import FLASK, ROOT
from tests.conftest import contact, new_organization

AHEAD = pytest.param("+400d", id="400 days ahead")
BEHIND = pytest.param("-400d", id="400 days behind")
pytestmark = pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")

# What a request does, in a process of its own.
POST = """
import sys
import app
from werkzeug.test import Client

client = app.app.test_client()
for path, body in (("/v1/messages", sys.argv[2]), ("/v1/consent", sys.argv[3])):
    headers = {"Authorization": "Bearer " + sys.argv[1], "Content-Type": "application/json"}
    response = client.post(path, data=body, headers=headers)
    print(response.status_code, response.get_data(as_text=True))
"""


def skewed(skew: str, *arguments: object) -> str:
    """Run a process whose clock is that wrong and return what it printed."""
    command = ["faketime", "-f", skew, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def is_now(instant: datetime) -> bool:
    now = queries.fetch_row("get_now")["now"]
    return now - timedelta(minutes=2) < instant <= now


@pytest.mark.parametrize("skew", [AHEAD, BEHIND])
def test_neither_a_message_nor_consent_without_an_instant_gets_the_hosts(client, skew, tmp_path):
    alice = new_organization(client)
    message = {"direction": "inbound", "from": contact(1), "to": alice.number, "body": "START"}
    pair = {"phone_number_id": str(alice.phone_number_id), "opted_in": False}
    event = pair | {"contact_number": contact(2)}
    python = FLASK.parent / "python"
    posts = map(orjson.dumps, (message, event))
    skewed(skew, python, "-c", POST, alice.key, *(body.decode() for body in posts))
    file = tmp_path / "consent.ndjson"
    file.write_bytes(orjson.dumps(pair | {"contact_number": contact(3)}))
    skewed(skew, FLASK, "import-consent", alice.id, file)
    consents = queries.fetch_all("export_consent", organization_id=alice.id)
    assert len(consents) == 3
    assert [event for event in consents if not is_now(event["captured_at"])] == []
    (row,) = alice.conversations()
    assert is_now(datetime.fromisoformat(row["last_message_at"]))


def test_a_host_that_is_ahead_redacts_nothing_that_is_within_retention(client):
    alice = new_organization(client, retention_days=30)
    fresh = alice.receive(contact(1), datetime.now(UTC))
    old = alice.receive(contact(1), datetime.now(UTC) - timedelta(days=31))
    skewed("+400d", FLASK, "redact-messages")
    stored = get_messages(alice.id, [fresh, old])
    assert stored[fresh]["body"] == "hello"
    assert is_now(stored[old]["redacted_at"])
