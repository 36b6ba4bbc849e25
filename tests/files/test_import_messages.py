import contextlib
import io
import itertools
import os
import stat
import subprocess
import tracemalloc
import uuid

import orjson
import psycopg
import pytest

from conversations.database import pool
from conversations.files import importer
from conversations.files import rows as shared
from conversations.files.ndjson import read_messages
from conversations.inbox import organizations
from tests.command_line import FLASK, ROOT, flask
from tests.conftest import DATABASE_URL, Silent, contact, using_connections
from tests.servers import wait_until

AT = "2026-04-28T12:00:01Z"


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def row(organization, **fields) -> dict:
    """An inbound message; a field that is `...` is left out."""
    message = {"direction": "inbound", "from": contact(1), "to": organization.number}
    message |= {"body": "hello", "created_at": AT, **fields}
    return {name: value for name, value in message.items() if value is not ...}


def ndjson(*rows: dict | bytes) -> bytes:
    lines = (each if isinstance(each, bytes) else orjson.dumps(each) for each in rows)
    return b"".join(line + b"\n" for line in lines)


def options_of(organization) -> shared.Options:
    """What a reader knows of an organization."""
    numbers = organizations.list_phone_numbers(organization.id)
    return shared.Options(numbers, organizations.get_id_namespace(organization.id))


@pytest.fixture
def files(tmp_path):
    """Write bytes to a new file and return its path."""
    names = map(str, itertools.count())

    def write(content: bytes):
        path = tmp_path / next(names)
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def imports(alice, files):
    """Import bytes as Alice and return the result."""

    def run(content: bytes, *arguments: object, ends_with: int = 0):
        path = files(content)
        return flask("import-messages", alice.id, path, *arguments, ends_with=ends_with)

    return run


@pytest.fixture
def refusal(alice, imports):
    """Import a valid row and one that is refused, on line 2; return what is said of that one."""

    def run(line: dict | bytes) -> str:
        result = imports(ndjson(row(alice), line), ends_with=1)
        assert result.stdout == tally(imported=1, refused=1)
        (complaint,) = result.stderr.splitlines()
        assert complaint.startswith("line 2: ")
        return complaint.removeprefix("line 2: ")

    return run


def messages(organization) -> list[dict]:
    (conversation,) = organization.conversations()
    return organization.get(f"/v1/conversations/{conversation['id']}/messages").json["data"]


def test_a_row_is_what_it_would_be_if_it_had_been_posted(alice, bob, imports):
    id = str(uuid.uuid4())
    both = {
        "id": id,
        "direction": "outbound",
        "to": contact(1),
        "body": "Grüße 👋",
        "media_urls": ["https://example.com/1.jpg"],
        "channel": "mms",
        "segment_count": 2,
        "created_at": "2026-04-28T14:00:01.123456789+02:00",
    }
    result = imports(ndjson({**both, "from": alice.number}))
    assert (result.stdout, result.stderr) == (tally(imported=1), "")
    bob.post("/v1/messages", {**both, "from": bob.number})
    (imported,), (posted,) = messages(alice), messages(bob)
    assert imported | {"phone_number_id": None} == posted | {"phone_number_id": None}
    assert imported["created_at"] == "2026-04-28T12:00:01.123456Z"


def test_an_import_can_be_repeated(alice, imports):
    content = ndjson(
        row(alice, id=str(uuid.uuid4())),
        row(alice, body="no id"),
        row(alice, body=None, media_urls=["https://example.com/1.jpg"]),
    )
    assert imports(content).stdout == tally(imported=3)
    before = alice.conversations()
    assert imports(content).stdout == tally(there=3)
    assert alice.conversations() == before


def test_any_order_leads_to_the_same_inbox(alice, bob, files):
    instants = [f"2026-04-28T12:00:0{second}Z" for second in (3, 1, 2, 3, 0)]
    for organization, ordered in ((alice, list), (bob, reversed)):
        rows = [row(organization, created_at=at, body=f"{n}") for n, at in enumerate(instants)]
        flask("import-messages", organization.id, files(ndjson(*ordered(rows))))
    (alices,), (bobs,) = alice.conversations(), bob.conversations()
    different = {"id", "phone_number_id", "last_message_preview"}
    assert {k: v for k, v in alices.items() if k not in different} == {
        k: v for k, v in bobs.items() if k not in different
    }
    assert alices["message_count"] == 5


def test_a_row_without_an_id_is_known_by_its_content(alice, imports):
    once = row(alice)
    assert imports(ndjson(once, once)).stdout == tally(imported=1, there=1)
    respelled = row(alice, created_at="2026-04-28T14:00:01.000+02:00")
    assert imports(ndjson(dict(reversed(respelled.items())))).stdout == tally(there=1)
    assert imports(ndjson(row(alice, body="hello!"))).stdout == tally(imported=1)


def test_the_id_that_content_stands_for_never_changes(alice, imports):
    # A change would import everybody's history a second time.
    with pool.connection() as conn:
        conn.execute(
            "UPDATE organizations SET id_namespace = %s WHERE id = %s", [uuid.UUID(int=1), alice.id]
        )
    imports(ndjson(row(alice, **{"from": "+15554443333"})))
    (message,) = messages(alice)
    assert message["id"] == "cc15d30e-a096-5c25-a6ee-58dbefb9f05c"


def test_the_id_that_content_stands_for_gives_no_erased_text_away(alice, bob, files):
    # Who can guess a text must not learn from the id that stays whether it was this one.
    file = files(ndjson(row(alice, body="Your code is 123456")))
    ids = []
    for organization in (alice, bob):
        flask("import-messages", organization.id, file)
        ids.append(messages(organization)[0]["id"])
        assert uuid.UUID(ids[-1]).version == 5
        for path in ("/v1/conversations", "/v1/phone-numbers", "/readyz"):
            response = organization.get(path)
            assert str(organizations.get_id_namespace(organization.id)) not in response.text
    assert ids[0] != ids[1]


def test_a_known_id_with_other_content_is_refused_and_changes_nothing(alice, imports, refusal):
    id = str(uuid.uuid4())
    imports(ndjson(row(alice, id=id, body="first")))
    assert refusal(row(alice, id=id, body="second")) == "same id, different content"
    assert [m["body"] for m in messages(alice) if m["id"] == id] == ["first"]


def test_of_two_rows_with_one_id_the_first_counts(alice, imports):
    id = str(uuid.uuid4())
    first, second = row(alice, id=id, body="first"), row(alice, id=id, body="second")
    elsewhere = row(alice, id=id, **{"from": contact(0)})
    result = imports(ndjson(first, second, first, elsewhere), ends_with=1)
    assert result.stdout == tally(imported=1, there=1, refused=2)
    assert result.stderr.splitlines() == [
        "line 2: same id, different content",
        "line 4: same id, different content",
    ]
    assert [message["body"] for message in messages(alice)] == ["first"]


def test_a_redacted_message_is_known_by_what_is_left_of_it(alice, imports):
    content = ndjson(row(alice, id=str(uuid.uuid4())))
    imports(content)
    flask("erase-contact", alice.id, contact(1))
    assert imports(content).stdout == tally(there=1)
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"


def test_a_keyword_in_imported_history_counts_at_its_own_instant(alice, imports):
    imports(
        ndjson(
            row(alice, body="START", created_at="2026-03-01T09:00:00Z"),
            row(alice, body=" stop\n", created_at="2026-02-01T09:00:00Z"),
            row(alice, body="STOP", created_at="2026-04-01T09:00:00Z", **{"from": contact(2)}),
            row(alice, body="Stop it", created_at="2026-04-02T09:00:00Z"),
        )
    )
    consent = {each["contact_number"]: each["consent"] for each in alice.conversations()}
    assert consent == {
        contact(1): {"opted_in": True, "opted_in_at": "2026-03-01T09:00:00Z"},
        contact(2): {"opted_in": False, "opted_in_at": None},
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'"text"', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"body": "\xff"}', "is not JSON"),
        (b'{"body": "\x00"}', "is not JSON"),
        (b'{"body": "\\ud800"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_line_that_is_no_object_is_refused(refusal, line, reason):
    assert refusal(line) == reason


TOO_LATE = "must be an RFC 3339 date-time with an offset, at most 24 hours in the future"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"created_at": ...}, "created_at is required"),
        ({"created_at": "2026-04-28T12:00:01"}, f"created_at {TOO_LATE}"),
        ({"created_at": "9999-01-01T00:00:00Z"}, f"created_at {TOO_LATE}"),
        ({"body": "x" * 10_001}, "body must be 0..10000 chars"),
        ({"body": "x" * 3_000_000}, "body must be 0..10000 chars"),
        ({"body": 5}, "body must be 0..10000 chars"),
        ({"body": ...}, "body must be 0..10000 chars"),
        ({"body": None, "media_urls": []}, "body must be 0..10000 chars"),
        ({"body": None, "channel": "sms"}, "body must be 0..10000 chars"),
        ({"segment_count": "1"}, "segment_count must be 1..100"),
        ({"segment_count": True}, "segment_count must be 1..100"),
        ({"id": 7}, "id must be a UUID"),
        ({"created_at": "1970-01-01T00:00:00Z"}, "created_at must not be before 1992-12-03"),
        ({"to": "+15559999999"}, "to is not one of your phone numbers"),
        ({"from": "whatsapp:+15554443333"}, "from must be E.164"),
        ({"direction": ["inbound"]}, "direction must be inbound or outbound"),
        ({"text": "hello"}, "unknown field"),
        ({"bodi": "hello"}, "bodi unknown field; did you mean body?"),
    ],
)
def test_a_row_that_a_request_would_be_refused_for_is_refused(alice, refusal, fields, reason):
    assert reason in refusal(row(alice, **fields))


def test_a_name_of_twilio_is_no_misspelled_one_of_ours(alice, refusal):
    assert refusal(row(alice, date_sent=AT)) == "date_sent unknown field"


def test_texts_that_were_exchanged_may_be_empty_or_long_or_hold_nul(alice, imports):
    bodies = ["", "x" * 10_000, "a\0b"]
    assert imports(ndjson(*(row(alice, body=body) for body in bodies))).stdout == tally(imported=3)
    stored = {message["body"] for message in messages(alice)}
    assert stored == {"", "x" * 10_000, "a\ufffdb"}


@pytest.mark.parametrize("body", [..., None])
def test_an_mms_may_have_neither_text_nor_media(alice, imports, body):
    assert imports(ndjson(row(alice, body=body, channel="mms"))).stdout == tally(imported=1)
    (message,) = messages(alice)
    assert (message["body"], message["media_urls"], message["channel"]) == (None, [], "mms")
    assert alice.conversations()[0]["last_message_preview"] == "[media]"


def test_a_national_number_becomes_the_same_message_as_its_international_form(alice, imports):
    national = ndjson(row(alice, **{"from": "06 12345678"}))
    international = ndjson(row(alice, **{"from": "+31612345678"}))
    assert imports(national, "--region", "NL").stdout == tally(imported=1)
    assert imports(international).stdout == tally(there=1)


def test_every_field_that_is_wrong_is_named(refusal):
    complaint = refusal({"direction": "inbound", "body": 5, "created_at": "now"})
    for field in ("from is required", "to is required", "body must be", "created_at must be"):
        assert field in complaint


def test_blank_lines_are_ignored_but_counted(alice, imports):
    content = b"\n \r\n" + ndjson(row(alice)) + b"\n\t\n{\n"
    result = imports(content, ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    assert result.stderr == "line 6: is not JSON\n"


def test_windows_files_are_read_byte_order_mark_and_all(alice, imports):
    content = b"\xef\xbb\xbf" + ndjson(row(alice), row(alice, body="2")).replace(b"\n", b"\r\n")
    assert imports(content).stdout == tally(imported=2)


def test_a_file_of_nothing_but_a_byte_order_mark_has_no_rows(alice, imports):
    assert imports(b"\xef\xbb\xbf").stdout == tally()


def test_the_last_line_needs_no_end(alice, imports):
    assert imports(ndjson(row(alice)).strip()).stdout == tally(imported=1)


def test_an_empty_file_is_an_import_of_nothing(imports):
    assert imports(b"").stdout == tally()


def test_refused_rows_are_copied_byte_for_byte_to_be_mended(alice, imports, tmp_path):
    bad = [b'{"body":  "\xff"}\r\n', b" {\n", orjson.dumps(row(alice, to=contact(9)))]
    refused = tmp_path / "refused.ndjson"
    refused.write_text("of an earlier import")
    content = ndjson(row(alice)) + bad[0] + b"\n" + ndjson(row(alice, body="2")) + bad[1] + bad[2]
    result = imports(content, "--refused", refused, ends_with=1)
    assert result.stdout == tally(imported=2, refused=3)
    assert refused.read_bytes() == b"".join(bad) + b"\n"

    flask("create-phone-number", alice.id, contact(9))
    mended = refused.read_bytes().replace(bad[0], b"").replace(bad[1], b"")
    assert imports(mended, "--refused", refused).stdout == tally(imported=1)
    assert refused.read_bytes() == b""


def test_refused_must_not_name_the_input(alice, files, tmp_path):
    path = files(content := ndjson(row(alice)))
    link = tmp_path / "link"
    link.symlink_to(path)
    for refused in (path, link):
        result = flask("import-messages", alice.id, path, "--refused", refused, ends_with=2)
        assert "--rejected names the file that is being imported" in result.stderr
    assert path.read_bytes() == content


@pytest.mark.parametrize("refused", ["missing/refused.ndjson", "."])
def test_refused_rows_that_cannot_be_copied_stop_the_import_before_it_starts(
    alice, imports, tmp_path, refused
):
    path = tmp_path / refused
    result = imports(ndjson(row(alice)), "--refused", path, ends_with=2 if refused == "." else 1)
    assert result.stdout == ""
    assert str(path) in result.stderr
    assert alice.conversations() == []


def test_rejected_rows_can_be_read_by_their_owner_alone(imports, tmp_path):
    before = os.umask(0)
    try:
        imports(b"{}\n", "--rejected", tmp_path / "rejected", ends_with=1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "rejected").stat().st_mode) == 0o600


def test_a_file_of_rejected_rows_that_others_could_read_becomes_its_owners_alone(imports, tmp_path):
    (tmp_path / "rejected").touch()
    (tmp_path / "rejected").chmod(0o666)
    imports(b"{}\n", "--rejected", tmp_path / "rejected", ends_with=1)
    assert stat.S_IMODE((tmp_path / "rejected").stat().st_mode) == 0o600


def test_a_dry_run_reads_all_and_writes_nothing(alice, imports, tmp_path):
    id = str(uuid.uuid4())
    there = row(alice, body="there")
    imports(ndjson(there))
    content = ndjson(there, row(alice, id=id), row(alice, id=id, body="other"), b"{")
    (tmp_path / "rejected").write_text("of an earlier import")
    result = imports(content, "--dry-run", "--rejected", tmp_path / "rejected", ends_with=1)
    assert result.stdout == tally(imported=3, refused=1)
    assert result.stderr == "line 4: is not JSON\n"
    assert [message["body"] for message in messages(alice)] == ["there"]
    assert (tmp_path / "rejected").read_text() == "of an earlier import"
    assert imports(ndjson(row(alice)), "--dry-run").stdout == tally(imported=1)


def test_after_a_hundred_equal_reasons_only_their_number_is_printed(imports):
    lines = [b"{"] * 150 + [b"[]"] + [b"{"] * 50 + [b'{"x": 1}'] * 100
    result = imports(ndjson(*lines), ends_with=1)
    printed = result.stderr.splitlines()
    assert printed[:100] == [f"line {n}: is not JSON" for n in range(1, 101)]
    assert printed[100] == "line 151: is not a JSON object"
    assert len(printed) == 202
    assert printed[-1] == "100 more rows: is not JSON"
    assert result.stdout == tally(refused=301)


KEY = "am_live_" + "x" * 34
FORGED = {
    "\x1b[2J\x1b[1;1Himported 1": r"\x1b[2J\x1b[1;1Himported 1",
    "a\rb\nc\td": r"a\rb\nc\td",
    "\u202e\u200b\x7f\x9b": r"\u202e\u200b\x7f\x9b",
    "Größe👋": "Größe👋",
    "x" * 100: "x" * 100,
    "x" * 101: "x" * 99 + "…",
    "x" * 100_000: "x" * 99 + "…",
    KEY: "am_live_xxxx…",
    "x" * 80 + KEY: "x" * 80 + "am_live_xxxx…",
}


def test_names_of_a_file_are_printed_so_that_they_can_forge_nothing(alice, imports):
    result = imports(ndjson(*(row(alice, **{name: 1}) for name in FORGED)), ends_with=1)
    assert result.stderr.split("\n")[:-1] == [
        f"line {n}: {printed} unknown field" for n, printed in enumerate(FORGED.values(), 1)
    ]


def test_of_a_row_with_many_names_ten_are_printed(alice, imports):
    result = imports(ndjson(row(alice, **{f"x{n}": n for n in range(5000)})), ends_with=1)
    names = [f"x{n} unknown field" for n in range(10)]
    assert result.stderr == f"line 1: {'; '.join(names)}; and 4990 more\n"


def test_a_name_that_a_row_repeats_is_refused(imports):
    deep = b"[" * 1000 + b"]" * 1000
    repeats = b'{"body": "a", "body": "b"}', b'{"x": %b, "to": "a", "t\\u006f": "b"}' % deep
    result = imports(ndjson(*repeats), ends_with=1)
    assert result.stdout == tally(refused=2)
    assert result.stderr == "line 1: body must be given once\nline 2: to must be given once\n"


def test_a_full_disk_names_the_file_of_the_rejected_rows_and_still_prints_the_tally(alice, imports):
    conflicting = {"id": str(uuid.uuid4())}
    content = ndjson(row(alice, **conflicting), row(alice, **conflicting, body="other"))
    result = imports(content, "--rejected", "/dev/full", ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    complaint, error = result.stderr.splitlines()
    assert complaint == "line 2: same id, different content"
    assert error == "Error: /dev/full: No space left on device"


def lines_around(organization, length: int) -> bytes:
    """Three rows, of which the middle one takes that many bytes, its line break included."""
    before, after = row(organization, body="before"), row(organization, body="after")
    return ndjson(before, b'{"body":"' + b"x" * (length - 10), after)


@pytest.fixture
def most(monkeypatch) -> int:
    """The length of the longest line, small for the test."""
    monkeypatch.setattr(shared, "MAX_LINE_BYTES", 1000)
    return 1000


def test_a_line_of_any_length_is_rejected_and_the_rest_goes_in(alice, imports, tmp_path, most):
    for length in (most + 1, 2 * most, 3 * most + 7):
        content = lines_around(alice, length)
        result = imports(content, "--rejected", tmp_path / "rejected", ends_with=1)
        assert result.stderr == "line 2: is longer than 16 MiB; only its beginning is kept\n"
        assert result.stdout.endswith("refused 1\n")
        assert (tmp_path / "rejected").stat().st_size == most + 1
    assert {message["body"] for message in messages(alice)} == {"before", "after"}


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_of_the_greatest_length_is_read_whole(alice, imports, end, most):
    padding = most - len(orjson.dumps(row(alice))) - len(end)
    imports(orjson.dumps(row(alice)) + b" " * padding + end)
    imports(orjson.dumps(row(alice)) + b" " * (padding + 1) + end, ends_with=1)


def test_a_bomb_takes_no_memory(alice):
    line = b"x" * shared.MAX_LINE_BYTES
    tracemalloc.start()
    try:
        (only,) = read_messages(EndlessFile(itertools.repeat(line, 1500)), options_of(alice)).rows
        assert only.complaint == shared.TOO_LONG
        assert tracemalloc.get_traced_memory()[1] < 4 * len(line)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file", ["missing.ndjson", "."])
def test_a_file_that_cannot_be_opened_is_wrong_usage(alice, tmp_path, file):
    result = flask("import-messages", alice.id, tmp_path / file, ends_with=2)
    assert result.stdout == ""
    assert str(tmp_path / file) in result.stderr


def test_an_unknown_format_is_wrong_usage(imports):
    imports(b"", "--format", "xlsx", ends_with=2)


def test_standard_input_is_read_as_it_comes(alice):
    command = [FLASK, "import-messages", str(alice.id), "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        process.stdin.write(ndjson(row(alice))[:10])
        process.stdin.flush()
        rest = ndjson(row(alice))[10:] + ndjson(row(alice, body="2"), b"{")
        stdout, stderr = process.communicate(rest, timeout=60)
    assert process.returncode == 1
    assert stdout.decode() == tally(imported=2, refused=1)
    # On a terminal alone would there be more.
    assert stderr.decode() == "line 3: is not JSON\n"


def test_refused_must_not_name_the_file_behind_standard_input(alice, files):
    path = files(content := ndjson(row(alice)))
    command = [FLASK, "import-messages", str(alice.id), "-", "--refused", path]
    with open(path, "rb") as file:
        done = subprocess.run(
            command, cwd=ROOT, stdin=file, capture_output=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert path.read_bytes() == content


def test_an_import_that_breaks_off_keeps_its_batches_and_can_be_repeated(
    alice, monkeypatch, imports
):
    monkeypatch.setattr(importer, "BATCH_ROWS", 2)
    content = ndjson(*(row(alice, body=str(n)) for n in range(7)))
    batches = []

    class Breaking(importer.MessageTarget):
        writers = 1

        def record(self, contents):
            batches.append(contents)
            if len(batches) == 3:
                raise pool.Unavailable("away")
            return super().record(contents)

    export = read_messages(io.BytesIO(content), options_of(alice))
    run = importer.Import(Breaking(alice.id), io.BytesIO(), Silent())
    with using_connections(importer.CONNECTIONS), pytest.raises(pool.Unavailable):
        run.run(export)
    # The batch that was recorded while another one failed may be there too.
    assert imports(content).stdout in [tally(imported=7 - n, there=n) for n in (4, 5)]


def test_batches_are_tallied_together_and_refused_in_order(alice, monkeypatch, imports):
    monkeypatch.setattr(importer, "BATCH_ROWS", 3)
    id = str(uuid.uuid4())
    lines = [row(alice, body=str(n)) for n in range(10)]
    lines[1] = b"{"
    lines[4] = row(alice, id=id)
    lines[8] = row(alice, id=id, body="other")
    lines[9] = row(alice, id=id)
    result = imports(ndjson(*lines), ends_with=1)
    assert result.stdout == tally(imported=7, there=1, refused=2)
    assert result.stderr == "line 2: is not JSON\nline 9: same id, different content\n"


def test_an_import_tells_postgresql_how_large_the_tables_are(alice, imports):
    imports(ndjson(*(row(alice, **{"from": contact(n)}) for n in range(100))))
    with pool.connection() as conn:
        sizes = conn.execute(
            "SELECT reltuples AS known, (SELECT count(*) FROM conversations) AS real"
            " FROM pg_class WHERE oid = 'conversations'::regclass"
        ).fetchone()
    assert sizes["known"] == sizes["real"]


class EndlessFile:
    """A file whose lines are made when they are read."""

    def __init__(self, lines):
        self._lines = iter(lines)

    def readline(self, size: int) -> bytes:
        line = next(self._lines, b"")
        assert len(line) <= size
        return line


def most_memory(organization, contacts: int, rows: int) -> int:
    """Import that many messages and return how many bytes were in use at most."""
    messages = (
        row(organization, body=f"{n} " + "x" * 500, **{"from": contact(n % contacts)})
        for n in range(rows)
    )
    target = importer.MessageTarget(organization.id)
    tracemalloc.start()
    try:
        export = read_messages(EndlessFile(map(ndjson, messages)), options_of(organization))
        run = importer.Import(target, io.BytesIO(), Silent())
        with using_connections(importer.CONNECTIONS):
            run.run(export)
        assert run.tally.total() == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("contacts", [1, 1000])
def test_memory_does_not_grow_with_the_file(alice, monkeypatch, contacts):
    monkeypatch.setattr(importer, "BATCH_ROWS", 50)
    most_memory(alice, contacts, 1000)  # Both others compare with messages that are there.
    few, many = (most_memory(alice, contacts, rows) for rows in (1000, 5000))
    assert many < few * 2


@pytest.mark.parametrize("rows", [10, 12_000])
def test_of_two_rows_with_one_id_the_first_counts_whatever_the_size_of_the_file(
    alice, imports, rows
):
    id = str(uuid.uuid4())
    lines = [row(alice, body=str(n), **{"from": contact(n)}) for n in range(rows)]
    # The contact of the later row is recorded first, in the order of conversations.
    lines[1] = row(alice, id=id, body="first", **{"from": contact(9_999_999)})
    lines[-2] = row(alice, id=id, body="later", **{"from": contact(0)})
    lines[-1] = row(alice, id=id, body="first", **{"from": contact(9_999_999)})
    result = imports(ndjson(*lines), ends_with=1)
    assert result.stdout == tally(imported=rows - 2, there=1, refused=1)
    assert f"line {rows - 1}: same id, different content" in result.stderr
    (first,) = alice.conversations(contact_number=contact(9_999_999))
    assert first["last_message_preview"] == "first"


def test_no_temporary_data_is_left_by_an_import_that_is_killed(alice):
    command = [FLASK, "import-messages", str(alice.id), "-"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    line = ndjson(row(alice, body="x" * 1000)) * 10

    def temporary_files() -> list:
        """The files of temporary tables: t, the number of a session, and that of the table."""
        with psycopg.connect(DATABASE_URL) as conn:
            return conn.execute(
                "SELECT name FROM pg_database, pg_ls_dir('base/' || oid) AS name "
                "WHERE datname = current_database() AND name ~ '^t[0-9]+_[0-9]+$'"
            ).fetchall()

    def is_staged() -> bool:
        process.stdin.write(line)
        return temporary_files() != []

    wait_until(is_staged)
    process.kill()
    process.wait()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    wait_until(lambda: temporary_files() == [])
