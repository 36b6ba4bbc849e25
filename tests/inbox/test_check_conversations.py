import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

import app as service
from conversations.database import pool, queries
from conversations.inbox import checks
from schemas.fields import encode_base64url
from tests.command_line import flask
from tests.conftest import SERVER_URL, contact, new_database, new_organization, using_database
from tests.servers import wait_until

NOON = datetime(2026, 4, 28, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def own_database(app):
    """A database that no other test writes to: the command looks at every organization."""
    url = new_database(SERVER_URL)
    configured = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(configured, database_url=url)
    with using_database(url):
        yield
    app.config["SETTINGS"] = configured


@pytest.fixture
def inbox_of_two(own_database, client):
    """An inbox with two conversations, of three messages and of one."""
    organization = new_organization(client)
    for number, second, body in ((1, 0, "first"), (1, 2, "last"), (1, 1, "late"), (2, 0, "STOP")):
        organization.receive(contact(number), NOON + timedelta(seconds=second), body)
    organization.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    return organization


def damage(organization, change: str, number: int = 1) -> str:
    """Change a conversation behind everybody's back and return its id as the API shows it."""
    with pool.connection() as conn:
        row = conn.execute(
            f"UPDATE conversations SET {change}"
            " WHERE organization_id = %s AND contact_number = %s RETURNING id",
            [organization.id, contact(number)],
        ).fetchone()
    return encode_base64url(row["id"].bytes)


def shown(organization) -> tuple:
    answer = organization.get("/v1/conversations")
    opted_in = organization.get("/v1/conversations?opted_in=true").json["meta"]["total"]
    consent = organization.get("/v1/consent").json
    numbers = organization.get("/v1/phone-numbers").json["meta"]["total"]
    return answer.json["data"], answer.json["meta"]["total"], opted_in, consent, numbers


NO_MESSAGES = (
    "message_count = 0, last_message_at = NULL, last_message_id = NULL,"
    " last_message_direction = NULL, last_message_preview = NULL"
)


def test_an_inbox_in_order_has_nothing_to_say(inbox_of_two):
    assert flask("check-conversations").stdout == ""
    assert flask("check-conversations", "--repair").stdout == ""


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("message_count = 4", "message_count"),
        ("last_message_at = last_message_at - interval '1 microsecond'", "last_message_at"),
        ("last_message_id = gen_random_uuid()", "last_message_id"),
        ("last_message_direction = 'outbound'", "last_message_direction"),
        ("last_message_preview = 'lost'", "last_message_preview"),
        (
            "last_message_preview = NULL, last_message_body_redacted_at = now()",
            "last_message_preview, last_message_body_redacted_at",
        ),
        (NO_MESSAGES, "message_count"),
    ],
)
def test_a_summary_that_is_wrong_is_named_and_repaired(inbox_of_two, change, columns):
    right = shown(inbox_of_two)
    id = damage(inbox_of_two, change)
    line = f"{inbox_of_two.id}: conversation {id}: {columns}"
    for _ in range(2):
        assert line in flask("check-conversations", ends_with=1).stdout.splitlines()
    assert line in flask("check-conversations", "--repair").stdout.splitlines()
    assert flask("check-conversations").stdout == ""
    assert shown(inbox_of_two) == right


def test_a_summary_of_messages_that_are_gone_is_named_and_repaired(inbox_of_two):
    inbox_of_two.record_consent(contact(3), True, "2026-04-01T09:00:00+00:00")
    id = damage(
        inbox_of_two,
        "message_count = 1, last_message_at = now(), last_message_direction = 'inbound',"
        " last_message_id = gen_random_uuid()",
        number=3,
    )
    output = flask("check-conversations", "--repair").stdout
    assert f"{inbox_of_two.id}: conversation {id}: message_count" in output.splitlines()
    assert flask("check-conversations").stdout == ""
    assert len(inbox_of_two.conversations()) == 2


EACH_COUNT = {
    "opted_in_count": 1,
    "other_count": 1,
    "opted_in_record_count": 1,
    "opted_out_record_count": 1,
    "phone_number_count": 1,
}
OF_ONE_NUMBER = [name for name in EACH_COUNT if name != "phone_number_count"]


@pytest.mark.parametrize(
    ("is_organization", "change"),
    [(False, change) for change in (*OF_ONE_NUMBER, "")]
    + [(True, change) for change in (*EACH_COUNT, "")],
)
def test_counts_that_are_wrong_are_named_and_repaired(inbox_of_two, change, is_organization):
    """The counts of the number, and those of the organization, which are in rows of their own."""
    right = shown(inbox_of_two)
    counted_id = uuid.UUID(int=0) if is_organization else inbox_of_two.phone_number_id
    every = list(EACH_COUNT) if is_organization else OF_ONE_NUMBER
    stored, names = (7, [change]) if change else (0, every)
    statement = (
        f"UPDATE conversation_counts SET {change} = 7"
        if change
        else "DELETE FROM conversation_counts"
    )
    with pool.transaction() as conn:
        of_one = [inbox_of_two.id, counted_id]
        changed = conn.execute(
            f"{statement} WHERE organization_id = %s AND counted_id = %s", of_one
        ).rowcount
    assert changed == 1
    number = f"phone number {inbox_of_two.number} ({inbox_of_two.phone_number_id})"
    whose = "all phone numbers" if is_organization else number
    difference = ", ".join(f"{each} {stored}, not {EACH_COUNT[each]}" for each in names)
    tag = inbox_of_two.get("/v1/conversations").headers["ETag"]
    (line,) = flask("check-conversations", ends_with=1).stdout.splitlines()
    assert line == f"{inbox_of_two.id}: {whose}: {difference}"
    assert flask("check-conversations", "--repair").stdout == f"{line}\n"
    assert flask("check-conversations").stdout == ""
    assert shown(inbox_of_two) == right
    assert inbox_of_two.get("/v1/conversations").headers["ETag"] != tag


def test_every_difference_of_every_organization_is_found(inbox_of_two, client):
    other = new_organization(client)
    other.receive(contact(1), NOON)
    for organization, number in ((inbox_of_two, 1), (inbox_of_two, 2), (other, 1)):
        damage(organization, "message_count = message_count + 1", number)
    lines = flask("check-conversations", "--repair").stdout.splitlines()
    assert len(lines) == 3
    assert len([line for line in lines if line.startswith(str(other.id))]) == 1


def test_counts_of_a_number_that_is_gone_are_repaired_too(inbox_of_two, client):
    other = new_organization(client)
    other.receive(contact(1), NOON)
    for organization in (inbox_of_two, other):
        damage(organization, "message_count = message_count + 1")
    with pool.transaction() as conn:
        # As a restore without its constraints would: shards that no writer of this process uses.
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            "INSERT INTO conversation_counts VALUES (%s, gen_random_uuid(), 100, 1, 1, 0)",
            [inbox_of_two.id],
        )
        conn.execute(
            "UPDATE conversation_counts SET other_count = 7"
            " WHERE organization_id = ANY(%s) AND counted_id <> %s",
            [[inbox_of_two.id, other.id], uuid.UUID(int=0)],
        )
    repaired = flask("check-conversations", "--repair").stdout.splitlines()
    assert len(repaired) == 5
    assert len([line for line in repaired if ": phone number deleted (" in line]) == 1
    assert flask("check-conversations").stdout == ""


def test_a_summary_that_cannot_be_repaired_is_left_and_named(inbox_of_two):
    with pool.transaction() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            "UPDATE messages SET conversation_id = %s WHERE organization_id = %s",
            [uuid.UUID(int=1), inbox_of_two.id],
        )
    repaired = flask("check-conversations", "--repair", ends_with=1)
    assert f"conversation {encode_base64url(bytes(15) + bytes([1]))}" in repaired.stderr
    with pool.connection() as conn:
        conn.execute("DELETE FROM messages WHERE organization_id = %s", [inbox_of_two.id])
    assert flask("check-conversations").stdout == ""


@pytest.mark.parametrize("is_wrong", [False, True])
def test_no_lock_is_taken_where_nothing_is_wrong(inbox_of_two, is_wrong):
    """While a writer is in the middle of its transaction, a check must not wait for it."""
    if is_wrong:
        damage(inbox_of_two, "message_count = message_count + 1")
    url = service.app.config["SETTINGS"].database_url
    with psycopg.connect(url) as writer:
        writer.execute("LOCK TABLE conversation_counts IN ROW EXCLUSIVE MODE")
        with pool.connection() as conn:
            conn.execute("SET lock_timeout = '50ms'")
        try:
            differences = list(checks.check(inbox_of_two.id, repair=True))
        finally:
            with pool.connection() as conn:
                conn.execute("SET lock_timeout = 0")
    assert len(differences) == is_wrong


def test_a_repair_waits_for_a_redaction_and_copies_no_removed_text(inbox_of_two):
    """The summary names another message than the last one, which is being redacted."""
    damage(inbox_of_two, "last_message_id = '00000000-0000-0000-0000-000000000001'")
    (difference,) = checks.differing_summaries(inbox_of_two.id)
    with pool.using(pool.Database(service.app.config["SETTINGS"].database_url, pool_size=3)):
        repair = threading.Thread(
            target=checks.repair_summary, args=[inbox_of_two.id, difference[0]]
        )
        with pool.transaction() as redaction:
            row = redaction.execute(
                "SELECT id FROM messages WHERE organization_id = %s AND body = 'last'",
                [inbox_of_two.id],
            ).fetchone()
            params = {"organization_id": inbox_of_two.id, "ids": [row["id"]], "redacted_at": None}
            queries.execute("redact_messages", redaction, **params)
            repair.start()
            with pool.connection() as conn:
                blocked = "SELECT FROM pg_stat_activity WHERE %s = any(pg_blocking_pids(pid))"
                pid = redaction.info.backend_pid
                wait_until(lambda: conn.execute(blocked, [pid]).fetchone() is not None)
        repair.join()
    assert list(checks.check(inbox_of_two.id, repair=False)) == []
    (shown, _) = inbox_of_two.conversations()
    assert shown["last_message_preview"] == "[redacted]"


def test_writers_at_work_are_no_difference_and_outlive_a_repair(inbox_of_two):
    stop, failures = threading.Event(), []

    def receive():
        second = 10
        try:
            while not stop.is_set():
                at = NOON + timedelta(seconds=second)
                inbox_of_two.receive(contact(second % 5), at, "STOP")
                second += 1
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=receive)
    with pool.using(pool.Database(service.app.config["SETTINGS"].database_url, pool_size=3)):
        writer.start()
        try:
            for _ in range(10):
                assert list(checks.check(inbox_of_two.id, repair=False)) == []
            for n in range(5):
                damage(inbox_of_two, "message_count = message_count + 7", number=n % 2 + 1)
                list(checks.check(inbox_of_two.id, repair=True))
                assert list(checks.check(inbox_of_two.id, repair=False)) == []
        finally:
            stop.set()
            writer.join()
    assert failures == []
    assert list(checks.check(inbox_of_two.id, repair=False)) == []
