"""What the recipes of docs/api.md print is what the service holds."""

import csv
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import orjson
import pytest

from tests.conftest import DATABASE_URL, contact
from tests.docs.recipes import RECIPES, run
from tests.servers import running_service


@pytest.fixture
def service(alice):
    """gunicorn over an inbox that may be changed."""
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service:
        yield service


LANGUAGES = ["curl", "python", "javascript"]


def test_every_recipe_of_the_document_is_run_below():
    in_all = {f"{what}-{language}" for what in ("walk", "poll", "record") for language in LANGUAGES}
    assert set(RECIPES) == in_all | {"sync", "export-csv"}


def demo_inbox(service, key) -> list[dict]:
    return service.request("GET", "/v1/conversations", key)[2]["data"]


def test_walk_with_curl_and_jq(demo_service, demo_key, tmp_path):
    printed = run("walk-curl", demo_service.url, demo_key, tmp_path)
    assert [line.split("\t") for line in printed.splitlines()] == [
        [row["contact_number"], row["last_message_preview"]]
        for row in demo_inbox(demo_service, demo_key)
    ]


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_walk(demo_service, demo_key, tmp_path, language):
    printed = run(f"walk-{language}", demo_service.url, demo_key, tmp_path)
    assert printed.splitlines() == [
        f"{row['contact_number']} {row['last_message_preview']}"
        for row in demo_inbox(demo_service, demo_key)
    ]


def test_export_to_csv(demo_service, demo_key, tmp_path):
    run("export-csv", demo_service.url, demo_key, tmp_path)
    columns = ("contact_number", "last_message_at", "message_count", "last_message_preview")
    with open(tmp_path / "conversations.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == columns
    assert rows == [
        [str(row[column]) for column in columns] for row in demo_inbox(demo_service, demo_key)
    ]


def test_an_export_to_csv_holds_no_formulas(alice, service, tmp_path):
    texts = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)", "\t=1", "a = b", "+15551112222", "'quoted"]
    for number, text in enumerate(texts):
        alice.receive(contact(number), f"2026-04-28T12:00:0{9 - number}+00:00", text)
    run("export-csv", service.url, alice.key, tmp_path)
    with open(tmp_path / "conversations.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[3] for row in rows] == ["'" + text for text in texts[:5]] + texts[5:]
    assert [row[0] for row in rows] == [contact(number) for number in range(len(texts))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_poll_with_the_tag(alice, service, tmp_path, language):
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
    poll = (f"poll-{language}", service.url, alice.key, tmp_path)
    assert run(*poll) == "something changed\n"
    assert run(*poll) == "nothing changed\n"
    assert run(*poll) == "nothing changed\n"
    alice.record_consent(contact(1), True, "2026-04-28T12:00:01+00:00")
    assert run(*poll) == "something changed\n"
    assert run(*poll) == "nothing changed\n"
    with pytest.raises(AssertionError, match="status 401"):
        run(f"poll-{language}", service.url, "am_live_wrong", tmp_path)
    assert run(*poll) == "nothing changed\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_record_until_it_is_recorded(alice, service, tmp_path, language):
    event = {
        "FROM": contact(1),
        "TO": alice.number,
        "BODY": 'She said "hello"\n',
        "ID": str(uuid4()),
    }
    record = (f"record-{language}", service.url, alice.key, tmp_path)
    service.stop()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(run, *record, **event)
        service.start()
        assert first.result() == "201\n"
    assert run(*record, **event) == "200\n"
    assert run(*record, **event | {"BODY": "other"}) == "409\n"
    (row,) = alice.conversations()
    assert (row["message_count"], row["last_message_preview"]) == (1, event["BODY"])


def test_sync_with_since(alice, service, tmp_path):
    for number in range(1, 8):
        alice.receive(contact(number), f"2026-04-28T12:00:0{number}+00:00")
    sync = ("sync", service.url, alice.key, tmp_path)
    assert run(*sync) == "7 read, 7 known\n"
    assert run(*sync) == "0 read, 7 known\n"
    for number in (1, 8):
        message = {"direction": "inbound", "from": contact(number), "to": alice.number}
        assert alice.post("/v1/messages", message | {"body": "again"}).status_code == 201
    assert run(*sync) == "2 read, 8 known\n"
    rows = orjson.loads((tmp_path / "conversations.json").read_bytes())["rows"]
    assert sorted(rows.values(), key=lambda row: row["id"]) == sorted(
        alice.conversations(), key=lambda row: row["id"]
    )
