"""Exports: what they write, and that importing it into another database lists the same."""

import contextlib
import io
import os
import stat
import subprocess
import tempfile
import tracemalloc
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

import app as service
from conversations.database import pool
from conversations.files import exports
from conversations.inbox import api_keys, messages, organizations, retention
from tests.command_line import FLASK, ROOT, flask
from tests.conftest import (
    SERVER_URL,
    Organization,
    contact,
    new_database,
    new_organization,
    using_connections,
    using_database,
)

AT = "2026-04-28T12:00:01+00:00"
SENDER_ID = "My Bank"


def exported(what: str, organization) -> list[dict]:
    """The rows of an export to standard output, which must be announced on standard error."""
    result = flask(f"export-{what}", organization.id, "-")
    rows = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert result.stderr == f"exported {len(rows)}\n"
    return rows


def import_messages(organization, content: bytes, ends_with: int = 0):
    """Import NDJSON and return the result."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return flask("import-messages", organization.id, file.name, ends_with=ends_with)


@dataclass
class Contents:
    """All that an organization lists, but for the instants at which its records last changed."""

    conversations: list[dict]
    threads: list[list[dict]]
    consent: list[dict]
    totals: list[int] = field(default_factory=list)


def read_everything(organization, threads: int | None = None) -> Contents:
    """Read the lists, the first so many threads, and the totals of every filter."""
    conversations = organization.walk("/v1/conversations")
    consent = organization.walk("/v1/consent")
    for row in consent:
        row.pop("updated_at")
    filters = [{}, {"opted_in": "true"}, {"opted_in": "false"}]
    filters += [{**each, "phone_number_id": id} for each in filters for id in numbers(organization)]
    return Contents(
        conversations=conversations,
        threads=[
            organization.walk(f"/v1/conversations/{row['id']}/messages")
            for row in conversations[:threads]
        ],
        # Their order is that of the instants.
        consent=sorted(consent, key=lambda row: (row["phone_number_id"], row["contact_number"])),
        totals=[
            organization.get(path, {"limit": 1, **each}).json["meta"]["total"]
            for path in ("/v1/conversations", "/v1/consent")
            for each in filters
        ],
    )


def numbers(organization) -> list[str]:
    return [row["id"] for row in organization.walk("/v1/phone-numbers")]


@contextlib.contextmanager
def another_database() -> Iterator[None]:
    """Let requests and commands work in another database that is migrated and empty."""
    url = new_database(SERVER_URL)
    configured = service.app.config["SETTINGS"]
    service.app.config["SETTINGS"] = replace(configured, database_url=url)
    try:
        with using_database(url):
            yield
    finally:
        service.app.config["SETTINGS"] = configured


def twin_of(organization, known: dict[str, uuid.UUID]) -> Organization:
    """Create an organization with the same numbers and ids, and nothing else."""
    id = organizations.create_organization("Twin")
    for number, number_id in known.items():
        organizations.create_phone_number(id, number, number_id)
    key = api_keys.create_api_key(id, api_keys.SCOPES, "twin")
    return replace(organization, id=id, key=key)


def assert_round_trip(organization, folder, threads: int | None = None) -> None:
    """Export, import into an empty organization elsewhere, and compare everything."""
    files = {what: folder / f"{what}.ndjson" for what in ("messages", "consent")}
    for what, file in files.items():
        result = flask(f"export-{what}", organization.id, file)
        assert result.stdout == ""
        assert result.stderr.startswith("exported ")
    before = read_everything(organization, threads)
    known = organizations.list_phone_numbers(organization.id)
    with another_database():
        twin = twin_of(organization, known)
        for what, file in files.items():
            result = flask(f"import-{what}", twin.id, file)
            assert ", refused 0" in result.stdout, result.stderr
        assert read_everything(twin, threads) == before
        assert flask("check-conversations").stdout == ""
        for what, file in files.items():
            again = flask(f"import-{what}", twin.id, file)
            assert again.stdout.startswith("imported 0, "), again.stdout
            second = folder / f"{what}-again.ndjson"
            flask(f"export-{what}", twin.id, second)
            assert second.read_bytes() == file.read_bytes()
        assert read_everything(twin, threads) == before


@pytest.fixture
def everything(client):
    """An organization with one of every kind of message and of consent."""
    organization = new_organization(client)
    organization.new_number("54321")
    organization.new_number("Brightside")
    receive = organization.receive
    receive(contact(1), "2026-04-28T12:00:01.000001+00:00", "Grüße 👋\n\t\"'\\", segment_count=2)
    receive(contact(1), "2026-04-28T12:00:02+00:00", "", direction="outbound")
    receive(contact(1), AT, None, media_urls=["https://example.com/1", "https://example.com/2"])
    receive(contact(2), AT, "x" * 10_000, own="54321")
    receive(contact(2), AT, "both", media_urls=["https://example.com/1"], channel="sms")
    receive(contact(3), AT, None, channel="mms")
    receive(SENDER_ID, AT, "Your code is 1234", own="Brightside")
    receive("DHL", AT, "Your parcel", own="54321")
    # Redacted: a text, a picture, both, and a text that is not the last one.
    for number, body, media in ((4, "gone", []), (5, None, ["https://a.example"]), (6, "a", [])):
        receive(contact(number), AT, body, media_urls=media)
    receive(contact(6), "2026-04-28T11:00:00+00:00", "older", media_urls=["https://a.example"])
    receive(contact(7), AT, None, channel="mms", direction="outbound")
    receive(contact(8), AT, "STOP")
    for number in (4, 5, 6, 7, 8):
        retention.erase_contact(organization.id, contact(number))
    receive(contact(6), "2026-04-28T13:00:00+00:00", "newer")
    # Consent by keyword, by event, both ways, with and without messages.
    receive(contact(9), AT, "START")
    receive(contact(9), "2026-04-29T12:00:00+00:00", " stop ")
    receive(contact(10), AT, "UNSTOP")
    record = organization.record_consent
    record(contact(1), True, AT)
    record(contact(11), True, AT)
    record(contact(12), False, AT)
    record(contact(13), True, "2026-04-01T00:00:00.123456+00:00")
    record(contact(13), False, "2026-04-02T00:00:00+00:00")
    record(SENDER_ID, False, AT)
    return organization


def test_an_imported_export_lists_exactly_the_same(everything, tmp_path):
    previews = {row["last_message_preview"] for row in everything.conversations()}
    assert {"[redacted]", "[media]", "", "Your code is 1234"} <= previews
    assert_round_trip(everything, tmp_path)


@pytest.mark.soak
def test_an_imported_export_of_a_hundred_thousand_messages_lists_exactly_the_same(client, tmp_path):
    organization = new_organization(client)
    for own in ("54321", "Brightside"):
        organization.new_number(own)
    # As a command does it, whose statements may take longer than those of a request.
    with using_connections(1):
        fill(organization, 100_000)
        assert_round_trip(organization, tmp_path, threads=2000)


def fill(organization, count: int) -> None:
    """Record messages of every kind on three numbers, consent, erasures and a retention run."""
    known = organizations.list_phone_numbers(organization.id)
    owns, start = list(known), datetime(2025, 1, 1, tzinfo=UTC)
    batch = []
    for n in range(count):
        other = SENDER_ID if n % 1000 == 7 else contact(n * 7919 % (count // 5))
        own, inbound = owns[n % 3 if n % 5 else 0], n % 4 > 0
        body = ("START", "STOP", None, "hello " * (n % 300 + 1))[min(n % 40, 3)]
        given = {
            "id": uuid.UUID(int=n * 2**64 + n),
            "direction": "inbound" if inbound else "outbound",
            "from_number": other if inbound else own,
            "to_number": own if inbound else other,
            "body": body,
            "media_urls": [] if body else [f"https://example.com/{n}"],
            "created_at": start + timedelta(seconds=n // 3),
        }
        batch.append(messages.complete_message(given, known))
        if len(batch) == 5000:
            messages.record_messages(organization.id, batch)
            batch = []
    for n in range(0, count // 5, 50):
        organization.record_consent(contact(n), n % 100 == 0, AT)
        if n % 400 == 0:
            retention.erase_contact(organization.id, contact(n))
    retention.redact_expired(organization.id, start + timedelta(hours=3))


# The rows


def test_a_message_is_exported_as_it_would_be_posted(alice):
    id = alice.receive(
        contact(1),
        "2026-04-28T14:00:01.5+02:00",
        "hello",
        direction="outbound",
        media_urls=["https://example.com/1"],
        segment_count=2,
    )
    assert exported("messages", alice) == [
        {
            "id": str(id),
            "direction": "outbound",
            "from": alice.number,
            "to": contact(1),
            "body": "hello",
            "media_urls": ["https://example.com/1"],
            "channel": "mms",
            "segment_count": 2,
            "created_at": "2026-04-28T12:00:01.500000Z",
        }
    ]


@pytest.mark.parametrize(
    ("content", "is_erased", "had_text"),
    [
        ({"body": "hello"}, True, True),
        ({"body": ""}, True, True),
        ({"body": None, "media_urls": ["https://example.com/1"]}, True, False),
        ({"body": "hello", "media_urls": ["https://example.com/1"]}, True, True),
        ({"body": None, "channel": "mms"}, False, False),
    ],
)
def test_a_message_without_content_says_what_it_had(alice, content, is_erased, had_text):
    alice.receive(contact(1), AT, **content)
    if is_erased:
        retention.erase_contact(alice.id, contact(1))
    (row,) = exported("messages", alice)
    (conversation,) = alice.conversations()
    (message,) = alice.walk(f"/v1/conversations/{conversation['id']}/messages")
    assert "body" not in row
    assert "media_urls" not in row
    assert row["redacted_at"] == message["redacted_at"]
    assert (row["redacted_at"] is not None) == is_erased
    assert row["had_text"] is had_text


def test_consent_is_exported_as_the_events_that_lead_to_it(alice):
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    alice.record_consent(contact(1), False, "2026-04-02T09:00:00+00:00")
    alice.record_consent(contact(2), False, AT)
    pair = {"phone_number_id": str(alice.phone_number_id), "contact_number": contact(1)}
    assert exported("consent", alice) == [
        {**pair, "opted_in": True, "captured_at": "2026-04-01T09:00:00Z"},
        {**pair, "opted_in": False, "captured_at": "2026-04-02T09:00:00Z"},
        {
            **pair,
            "contact_number": contact(2),
            "opted_in": False,
            "captured_at": "2026-04-28T12:00:01Z",
        },
    ]


def test_a_thread_is_exported_oldest_first(alice):
    for second in (3, 1, 2):
        for number in (1, 2):
            alice.receive(contact(number), f"2026-04-28T12:00:0{second}+00:00")
    rows = exported("messages", alice)
    by_contact = {row["from"]: [] for row in rows}
    for row in rows:
        by_contact[row["from"]].append(row["created_at"])
    assert list(by_contact.values()) == [sorted(instants) for instants in by_contact.values()]
    assert rows == sorted(rows, key=lambda row: list(by_contact).index(row["from"]))


def test_nothing_of_another_organization_is_exported(alice, bob):
    bob.receive(contact(1), AT, "STOP")
    assert exported("messages", alice) == exported("consent", alice) == []


def test_messages_that_arrive_meanwhile_are_not_in_the_export(alice):
    """The rows are of one snapshot, however long it takes to write them."""
    for number in range(3):
        alice.receive(contact(number), AT)

    class Slow(io.BytesIO):
        def write(self, line):
            alice.receive(contact(self.tell() + 100), AT)
            retention.erase_contact(alice.id, contact(2))
            return super().write(line)

    file = Slow()
    assert exports.export_messages(alice.id, file) == 3
    rows = [orjson.loads(line) for line in file.getvalue().splitlines()]
    assert [row["body"] for row in rows] == ["hello"] * 3


# Keywords


def test_a_text_that_became_a_keyword_later_is_none_in_the_import(alice, tmp_path):
    """A later version may know more keywords; what was recorded under the earlier one stays."""
    for number, body in enumerate(("STOP", "START", "hello"), 1):
        alice.receive(contact(number), AT, body)
    with pool.connection() as conn:
        conn.execute(
            "UPDATE conversations SET opted_in_at = NULL, opted_out_at = NULL,"
            " consent_updated_at = NULL WHERE organization_id = %s",
            [alice.id],
        )
        conn.execute(
            "UPDATE conversation_counts SET opted_in_record_count = 0, opted_out_record_count = 0,"
            " opted_in_count = 0, other_count = CASE WHEN shard = (SELECT min(shard)"
            " FROM conversation_counts WHERE organization_id = %s) THEN 3 ELSE 0 END"
            " WHERE organization_id = %s",
            [alice.id, alice.id],
        )
    rows = {row["body"]: row for row in exported("messages", alice)}
    assert {body: row.get("is_keyword") for body, row in rows.items()} == {
        "STOP": False,
        "START": False,
        "hello": None,
    }
    assert_round_trip(alice, tmp_path)


def test_a_keyword_whose_event_is_on_record_is_a_keyword_in_the_import_too(alice):
    alice.receive(contact(1), AT, "STOP")
    alice.record_consent(contact(1), False, "2026-05-01T00:00:00+00:00")
    (row,) = exported("messages", alice)
    assert "is_keyword" not in row


def test_messages_alone_bring_the_opt_outs_in_them(everything):
    rows = exported("messages", everything)
    known = organizations.list_phone_numbers(everything.id)
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    with another_database():
        twin = twin_of(everything, known)
        import_messages(twin, content)
        consent = {row["contact_number"]: row["opted_in"] for row in twin.walk("/v1/consent")}
    assert consent == {contact(9): False, contact(10): True}


# The import of such rows


def redacted_row(organization, **fields) -> dict:
    row = {
        "id": str(uuid.uuid4()),
        "direction": "inbound",
        "from": contact(1),
        "to": organization.number,
        "channel": "sms",
        "created_at": AT,
        "redacted_at": "2026-05-01T00:00:00Z",
        "had_text": True,
    } | fields
    return {name: value for name, value in row.items() if value is not ...}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"body": "hi"}, "body must be absent where redacted_at or had_text is given"),
        (
            {"media_urls": ["https://a.example"]},
            "body must be absent where redacted_at or had_text is given",
        ),
        ({"had_text": ...}, "had_text is required where redacted_at is given"),
        ({"redacted_at": None}, "redacted_at is required where had_text is true"),
        ({"redacted_at": ...}, "redacted_at is required where had_text is true"),
        ({"had_text": None}, "had_text is required where redacted_at is given"),
        ({"had_text": "yes"}, "had_text must be true or false"),
        (
            {"redacted_at": "2999-01-01T00:00:00Z"},
            "redacted_at must be an RFC 3339 date-time with an offset, at most 24 hours in the "
            "future",
        ),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(alice, fields, complaint):
    content = orjson.dumps(redacted_row(alice, **fields))
    result = import_messages(alice, content, ends_with=1)
    assert result.stderr == f"line 1: {complaint}\n"


def test_over_a_message_that_is_there_a_redacted_row_changes_nothing(alice):
    id = alice.receive(contact(1), AT, "still here")
    before = alice.conversations()
    for fields in ({}, {"body": None}, {"redacted_at": None, "had_text": False}):
        content = orjson.dumps(redacted_row(alice, id=str(id), **fields))
        result = import_messages(alice, content)
        assert result.stdout == "imported 0, already there 1, skipped 0, refused 0\n"
    assert alice.conversations() == before
    assert before[0]["last_message_preview"] == "still here"


def test_a_row_with_its_text_does_not_bring_back_what_was_redacted(alice):
    alice.receive(contact(1), AT, "a secret")
    (row,) = exported("messages", alice)
    retention.erase_contact(alice.id, contact(1))
    result = import_messages(alice, orjson.dumps(row))
    assert result.stdout == "imported 0, already there 1, skipped 0, refused 0\n"
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"


def test_a_redacted_row_is_compared_by_the_rest(alice):
    id = alice.receive(contact(1), AT, "hello")
    content = orjson.dumps(redacted_row(alice, id=str(id), **{"from": contact(2)}))
    result = import_messages(alice, content, ends_with=1)
    assert result.stderr == "line 1: same id, different content\n"


@pytest.mark.parametrize("field", ["redacted_at", "had_text", "is_keyword"])
def test_over_http_these_fields_are_unknown(alice, field):
    row = redacted_row(alice, body="hi", redacted_at=..., had_text=...)
    response = alice.post("/v1/messages", row | {field: True})
    assert response.status_code == 422
    assert list(response.json["error"]["details"]) == [field]


# The file


def test_the_file_is_closed_to_others_even_if_it_was_open(alice, tmp_path):
    alice.receive(contact(1), AT)
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("something longer than the export\n" * 100)
    old.chmod(0o666)
    for path in (new, old):
        for _ in range(2):
            flask("export-messages", alice.id, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert orjson.loads(path.read_bytes())["body"] == "hello"


def test_a_file_that_cannot_be_written_is_named(alice, tmp_path):
    path = tmp_path / "nowhere" / "file"
    result = flask("export-messages", alice.id, path, ends_with=1)
    assert (result.stdout, result.stderr) == ("", f"Error: {path}: No such file or directory\n")
    flask("export-messages", alice.id, tmp_path, ends_with=2)


def test_a_full_disk_is_named(alice):
    for number in range(10):
        alice.receive(contact(number), AT, "x" * 1000)
    result = flask("export-messages", alice.id, "/dev/full", ends_with=1)
    assert result.stderr == "Error: /dev/full: No space left on device\n"
    assert stat.S_IMODE(os.stat("/dev/full").st_mode) == 0o666


def test_a_reader_that_has_enough_is_no_crash(alice):
    for number in range(200):
        alice.receive(contact(number), AT, "x" * 1000)
    command = f"'{FLASK}' export-messages {alice.id} - | head -c 10"
    done = subprocess.run(  # noqa: S602
        command, shell=True, cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert len(done.stdout) == 10
    assert b"Traceback" not in done.stderr


def test_an_export_takes_no_more_memory_for_more_rows(alice, monkeypatch):
    monkeypatch.setattr("conversations.database.queries.STREAM_ROWS", 100)
    peaks = []
    for _ in range(2):
        batch = [alice.message(contact(1), AT, "x" * 1000) for _ in range(1500)]
        messages.record_messages(alice.id, batch)
        with open(os.devnull, "wb") as file:
            exports.export_messages(alice.id, file)
            tracemalloc.start()
            exports.export_messages(alice.id, file)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2
    assert peaks[1] < 1_000_000
