"""The commands for organizations, their retention and their phone numbers."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest

from conversations.database import pool, queries
from conversations.inbox import organizations, retention
from tests.command_line import flask
from tests.conftest import contact, new_organization

AT = "2026-04-28T12:00:01+00:00"
TABLES = ("messages", "conversations", "conversation_counts", "phone_numbers", "api_keys")


def line_of(organization) -> list[str]:
    """An organization's line of list-organizations."""
    lines = [line.split("\t") for line in flask("list-organizations").stdout.splitlines()]
    (line,) = [line for line in lines if line[0] == str(organization.id)]
    return line


def rows_of(organization) -> dict[str, int]:
    """How many rows of each table an organization owns; tables where it owns none are left out."""
    with pool.connection() as conn:
        counts = {
            table: conn.execute(
                f"SELECT count(*) FROM {table} WHERE organization_id = %s", [organization.id]
            ).fetchone()["count"]
            for table in TABLES
        }
    return {table: count for table, count in counts.items() if count}


def complaint(result) -> str:
    """The last line of what a command says when it refuses; nothing is printed then."""
    assert result.stdout == ""
    return result.stderr.strip().splitlines()[-1]


# Listing


def test_organizations_are_listed_oldest_first_with_name_and_retention(client):
    kept, brief = new_organization(client), new_organization(client, retention_days=90)
    first, second = line_of(kept), line_of(brief)
    assert first[:3] == [str(kept.id), "Test", ""]
    assert second[:3] == [str(brief.id), "Test", "90"]
    for line in (first, second):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", line[3])
        assert len(line) == 4
    assert first[3] < second[3]


def test_a_name_with_tabs_and_newlines_stays_on_its_line():
    id = flask("create-organization", "A\tB\nC").stdout.strip()
    lines = flask("list-organizations").stdout.splitlines()
    assert next(line for line in lines if line.startswith(id)).split("\t")[1] == "A\\tB\\nC"


def test_phone_numbers_are_listed_oldest_first(alice):
    second = alice.new_number("+15559990000")
    lines = flask("list-phone-numbers", alice.id).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[:2] for row in rows] == [
        [str(alice.phone_number_id), alice.number],
        [str(second), "+15559990000"],
    ]
    listed = alice.get("/v1/phone-numbers").json["data"]
    assert [row[2] for row in rows] == [row["created_at"] for row in listed]


# Retention


@pytest.mark.parametrize(("days", "shown"), [("30", "30"), ("forever", ""), ("36500", "36500")])
def test_a_retention_is_set_and_the_line_of_the_organization_is_printed(client, days, shown):
    organization = new_organization(client, retention_days=90)
    result = flask("set-retention", organization.id, days)
    assert result.stderr == ""
    assert result.stdout == "\t".join(line_of(organization)) + "\n"
    assert line_of(organization)[2] == shown
    assert flask("set-retention", organization.id, days).stdout == result.stdout


NO_DAYS = ["0", "-1", "1.5", "90d", "36501", "Forever", "", "٩", "01"]


def test_a_retention_that_is_no_number_of_days_is_wrong_usage(alice, subtests):
    for days in NO_DAYS:
        with subtests.test(days=days):
            result = flask("set-retention", "--", alice.id, days, ends_with=2)
            assert "must be 1..36500 or forever" in complaint(result)
            assert line_of(alice)[2] == ""


def test_a_retention_applies_from_the_next_run_and_restores_nothing(client):
    organization = new_organization(client)
    organization.receive(contact(1), "2020-01-01T00:00:00+00:00", "old")
    organization.receive(contact(2), datetime.now(UTC) - timedelta(days=10), "recent")

    def previews() -> set[str]:
        return {row["last_message_preview"] for row in organization.conversations()}

    flask("set-retention", organization.id, "30")
    assert previews() == {"old", "recent"}
    flask("redact-messages")
    assert previews() == {"[redacted]", "recent"}
    flask("set-retention", organization.id, "forever")
    flask("redact-messages")
    assert previews() == {"[redacted]", "recent"}


def test_a_retention_that_was_just_set_is_not_overdue(client):
    """An organization may be years old when it gets its first retention period."""
    flask("redact-messages")
    organization = new_organization(client)
    with pool.connection() as conn:
        conn.execute(
            "UPDATE organizations SET created_at = now() - interval '1 year' WHERE id = %s",
            [organization.id],
        )
        flask("set-retention", organization.id, "30")
        assert queries.fetch_row("get_health")["redaction_is_overdue"] is False
        conn.execute(
            "UPDATE organizations SET retention_set_at = now() - interval '27 hours' WHERE id = %s",
            [organization.id],
        )
        assert queries.fetch_row("get_health")["redaction_is_overdue"] is True
    flask("redact-messages")
    assert queries.fetch_row("get_health")["redaction_is_overdue"] is False


# Deleting a number


def test_a_number_without_conversations_is_deleted(alice):
    alice.new_number("+15559990000")
    result = flask("delete-phone-number", alice.id, "+15559990000")
    assert (result.stdout, result.stderr) == ("deleted\n", "")
    assert list(organizations.list_phone_numbers(alice.id)) == [alice.number]


def test_a_number_that_is_not_there_is_refused(alice, bob):
    bob.new_number("+15559990000")
    for _ in range(2):
        result = flask("delete-phone-number", alice.id, "+15559990000", ends_with=1)
        assert complaint(result) == f"Error: Test ({alice.id}) has no number +15559990000"
    assert len(organizations.list_phone_numbers(bob.id)) == 2


@pytest.mark.parametrize("what", ["message", "consent"])
def test_a_number_in_use_is_refused(alice, what):
    if what == "message":
        alice.receive(contact(1), AT)
    else:
        alice.record_consent(contact(1), False, AT)
    result = flask("delete-phone-number", alice.id, alice.number, ends_with=1)
    number = f"{alice.number} ({alice.phone_number_id}) of Test ({alice.id})"
    assert complaint(result) == f"Error: {number} has conversations or consent on record"
    assert list(organizations.list_phone_numbers(alice.id)) == [alice.number]


def test_a_deleted_number_can_be_created_again_with_its_id(alice):
    flask("delete-phone-number", alice.id, alice.number)
    arguments = ("create-phone-number", alice.id, alice.number, "--id", alice.phone_number_id)
    assert flask(*arguments).stdout == f"{alice.phone_number_id}\n"
    alice.receive(contact(1), AT)
    assert len(alice.conversations()) == 1


def test_a_message_that_arrives_while_a_number_is_deleted_is_kept_or_refused(client):
    """Neither order leaves a conversation without its number."""
    for _ in range(10):
        organization = new_organization(client)
        outcomes = []

        def receive(organization=organization, outcomes=outcomes):
            try:
                organization.receive(contact(1), AT)
                outcomes.append("kept")
            except pool.Unavailable:
                outcomes.append("refused")

        message = organization.message(contact(1), AT)
        organization.message = lambda *args, message=message, **fields: message
        thread = threading.Thread(target=receive)
        thread.start()
        try:
            deleted = organizations.delete_phone_number(organization.id, organization.number)
        except pool.Unavailable:
            deleted = False
        thread.join()
        assert outcomes == ["refused" if deleted else "kept"]


# Deleting an organization


@pytest.fixture
def full(client):
    """An organization with something in every table."""
    organization = new_organization(client)
    organization.new_number("+15559990000")
    for number in range(5):
        organization.receive(contact(number), AT, "STOP" if number else "hello")
    organization.record_consent(contact(9), True, AT)
    assert set(rows_of(organization)) == set(TABLES)
    return organization


def test_without_yes_nothing_goes_and_the_command_says_what_would(full):
    before = rows_of(full)
    result = flask("delete-organization", full.id, ends_with=2)
    assert complaint(result) == (
        f"Error: --yes is missing. It deletes Test ({full.id}) for good, with all that it owns. "
        "Phone numbers: 2, conversations: 6, messages: 5, keys: 1."
    )
    assert rows_of(full) == before


@pytest.mark.parametrize("batch", [1, 2, 10_000])
def test_an_organization_goes_with_all_that_it_owns(full, bob, monkeypatch, batch):
    monkeypatch.setattr(organizations, "DELETION_BATCH", batch)
    bob.receive(contact(1), AT)
    before = rows_of(bob)
    result = flask("delete-organization", full.id, "--yes")
    assert (result.stdout, result.stderr) == ("deleted\n", "")
    assert rows_of(full) == {}
    assert str(full.id) not in flask("list-organizations").stdout
    assert full.get("/v1/conversations").status_code == 401
    assert rows_of(bob) == before
    flask("delete-organization", full.id, "--yes", ends_with=1)


@pytest.mark.parametrize("after", range(2, 14))
def test_a_deletion_that_was_interrupted_is_finished_by_the_next_one(full, monkeypatch, after):
    monkeypatch.setattr(organizations, "DELETION_BATCH", 3)
    execute, calls = queries.execute, 0

    def interrupted(name, connection=None, /, **params):
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return execute(name, connection, **params)

    monkeypatch.setattr(queries, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        organizations.delete_organization(full.id)
    monkeypatch.undo()
    # No key is left to read what is left.
    assert full.get("/v1/conversations").status_code == 401
    if str(full.id) in flask("list-organizations").stdout:
        assert flask("delete-organization", full.id, "--yes").stdout == "deleted\n"
    assert rows_of(full) == {}


def test_two_deletions_at_once_both_end_well(full, monkeypatch):
    monkeypatch.setattr(organizations, "DELETION_BATCH", 2)
    failures = []

    def delete():
        try:
            organizations.delete_organization(full.id)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows_of(full) == {}


def test_what_arrives_during_a_deletion_is_refused_or_named_and_goes_with_the_next(
    full, monkeypatch
):
    message = full.message(contact(77), AT)
    execute = queries.execute

    def arriving(name, connection=None, /, **params):
        if name == "delete_conversation_counts":
            monkeypatch.setattr(queries, "execute", execute)
            full.message = lambda *args, **fields: message
            full.receive(contact(77), AT)
        return execute(name, connection, **params)

    monkeypatch.setattr(queries, "execute", arriving)
    with pytest.raises(pool.Unavailable):
        organizations.delete_organization(full.id)
    assert flask("delete-organization", full.id, "--yes").stdout == "deleted\n"
    assert rows_of(full) == {}


def test_erasing_what_is_gone_is_no_error(full):
    flask("delete-organization", full.id, "--yes")
    assert retention.erase_contact(full.id, contact(1)) == 0
