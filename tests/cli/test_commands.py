import contextlib
import os
import pty
import re
import subprocess
import termios
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from conversations.database import pool, queries
from conversations.inbox import api_keys
from tests.command_line import FLASK, ROOT, flask, flask_process
from tests.conftest import contact, new_organization

NOBODY = uuid.UUID(int=0)
EVERY_COMMAND = (
    ("create-phone-number", NOBODY, contact(1)),
    ("create-api-key", NOBODY, "--scope", "messages:write"),
    ("list-api-keys", NOBODY),
    ("list-phone-numbers", NOBODY),
    ("set-retention", NOBODY, "90"),
    ("delete-phone-number", NOBODY, contact(1)),
    ("delete-organization", NOBODY),
    ("delete-organization", NOBODY, "--yes"),
    ("export-messages", NOBODY, "-"),
    ("export-consent", NOBODY, "-"),
    ("import-messages", NOBODY, "-"),
    ("import-consent", NOBODY, "-"),
    ("erase-contact", NOBODY, contact(1)),
)


def say(result) -> str:
    """The sentence of an error, which is all that a command says then."""
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").strip()


def only_line(result) -> str:
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    return line


def key_rows(organization) -> list[list[str]]:
    lines = flask("list-api-keys", organization.id).stdout.splitlines()
    return [line.split("\t") for line in lines]


def test_migrate_says_when_there_is_nothing_to_do():
    assert flask("migrate").stdout == "already up to date\n"


def test_from_nothing_to_a_message_by_commands_alone(client):
    organization_id = uuid.UUID(only_line(flask("create-organization", "Brightside")))
    number = "+15551112222"
    phone_number_id = uuid.UUID(only_line(flask("create-phone-number", organization_id, number)))
    key = only_line(
        flask(
            *("create-api-key", organization_id),
            *("--scope", "conversations:read", "--scope", "messages:write"),
        )
    )
    headers = {"Authorization": f"Bearer {key}"}
    message = {"direction": "inbound", "from": contact(1), "to": number, "body": "hello"}
    assert client.post("/v1/messages", json=message, headers=headers).status_code == 201
    (row,) = client.get("/v1/conversations", headers=headers).json["data"]
    assert row["phone_number_id"] == str(phone_number_id)


def test_the_service_goes_on_as_configured_after_a_command_in_its_process(alice):
    alice.conversations()
    before = pool.database
    flask("create-organization", "Brightside")
    assert pool.database is before
    assert alice.conversations() == []


def test_a_new_organization_keeps_messages_for_ever_unless_told_otherwise():
    for days, arguments in ((None, ()), (90, ("--message-retention-days", 90))):
        id = only_line(flask("create-organization", "Brightside", *arguments))
        rows = queries.fetch_all("list_organizations")
        (row,) = [row for row in rows if str(row["organization_id"]) == id]
        assert row["message_retention_days"] == days


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "many", "99999999999"])
def test_a_retention_that_is_no_number_of_days_is_wrong_usage(days):
    flask("create-organization", "Brightside", f"--message-retention-days={days}", ends_with=2)


@pytest.mark.parametrize("name", ["", "  ", "\udcff"])
def test_a_name_without_text_is_wrong_usage(name):
    flask("create-organization", name, ends_with=2)


def test_a_number_has_one_id_however_often_it_is_created(alice):
    first = only_line(flask("create-phone-number", alice.id, "+15550001111"))
    assert only_line(flask("create-phone-number", alice.id, "+15550001111")) == first
    assert only_line(flask("create-phone-number", alice.id, "+15550001111", "--id", first)) == first


def test_a_number_takes_the_id_that_it_is_given(alice):
    id = str(uuid.uuid4())
    assert only_line(flask("create-phone-number", alice.id, "54321", "--id", id.upper())) == id


def test_another_id_for_a_known_number_is_refused(alice):
    result = flask(
        *("create-phone-number", alice.id, alice.number, "--id", uuid.uuid4()), ends_with=1
    )
    assert say(result) == f"{alice.number} has the id {alice.phone_number_id} already"


def test_the_id_of_another_number_is_refused(alice):
    id = alice.phone_number_id
    result = flask("create-phone-number", alice.id, "+15550001111", "--id", id, ends_with=1)
    assert say(result) == f"{id} is the id of another number, {alice.number}"


def test_two_organizations_may_give_a_number_the_same_id(alice, bob):
    id = uuid.uuid4()
    for organization in (alice, bob):
        created = flask("create-phone-number", organization.id, "+15550001111", "--id", id)
        assert only_line(created) == str(id)


def test_a_sender_id_may_be_a_number_of_yours(alice):
    id = only_line(flask("create-phone-number", alice.id, "My Bank"))
    assert str(alice.new_number("My Bank")) == id


@pytest.mark.parametrize("number", ["5551112222xy", "+0155", "12", "123456789", "+1 555", "+١٢٣"])
def test_a_number_that_cannot_be_dialled_is_wrong_usage(alice, number):
    complaint = flask("create-phone-number", alice.id, number, ends_with=2).stderr
    assert "must be E.164, such as +15551112222, or a short code" in complaint


def test_an_unknown_organization_is_refused(subtests):
    for command in EVERY_COMMAND:
        with subtests.test(command=command):
            assert say(flask(*command, ends_with=1)) == f"there is no organization {NOBODY}"


@pytest.mark.parametrize("id", ["", "x", f"{{{NOBODY}}}", NOBODY.hex, f"urn:uuid:{NOBODY}"])
def test_an_organization_that_is_no_uuid_is_wrong_usage(id):
    result = flask("list-api-keys", id, ends_with=2)
    assert result.stdout == ""
    assert "must be a UUID" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing option '--scope'"),
        (["--scope", "messages:read"], "'messages:read' is not one of"),
        (["--scope", ""], "'' is not one of"),
        (["--scope", "messages:write", "--scope", "messages:write"], "a --scope is repeated"),
    ],
)
def test_a_scope_that_is_missing_unknown_or_repeated_is_wrong_usage(alice, arguments, complaint):
    result = flask("create-api-key", alice.id, *arguments, ends_with=2)
    assert result.stdout == ""
    assert complaint in result.stderr
    assert len(key_rows(alice)) == 1


def test_a_lifetime_that_is_no_number_and_unit_is_wrong_usage(alice, subtests):
    for lifetime in ("90", "d", "0d", "-1d", "1.5h", "90D", "1w", "٩d", "1d "):
        with subtests.test(lifetime=lifetime):
            arguments = ("create-api-key", alice.id, "--scope", "messages:write")
            result = flask(*arguments, f"--expires-in={lifetime}", ends_with=2)
            assert "must be a number and s, m, h or d" in result.stderr


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        ("5s", timedelta(seconds=5)),
        ("5m", timedelta(minutes=5)),
        ("5h", timedelta(hours=5)),
        ("90d", timedelta(days=90)),
    ],
)
def test_a_key_expires_after_its_lifetime(alice, lifetime, expected):
    flask("create-api-key", alice.id, "--scope", "messages:write", "--expires-in", lifetime)
    row = key_rows(alice)[-1]
    created_at, expires_at = map(datetime.fromisoformat, row[4:6])
    assert expires_at - created_at == expected


def test_keys_are_listed_oldest_first_with_everything_but_their_secret(alice):
    arguments = ("--scope", "consent:write", "--scope", "messages:write", "--label", "a\tgate\nway")
    key = only_line(flask("create-api-key", alice.id, *arguments))
    listing = flask("list-api-keys", alice.id).stdout
    assert key not in listing
    assert api_keys.hash_key(key).hex() not in listing
    first, row = key_rows(alice)
    assert first[1] == api_keys.display_prefix(alice.key)
    assert uuid.UUID(row[0])
    assert row[1:4] == [key[:12], "a\\tgate\\nway", "consent:write messages:write"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", row[4])
    assert row[5:] == ["", "", ""]


def test_names_and_labels_are_printed_escaped_cut_and_without_a_key(alice):
    leaked = api_keys.new_key()
    api_keys.create_api_key(alice.id, ["messages:write"], f"\x1b[2J{leaked}\u202e" + "x" * 200)
    label = key_rows(alice)[-1][2]
    assert label == (f"\\x1b[2J{leaked[:12]}…\\u202e" + "x" * 200)[:99] + "…"
    with pool.connection() as conn:
        conn.execute("UPDATE organizations SET name = %s WHERE id = %s", ["a\tb\r", alice.id])
    (line,) = [
        line for line in flask("list-organizations").stdout.splitlines() if str(alice.id) in line
    ]
    assert line.split("\t")[1] == "a\\tb\\r"
    complaint = flask("delete-organization", alice.id, ends_with=2).stderr
    assert f"deletes a\\tb\\r ({alice.id})" in " ".join(complaint.split())


def test_a_key_that_was_used_says_when(alice):
    before = datetime.now(UTC)
    alice.conversations()
    (row,) = key_rows(alice)
    assert before - timedelta(seconds=5) < datetime.fromisoformat(row[7]) <= datetime.now(UTC)


@pytest.mark.parametrize("name", ["prefix", "id", "key"])
def test_a_key_is_revoked_by_prefix_or_id_or_itself_from_its_next_request_on(alice, name):
    (row,) = key_rows(alice)
    named = {"id": row[0].upper(), "prefix": row[1], "key": alice.key}[name]
    printed = only_line(flask("revoke-api-key", named))
    assert alice.key not in printed
    assert alice.get("/v1/conversations").status_code == 401
    (row,) = key_rows(alice)
    assert printed.split("\t") == row
    assert row[6]


def test_a_key_that_is_revoked_again_keeps_its_instant(alice):
    (row,) = key_rows(alice)
    assert flask("revoke-api-key", row[0]).stdout == flask("revoke-api-key", row[0]).stdout


def test_a_prefix_that_fits_two_keys_is_refused_and_revokes_neither(alice, bob):
    with pool.connection() as conn:
        conn.execute(
            "UPDATE api_keys SET prefix = %s WHERE organization_id = ANY(%s)",
            [prefix := f"am_live_{uuid.uuid4().hex[:4]}!", [alice.id, bob.id]],
        )
    for command in ("revoke-api-key", "rotate-api-key"):
        complaint = say(flask(command, prefix, ends_with=1))
        (alices,), (bobs,) = key_rows(alice), key_rows(bob)
        assert f"{alices[0]} of Test ({alice.id})" in complaint
        assert f"{bobs[0]} of Test ({bob.id})" in complaint
    assert (alices[6], bobs[6]) == ("", "")


UNKNOWN_KEYS = ["am_live_none", str(NOBODY), "%", "am_live_", api_keys.new_key()]


def test_a_key_that_nobody_has_cannot_be_revoked_or_rotated(subtests):
    for command in ("revoke-api-key", "rotate-api-key"):
        for name in UNKNOWN_KEYS:
            with subtests.test(command=command, name=name):
                assert say(flask(command, name, ends_with=1)) == "there is no such key"


@pytest.mark.parametrize("name", ["prefix", "id", "key"])
@pytest.mark.parametrize("lifetime", [None, timedelta(days=90)])
def test_a_rotated_key_gives_way_to_one_that_may_do_the_same(alice, name, lifetime):
    scopes = ["messages:write", "consent:read"]
    old = api_keys.create_api_key(alice.id, scopes, "gateway", lifetime)
    before = key_rows(alice)[-1]
    new = only_line(
        flask("rotate-api-key", {"id": before[0], "prefix": before[1], "key": old}[name])
    )
    assert api_keys.is_well_formed(new)
    assert api_keys.find_live_key(old) is None
    assert api_keys.find_live_key(new).scopes == scopes
    *_, revoked, replacement = key_rows(alice)
    assert revoked[6] != ""
    # The label, the scopes and the expiry, to the microsecond.
    assert [replacement[place] for place in (2, 3, 5)] == [before[place] for place in (2, 3, 5)]
    assert replacement[1] == new[:12]
    assert replacement[6:] == ["", ""]


def test_a_key_that_is_revoked_or_expired_cannot_be_rotated(alice):
    (row,) = key_rows(alice)
    flask("revoke-api-key", row[0])
    assert say(flask("rotate-api-key", row[0], ends_with=1)) == "the key is revoked"
    api_keys.create_api_key(alice.id, ["messages:write"], "old", timedelta(seconds=-1))
    expired = key_rows(alice)[-1]
    assert say(flask("rotate-api-key", expired[0], ends_with=1)) == "the key is expired"
    assert len(key_rows(alice)) == 2
    assert key_rows(alice)[-1] == expired


def test_of_two_rotations_at_once_one_is_refused(alice):
    (row,) = key_rows(alice)
    with ThreadPoolExecutor(2) as threads:
        id = uuid.UUID(row[0])
        rotations = [threads.submit(api_keys.rotate_api_key, alice.id, id) for _ in range(2)]
    errors = [rotation.exception() for rotation in rotations]
    assert sorted(map(str, errors)) == ["None", "the key is revoked"]
    assert len(key_rows(alice)) == 2


@pytest.mark.parametrize(
    ("command", "header"),
    [
        ("list-organizations", "id\tname\tmessage_retention_days\tcreated_at"),
        ("list-phone-numbers", "id\tnumber\tcreated_at"),
        (
            "list-api-keys",
            "id\tprefix\tlabel\tscopes\tcreated_at\texpires_at\trevoked_at\tlast_used_at",
        ),
    ],
)
def test_a_list_has_a_header_on_a_terminal_and_none_in_a_pipe(alice, command, header):
    arguments = [] if command == "list-organizations" else [str(alice.id)]
    piped = flask(command, *arguments).stdout
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # The terminal changes no bytes.
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    with subprocess.Popen([FLASK, command, *arguments], cwd=ROOT, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        # Linux ends a terminal whose other end is closed with an error.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65536):
                shown += chunk
        assert process.wait(60) == 0
    os.close(ours)
    first, _, rest = shown.decode().partition("\n")
    assert first == header
    assert rest == piped


def test_erasing_a_contact_counts_what_it_removes_and_can_be_repeated(alice):
    alice.receive(contact(1), "2026-04-01T09:00:00+00:00")
    alice.receive(contact(1), "2026-04-01T09:00:01+00:00", None, media_urls=["https://a.example"])
    alice.receive(contact(2), "2026-04-01T09:00:00+00:00", "stays")
    assert only_line(flask("erase-contact", alice.id, contact(1))) == "redacted 2"
    assert only_line(flask("erase-contact", alice.id, contact(1))) == "redacted 0"
    assert only_line(flask("erase-contact", alice.id, contact(3))) == "redacted 0"
    previews = {row["contact_number"]: row["last_message_preview"] for row in alice.conversations()}
    assert previews == {contact(1): "[media]", contact(2): "stays"}


def run_lines(*arguments) -> dict[str, str]:
    lines = flask("redact-messages", *arguments).stdout.splitlines()
    return dict(line.split(": ") for line in lines)


def test_a_retention_run_prints_a_line_for_each_organization(client):
    expired, kept, empty = (
        new_organization(client, retention_days=days) for days in (90, None, None)
    )
    for organization in (expired, kept):
        organization.receive(contact(1), "2020-01-01T09:00:00+00:00")
    today = datetime.now(UTC).replace(microsecond=0)
    expired.receive(contact(1), today)
    oldest = today.isoformat().replace("+00:00", "Z")

    rehearsed = run_lines("--dry-run")
    assert rehearsed[str(expired.id)] == "redacted 1, oldest readable 2020-01-01T09:00:00Z"
    for redacted in (1, 0):
        lines = run_lines()
        assert lines[str(expired.id)] == f"redacted {redacted}, oldest readable {oldest}"
        assert lines[str(kept.id)] == "redacted 0, oldest readable 2020-01-01T09:00:00Z"
        assert lines[str(empty.id)] == "redacted 0, oldest readable none"


@pytest.mark.parametrize("command", ["nonsense", "create-organisation"])
def test_an_unknown_command_is_wrong_usage(command):
    flask(command, ends_with=2)


def test_a_command_of_its_own_process_prints_only_its_result():
    done = flask_process("create-organization", "Brightside")
    assert done.returncode == 0
    assert str(uuid.UUID(done.stdout.decode().strip())) + "\n" == done.stdout.decode()
    assert done.stderr == b""


def test_a_reader_that_stops_early_is_no_crash(alice):
    with pool.connection() as conn:
        conn.execute(
            "INSERT INTO api_keys (organization_id, key_hash, prefix, label, scopes)"
            " SELECT %s, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),"
            " 'am_live_more', '', '{messages:write}' FROM generate_series(1, 3000)",
            [alice.id],
        )
    command = f"'{FLASK}' list-api-keys {alice.id} | head -c 10"
    done = subprocess.run(  # noqa: S602
        command, shell=True, cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["migrate", "demo"])
def test_a_database_that_cannot_be_reached_is_named_in_one_line(command):
    done = flask_process(command, DATABASE_URL="postgres://127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert "127.0.0.1" in line
    assert "refused" in line


def test_a_database_url_that_is_none_is_an_error_without_its_secret():
    done = flask_process("migrate", DATABASE_URL="user:sesame@example.com/inbox")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "DATABASE_URL" in line
    assert "sesame" not in line


def test_a_setting_that_is_wrong_is_named():
    done = flask_process("migrate", PORT="http")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("PORT ")


def test_commands_work_without_prepared_statements(alice):
    arguments = ("list-api-keys", alice.id)
    done = flask_process(*arguments, DATABASE_PREPARED_STATEMENTS="false")
    assert done.stdout.decode() == flask(*arguments).stdout
