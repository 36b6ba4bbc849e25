from datetime import UTC, datetime

import pytest

from conversations.database import queries
from conversations.inbox import demo
from conversations.inbox.message_ids import new_message_id
from conversations.inbox.messages import complete_message, get_messages, record_messages
from tests.command_line import flask
from tests.conftest import SERVER_URL, new_database, using_database
from tests.expectations import PAGE_EXAMPLE


@pytest.fixture
def empty_database():
    """A database without a demo inbox, which this process works in."""
    with using_database(new_database(SERVER_URL)):
        yield


def walk(client, key: str) -> list[dict]:
    """All conversations of the demo inbox, without their ids."""
    answer = client.get("/v1/conversations?limit=200", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    return [{k: v for k, v in row.items() if k != "id"} for row in answer.json["data"]]


def demo_keys() -> list[dict]:
    rows = queries.fetch_all("list_api_keys", organization_id=demo.ORGANIZATION_ID)
    return [row for row in rows if row["label"] == demo.KEY_LABEL]


def test_the_demo_holds_the_conversations_of_the_page(client):
    key = flask("demo").stdout.strip()
    rows = walk(client, key)
    assert [row for row in rows if row in PAGE_EXAMPLE] == PAGE_EXAMPLE
    assert rows[0] == PAGE_EXAMPLE[0]


def test_the_demo_shows_every_kind_of_conversation(client):
    rows = walk(client, flask("demo").stdout.strip())
    previews = [row["last_message_preview"] for row in rows]
    assert {"[media]", "[redacted]"} < set(previews)
    assert {row["last_message_direction"] for row in rows} == {"inbound", "outbound"}
    assert {row["consent"] and row["consent"]["opted_in"] for row in rows} == {True, False, None}
    assert len({row["phone_number"] for row in rows}) == 2


def test_another_demo_key_revokes_the_one_before_and_no_other(client, demo_key):
    first, second = (flask("demo").stdout.strip() for _ in range(2))
    answers = [
        client.get("/v1/conversations", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (first, second, demo_key)
    ]
    assert answers == [401, 200, 200]
    assert [row["revoked_at"] is None for row in demo_keys()].count(True) == 1


def test_what_people_add_to_the_demo_outlives_the_next_load(empty_database):
    demo.load()
    given = {
        "id": new_message_id(),
        "direction": "inbound",
        "from_number": "+15550000001",
        "to_number": "+15551112222",
        "body": "from long ago",
        "created_at": datetime(2020, 1, 1, tzinfo=UTC),
    }
    old = complete_message(given, demo.NUMBERS)
    record_messages(demo.ORGANIZATION_ID, [old])
    demo.load()
    (stored,) = get_messages(demo.ORGANIZATION_ID, [old["id"]]).values()
    assert stored["body"] == "from long ago"


@pytest.mark.parametrize("step", ["demo.record_messages", "demo.retention.redact_expired"])
def test_a_load_that_was_cut_off_is_finished_by_the_next(empty_database, monkeypatch, client, step):
    with monkeypatch.context() as patch:
        patch.setattr(f"conversations.inbox.{step}", None)
        with pytest.raises(TypeError):
            demo.load()
    demo.load()
    rows = walk(client, demo.new_demo_key())
    assert [row for row in rows if row in PAGE_EXAMPLE] == PAGE_EXAMPLE
