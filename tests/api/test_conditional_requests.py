"""Polling with the tag: a 304 costs one look-up, and no change is ever missed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from conversations.database import pool
from conversations.inbox import api_keys, retention
from tests.conftest import contact, new_organization

LIST = "/v1/conversations"
AT = "2026-04-28T12:00:01+00:00"


def poll(organization, tag: str, path: str = LIST, **query):
    return organization.get(path, query, **{"If-None-Match": tag})


def test_a_304_says_what_a_cache_must_know_and_costs_two_statements(alice, log_lines):
    alice.receive(contact(1), AT)
    tag = alice.get(LIST).headers["ETag"]
    response = poll(alice, tag)
    assert response.status_code == 304
    assert response.data == b""
    assert response.headers["ETag"] == tag
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response.headers["Vary"]
    assert "statements=2" in log_lines()[-1]


def change_by_message(organization):
    organization.receive(contact(1), "2020-01-01T00:00:00+00:00", "late")


def change_by_consent(organization):
    organization.record_consent(contact(1), True, AT)


def change_by_redaction(organization):
    retention.redact_expired(organization.id, retention.readable_from(1, datetime.now(UTC)))


def change_by_erasure(organization):
    retention.erase_contact(organization.id, contact(1))


@pytest.mark.parametrize(
    "change", [change_by_message, change_by_consent, change_by_redaction, change_by_erasure]
)
def test_every_visible_change_changes_the_tag(alice, change):
    alice.receive(contact(1), AT)
    path = f"{LIST}/{alice.conversations()[0]['id']}/messages"
    tags = [(LIST, alice.get(LIST).headers["ETag"]), (path, alice.get(path).headers["ETag"])]
    change(alice)
    assert [poll(alice, tag, path).status_code for path, tag in tags] == [200, 200]


def test_a_tag_is_of_one_url_and_one_organization(alice, bob):
    tag = alice.get(LIST).headers["ETag"]
    assert poll(alice, tag).status_code == 304
    assert poll(alice, tag, limit="2").status_code == 200
    assert poll(bob, tag).status_code == 200


def test_one_tag_of_several_and_the_strong_spelling_match(alice):
    tag = alice.get(LIST).headers["ETag"]
    assert poll(alice, f'"other", {tag}').status_code == 304
    assert poll(alice, tag.removeprefix("W/")).status_code == 304
    assert poll(alice, "*").status_code == 304
    assert poll(alice, '"other"').status_code == 200


def test_a_tag_does_not_hide_a_bad_request_or_a_bad_key(alice, client):
    tag = alice.get(LIST).headers["ETag"]
    assert poll(alice, tag, limit="0").status_code == 422
    assert poll(alice, "*", limit="0").status_code == 422
    assert client.get(LIST, headers={"If-None-Match": tag}).status_code == 401


def test_two_keys_of_an_organization_share_its_tags(alice):
    tag = alice.get(LIST).headers["ETag"]
    alice.key = api_keys.create_api_key(alice.id, ["conversations:read"], "second")
    assert poll(alice, tag).status_code == 304


def test_a_restored_backup_does_not_bring_an_old_tag_back(alice):
    """The counts are put back, as a restore does; another change must lead to another tag."""
    columns = "counted_id, shard, opted_in_count, other_count, change_count"
    alice.receive(contact(1), AT)
    with pool.connection() as conn:
        backup = conn.execute(
            f"SELECT {columns} FROM conversation_counts WHERE organization_id = %s", [alice.id]
        ).fetchall()
    alice.receive(contact(2), AT)
    tag = alice.get(LIST).headers["ETag"]
    with pool.transaction() as conn:
        conn.execute("DELETE FROM conversation_counts WHERE organization_id = %s", [alice.id])
        for row in backup:
            conn.execute(
                f"INSERT INTO conversation_counts (organization_id, {columns})"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [alice.id, *row.values()],
            )
    alice.receive(contact(3), AT)
    assert poll(alice, tag).status_code == 200


def follow(organization, client, writers_done: threading.Event) -> list[dict]:
    """Poll with the last tag until the writers are done, then once more; return what it holds."""
    tag, rows, finished = None, None, False
    while not finished:
        finished = writers_done.is_set()
        headers = organization.auth | ({"If-None-Match": tag} if tag else {})
        response = client.get(LIST, query_string={"limit": "200"}, headers=headers)
        if response.status_code == 200:
            tag, rows = response.headers["ETag"], response.json["data"]
    return rows


def test_a_client_that_polls_with_its_tag_misses_no_change(app):
    organization = new_organization(app.test_client())
    writers_done = threading.Event()

    def write(writer: int) -> None:
        for number in range(40):
            organization.receive(contact(writer * 100 + number % 7), AT, f"{writer} {number}")

    with ThreadPoolExecutor(7) as pool:
        pollers = [
            pool.submit(follow, organization, app.test_client(), writers_done) for _ in range(3)
        ]
        for _ in pool.map(write, range(4)):
            pass
        writers_done.set()
        held = [poller.result() for poller in pollers]
    assert held == [organization.conversations(limit="200")] * 3
