import threading
import uuid
from datetime import UTC, date, datetime, timedelta

import orjson
import psycopg
import pytest

import app as service
from conversations.database import pool, queries
from conversations.inbox import checks, retention
from conversations.inbox.messages import record_messages
from tests.conftest import (
    DATABASE_URL,
    SERVER_URL,
    contact,
    new_database,
    new_organization,
    using_database,
)
from tests.expectations import PAGE_EXAMPLE
from tests.servers import pg_dump, wait_until

PICTURE = ["https://example.com/1.jpg"]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def flask(*args: object) -> str:
    """Run a command as an operator does and return what it printed; it must end with 0."""
    with using_database(DATABASE_URL):
        result = service.app.test_cli_runner().invoke(args=[str(arg) for arg in args])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def line_of(organization, output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith(str(organization.id))]
    return line


def run_retention(organization, now: str, days: int = 90) -> int:
    """What redact-messages does for one organization when it runs at an instant."""
    at = instant(now)
    return retention.redact_expired(organization.id, retention.readable_from(days, at), at=at)


def messages(organization, number: int = 1) -> list[dict]:
    (conversation,) = organization.conversations(contact_number=contact(number))
    return organization.get(f"/v1/conversations/{conversation['id']}/messages").json["data"]


def assert_consistent(organization) -> None:
    assert list(checks.check(organization.id, repair=False)) == []


# Which messages are past retention


@pytest.mark.parametrize(
    ("days", "now", "readable_from"),
    [
        (90, "2026-04-09T23:59:59.999999+00:00", "2026-01-10"),
        (90, "2026-04-10T00:00:00+00:00", "2026-01-11"),
        (90, "2026-04-10T23:59:59.999999+00:00", "2026-01-11"),
        (1, "2026-04-10T00:00:00+00:00", "2026-04-10"),
        (1, "2026-04-10T12:00:00+00:00", "2026-04-10"),
        (2, "2028-03-01T00:00:00+00:00", "2028-02-29"),
        (365, "2026-12-31T12:00:00+00:00", "2026-01-01"),
        # The UTC day counts, wherever the clock stands.
        (90, "2026-04-10T01:59:59+02:00", "2026-01-10"),
        (90, "2026-04-09T19:00:00-05:00", "2026-01-11"),
    ],
)
def test_retention_counts_utc_days(days, now, readable_from):
    assert retention.readable_from(days, instant(now)) == instant(f"{readable_from}T00:00:00+00:00")


def test_a_message_is_past_retention_that_many_days_after_its_own_day():
    for days in (1, 2, 30, 90, 36500):
        own = date(2026, 1, 10)
        first = datetime.combine(own + timedelta(days=days), datetime.min.time(), UTC)
        for second in ("00:00:00", "23:59:59.999999"):
            created_at = instant(f"{own}T{second}+00:00")
            before, after = first - timedelta(microseconds=1), first
            assert created_at >= retention.readable_from(days, before)
            assert created_at < retention.readable_from(days, after)


def test_the_days_edges_are_exact_to_the_microsecond(alice):
    alice.receive(contact(1), "2026-01-10T23:59:59.999999Z", "last of its day")
    alice.receive(contact(1), "2026-01-11T00:00:00Z", "first of the next")
    assert run_retention(alice, "2026-04-09T23:59:59.999999+00:00") == 0
    assert run_retention(alice, "2026-04-10T00:00:00+00:00") == 1
    assert [row["body"] for row in messages(alice)] == [None, "first of the next"]


# What redaction removes, and what it keeps


def test_the_second_example_of_the_reference(alice):
    for day in range(5, 11):
        at = f"2026-01-{day:02}T08:00:00Z"
        alice.receive("+15558889999", at, "See you then", direction="outbound")
    assert run_retention(alice, "2026-04-10T03:11:42+00:00") == 6
    (row,) = alice.conversations()
    ids = {"id": row["id"], "phone_number_id": str(alice.phone_number_id)}
    assert row == PAGE_EXAMPLE[1] | ids
    assert_consistent(alice)


def test_body_media_and_preview_go_together_and_the_rest_stays(alice):
    id = alice.receive(
        contact(1), "2026-01-10T08:00:00Z", "Look", media_urls=PICTURE, segment_count=2
    )
    (before,) = messages(alice)
    assert run_retention(alice, "2026-04-10T03:11:42.5+00:00") == 1
    (after,) = messages(alice)
    redacted_at = "2026-04-10T03:11:42.500000Z"
    assert after == before | {"body": None, "media_urls": [], "redacted_at": redacted_at}
    assert (after["id"], after["channel"], after["segment_count"]) == (str(id), "mms", 2)
    (row,) = alice.conversations()
    assert row["last_message_body_redacted_at"] == redacted_at


def test_a_picture_without_a_text_loses_its_address_and_stays_media(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", None, media_urls=PICTURE)
    assert run_retention(alice, "2026-04-10T03:11:42+00:00") == 1
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "[media]"
    assert row["last_message_body_redacted_at"] is None
    (message,) = messages(alice)
    assert message["media_urls"] == []
    assert message["redacted_at"] == "2026-04-10T03:11:42Z"
    assert_consistent(alice)


def test_a_message_that_never_had_anything_is_not_redacted(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", None, channel="mms")
    assert run_retention(alice, "2026-04-10T03:11:42+00:00") == 0
    assert retention.erase_contact(alice.id, contact(1)) == 0
    assert messages(alice)[0]["redacted_at"] is None
    assert alice.conversations()[0]["last_message_preview"] == "[media]"


def test_a_contact_who_texts_redacted_is_told_apart(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00Z", "[redacted]")
    alice.receive(contact(2), "2026-01-10T08:00:00Z", "secret")
    run_retention(alice, "2026-04-28T12:00:00+00:00")
    rows = alice.conversations()
    assert [row["last_message_preview"] for row in rows] == ["[redacted]", "[redacted]"]
    assert [row["last_message_body_redacted_at"] for row in rows] == [None, "2026-04-28T12:00:00Z"]


def test_the_preview_of_a_newer_message_stays(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", "old")
    alice.receive(contact(1), "2026-04-01T08:00:00Z", "new")
    assert run_retention(alice, "2026-04-10T03:11:42+00:00") == 1
    (row,) = alice.conversations()
    assert (row["last_message_preview"], row["last_message_body_redacted_at"]) == ("new", None)
    assert [row["body"] for row in messages(alice)] == [None, "new"]


def test_a_second_run_finds_nothing_and_keeps_the_first_instant(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z")
    assert run_retention(alice, "2026-04-10T03:11:42+00:00") == 1
    assert run_retention(alice, "2026-04-11T03:11:42+00:00") == 0
    assert messages(alice)[0]["redacted_at"] == "2026-04-10T03:11:42Z"


def test_an_older_message_that_comes_after_the_retention_run_waits_for_the_next_one(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", "last")
    run_retention(alice, "2026-04-10T03:11:42+00:00")
    alice.receive(contact(1), "2026-01-09T08:00:00Z", "late")
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "[redacted]"
    assert row["message_count"] == 2
    assert [row["body"] for row in messages(alice)] == ["late", None]
    assert run_retention(alice, "2026-04-10T04:11:42+00:00") == 1
    (row,) = alice.conversations()
    assert row["last_message_body_redacted_at"] == "2026-04-10T03:11:42Z"
    assert [row["redacted_at"] for row in messages(alice)] == [
        "2026-04-10T04:11:42Z",
        "2026-04-10T03:11:42Z",
    ]
    assert_consistent(alice)


@pytest.mark.parametrize(
    ("body", "media", "preview"), [("news", [], "news"), (None, PICTURE, "[media]")]
)
def test_a_newer_message_that_comes_after_the_retention_run_shows(alice, body, media, preview):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", "last")
    run_retention(alice, "2026-04-10T03:11:42+00:00")
    alice.receive(contact(1), "2026-04-10T08:00:00Z", body, media_urls=media)
    (row,) = alice.conversations()
    assert row["last_message_preview"] == preview
    assert row["last_message_body_redacted_at"] is None
    assert row["message_count"] == 2
    assert_consistent(alice)


def test_counts_filters_and_walks_are_as_before(alice):
    for number in range(7):
        alice.receive(contact(number), f"2026-01-{10 + number // 3}T08:00:00Z", f"to {number}")
        alice.receive(contact(number), "2026-01-01T08:00:00Z")
    alice.record_consent(contact(3), True, "2026-01-01T08:00:00+00:00")
    queries = [
        {},
        {"opted_in": "true"},
        {"opted_in": "false"},
        {"contact_number": contact(5)},
        {"since": "2026-01-11T08:00:00Z"},
        {"phone_number_id": str(alice.phone_number_id)},
    ]

    def everything(query, limit):
        gone = ("last_message_preview", "last_message_body_redacted_at")
        rows = alice.walk("/v1/conversations", limit, **query)
        return [{name: row[name] for name in row if name not in gone} for row in rows]

    before = [everything(query, limit) for query in queries for limit in (1, 2, 3, 50)]
    assert [len(rows) for rows in before[::4]] == [7, 1, 6, 1, 4, 7]
    assert run_retention(alice, "2026-04-11T03:00:00+00:00") == 13
    assert [everything(query, limit) for query in queries for limit in (1, 2, 3, 50)] == before
    previews = {row["last_message_preview"] for row in alice.walk("/v1/conversations", 2)}
    assert previews == {"[redacted]", "to 6"}


def test_the_tag_of_both_lists_changes(alice):
    alice.receive(contact(1), "2026-01-10T08:00:00Z", "old")
    alice.receive(contact(1), "2026-04-10T08:00:00Z", "new")
    paths = ["/v1/conversations", f"/v1/conversations/{alice.conversations()[0]['id']}/messages"]
    before = [alice.get(path).headers["ETag"] for path in paths]
    # Of the list of conversations nothing is to be seen of this one.
    run_retention(alice, "2026-04-10T03:11:42+00:00")
    responses = [
        alice.get(path, **{"If-None-Match": tag}) for path, tag in zip(paths, before, strict=True)
    ]
    assert responses[1].status_code == 200
    run_retention(alice, "2026-07-10T03:11:42+00:00")
    assert alice.get(paths[0], **{"If-None-Match": before[0]}).status_code == 200


# redact-messages


def test_the_command_prints_a_line_an_organization(client):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    long_ago = yesterday - timedelta(days=400)
    keeps, expires, empty = (new_organization(client, retention_days=d) for d in (None, 30, 30))
    for organization in (keeps, expires):
        organization.receive(contact(1), long_ago, "long ago")
        organization.receive(contact(1), long_ago, None, media_urls=PICTURE)
        organization.receive(contact(1), yesterday.replace(microsecond=5), "yesterday")
    oldest = long_ago.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    newest = yesterday.strftime("%Y-%m-%dT%H:%M:%S.000005Z")

    output = flask("redact-messages", "--dry-run")
    assert line_of(keeps, output) == f"{keeps.id}: redacted 0, oldest readable {oldest}"
    assert line_of(expires, output) == f"{expires.id}: redacted 2, oldest readable {oldest}"
    assert line_of(empty, output) == f"{empty.id}: redacted 0, oldest readable none"
    assert [row["body"] for row in messages(expires)].count("long ago") == 1

    output = flask("redact-messages")
    assert line_of(keeps, output) == f"{keeps.id}: redacted 0, oldest readable {oldest}"
    assert line_of(expires, output) == f"{expires.id}: redacted 2, oldest readable {newest}"
    assert line_of(empty, output) == f"{empty.id}: redacted 0, oldest readable none"
    assert [row["body"] for row in messages(expires)] == [None, None, "yesterday"]
    assert [row["redacted_at"] for row in messages(keeps)] == [None] * 3

    output = flask("redact-messages")
    assert line_of(expires, output) == f"{expires.id}: redacted 0, oldest readable {newest}"


def test_readyz_tells_when_retention_was_last_enforced_and_whether_that_is_long_ago(client):
    organization = new_organization(client, retention_days=30)
    flask("redact-messages")
    before = client.get("/readyz").json["data"]
    assert before["redaction_is_overdue"] is False
    with pool.connection() as conn:
        conn.execute(
            "UPDATE organizations SET last_redaction_at = now() - interval '27 hours' "
            "WHERE id = %s",
            [organization.id],
        )
    assert client.get("/readyz").json["data"]["redaction_is_overdue"] is True
    flask("redact-messages", "--dry-run")
    assert client.get("/readyz").json["data"]["redaction_is_overdue"] is True
    flask("redact-messages")
    after = client.get("/readyz").json["data"]
    assert after["redaction_is_overdue"] is False
    assert instant(after["last_redaction_at"]) > instant(before["last_redaction_at"])


def test_a_retention_run_that_never_ran_is_overdue_after_a_day(client):
    with using_database(new_database(SERVER_URL)):
        new_organization(client)
        assert client.get("/readyz").json["data"]["redaction_is_overdue"] is False
        organization = new_organization(client, retention_days=30)
        health = client.get("/readyz").json["data"]
        assert (health["last_redaction_at"], health["redaction_is_overdue"]) == (None, False)
        with pool.connection() as conn:
            conn.execute(
                "UPDATE organizations SET created_at = now() - interval '27 hours' WHERE id = %s",
                [organization.id],
            )
        assert client.get("/readyz").json["data"]["redaction_is_overdue"] is True


# Batches, and others at work


def receive_many(organization, count: int, contacts: int = 40) -> None:
    start = instant("2026-01-10T00:00:00+00:00")
    record_messages(
        organization.id,
        [
            organization.message(contact(n % contacts), start + timedelta(seconds=n), f"text {n}")
            for n in range(count)
        ],
    )


def at_once(*jobs) -> list:
    """Run jobs in a thread each and return what they returned."""
    results, errors = [], []

    def run(job):
        try:
            results.append(job())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


def test_a_retention_run_of_several_batches_leaves_nothing_and_keeps_the_rest(alice, monkeypatch):
    monkeypatch.setattr(retention, "REDACTION_BATCH", 7)
    receive_many(alice, 50)
    alice.receive(contact(1), "2026-04-10T00:00:00Z", "new")
    assert run_retention(alice, "2026-04-10T03:00:00+00:00") == 50
    assert {row["last_message_preview"] for row in alice.conversations()} == {"[redacted]", "new"}
    assert_consistent(alice)


def test_a_retention_run_commits_batch_by_batch(alice, monkeypatch):
    """One that is cut short loses nothing, and nobody waits for the end of a long one."""
    monkeypatch.setattr(retention, "REDACTION_BATCH", 10)
    receive_many(alice, 30, contacts=30)

    def redacted() -> int:
        return sum(row["last_message_preview"] == "[redacted]" for row in alice.conversations())

    with psycopg.connect(DATABASE_URL) as busy:
        busy.execute(
            "SELECT FROM conversations WHERE organization_id = %s AND contact_number = %s "
            "FOR UPDATE",
            [alice.id, contact(25)],
        )
        thread = threading.Thread(target=run_retention, args=[alice, "2026-04-10T03:00:00+00:00"])
        thread.start()
        wait_until(lambda: redacted() == 20, seconds=1.5)
    thread.join()
    assert redacted() == 30
    assert_consistent(alice)


def test_two_retention_runs_an_erasure_and_live_traffic_at_once(app, alice, monkeypatch):
    monkeypatch.setattr(retention, "REDACTION_BATCH", 20)
    receive_many(alice, 400)
    late = instant("2026-01-09T00:00:00+00:00")

    def post(number: int):
        client = app.test_client()
        for n in range(20):
            old = late + timedelta(seconds=n)
            body = {
                "direction": "inbound",
                "from": contact(n * 2 % 40),
                "to": alice.number,
                "body": f"live {number} {n}",
                "created_at": (old if n % 2 else datetime.now(UTC)).isoformat(),
            }
            response = client.post("/v1/messages", json=body, headers=alice.auth)
            assert response.status_code == 201, response.text

    counts = at_once(
        lambda: run_retention(alice, "2026-04-10T03:00:00+00:00"),
        lambda: run_retention(alice, "2026-04-10T03:00:01+00:00"),
        lambda: retention.erase_contact(alice.id, contact(2)),
        lambda: post(1),
        lambda: post(2),
    )
    counts.append(run_retention(alice, "2026-04-10T03:00:02+00:00"))
    counts.append(retention.erase_contact(alice.id, contact(2)))
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT count(redacted_at) AS redacted, count(*) AS everything, count(*) FILTER "
            "(WHERE body IS NOT NULL AND created_at < '2026-01-11T00:00:00Z') AS missed "
            "FROM messages WHERE organization_id = %s",
            [alice.id],
        ).fetchone()
    assert row["everything"] == 440
    assert row["missed"] == 0
    # Each message was counted by the one who redacted it, and by nobody else.
    assert sum(count for count in counts if count) == row["redacted"]
    assert_consistent(alice)


def test_a_message_that_arrives_while_its_conversation_is_redacted_shows(alice):
    """The writer has stored the newer message and waits for the run to let go."""
    alice.receive(contact(1), "2026-01-10T08:00:00Z", "old")
    with psycopg.connect(DATABASE_URL) as retention_run:
        retention_run.execute(
            "SELECT FROM conversations WHERE organization_id = %s FOR UPDATE", [alice.id]
        )
        writer = threading.Thread(
            target=alice.receive, args=[contact(1), "2026-04-10T08:00:00Z", "new"]
        )
        writer.start()
        retention_run.execute(
            "UPDATE messages SET body = NULL, redacted_at = now() WHERE organization_id = %s",
            [alice.id],
        )
        retention_run.execute(
            "UPDATE conversations SET last_message_preview = NULL, "
            "last_message_body_redacted_at = now() WHERE organization_id = %s",
            [alice.id],
        )
    writer.join()
    (row,) = alice.conversations()
    assert (row["last_message_preview"], row["last_message_body_redacted_at"]) == ("new", None)
    assert_consistent(alice)


def plan_of(organization, name: str, **params) -> dict:
    params = {"organization_id": organization.id, **params}
    with pool.connection() as conn:
        (row,) = conn.execute(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) " + queries.QUERIES[name], params
        ).fetchall()
    return orjson.loads(orjson.dumps(row["QUERY PLAN"]))[0]["Plan"]


def nodes(plan: dict):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_an_idle_retention_run_reads_a_few_pages_of_one_index(client):
    with using_database(new_database(SERVER_URL)):
        organization = new_organization(client, retention_days=90)
        receive_many(organization, 2000)
        run_retention(organization, "2026-04-10T00:00:00+00:00")
        organization.receive(contact(1), "2026-04-10T00:00:00Z", "new")
        with pool.connection() as conn:
            conn.execute("VACUUM ANALYZE messages")
        readable_from = instant("2026-01-11T00:00:00+00:00")
        for name, params in {
            "lock_expired_messages": {
                "limit": 1000,
                "readable_from": readable_from,
                "start_at": None,
            },
            "get_retention": {"readable_from": readable_from},
        }.items():
            plan = plan_of(organization, name, **params)
            scans = [node for node in nodes(plan) if "Scan" in node["Node Type"]]
            used = {node.get("Index Name") for node in scans if "Relation Name" in node}
            assert used == {"messages_readable"}, plan
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20, plan


# erase-contact


def test_erases_one_contact_on_every_number_at_once(alice, bob):
    alice.new_number("+15551113333")
    now = datetime.now(UTC)
    for own in (alice.number, "+15551113333"):
        alice.receive(contact(1), now - timedelta(hours=1), "old", own=own)
        alice.receive(contact(1), now, "new", own=own, media_urls=PICTURE, direction="outbound")
    alice.receive(contact(1), now, None, media_urls=PICTURE)
    alice.receive(contact(2), now, "somebody else's")
    bob.receive(contact(1), now, "Bob's")
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    before = alice.conversations(contact_number=contact(1))

    assert flask("erase-contact", alice.id, contact(1)) == "redacted 5\n"
    after = alice.conversations(contact_number=contact(1))
    gone = ("last_message_preview", "last_message_body_redacted_at")
    for was, is_ in zip(before, after, strict=True):
        assert [is_[name] for name in is_ if name not in gone] == [
            was[name] for name in was if name not in gone
        ]
        path = f"/v1/conversations/{is_['id']}/messages"
        for message in alice.get(path).json["data"]:
            assert (message["body"], message["media_urls"]) == (None, [])
            assert message["redacted_at"] is not None
    assert {row["last_message_preview"] for row in after} <= {"[redacted]", "[media]"}
    assert alice.conversations(contact_number=contact(2))[0]["last_message_preview"] == (
        "somebody else's"
    )
    assert bob.conversations()[0]["last_message_preview"] == "Bob's"
    assert_consistent(alice)


def test_erasing_somebody_with_whom_nothing_was_exchanged_is_no_error(alice):
    assert flask("erase-contact", alice.id, contact(1)) == "redacted 0\n"
    assert alice.conversations() == []


def test_what_comes_after_an_erasure_can_be_read(alice):
    alice.receive(contact(1), "2026-04-28T12:00:00Z", "old")
    assert retention.erase_contact(alice.id, contact(1)) == 1
    alice.receive(contact(1), "2026-04-28T12:00:01Z", "new")
    assert [row["body"] for row in messages(alice)] == [None, "new"]
    assert retention.erase_contact(alice.id, contact(1)) == 1


# Nothing is left


def test_no_dump_no_statistics_and_no_log_hold_a_removed_text(client, log_lines):
    secrets = ["xylophone", "zeppelin"]
    url = new_database(SERVER_URL)
    with using_database(url):
        organization = new_organization(client, retention_days=90)
        for n in range(40):
            message = {
                "id": str(uuid.UUID(int=n)),
                "direction": "inbound",
                "from": contact(n % 5),
                "to": organization.number,
                "body": f"xylophone {n % 7} " + "and more " * 30,
                "media_urls": [f"https://zeppelin.example.com/{n % 7}.jpg"],
                "created_at": f"2026-01-10T08:00:{n:02}Z",
            }
            assert organization.post("/v1/messages", message).status_code == 201
        refused = message | {"body": "xylophone" * 1000}
        assert organization.post("/v1/messages", refused).status_code == 422
        conflict = message | {"body": "another xylophone"}
        assert organization.post("/v1/messages", conflict).status_code == 409
        with pool.connection() as conn:
            conn.execute("ANALYZE")
        before = pg_dump(url)
        assert [before.count(secret) for secret in secrets] == [40 + 5, 40]

        assert run_retention(organization, "2026-04-11T00:00:00+00:00") == 40
        assert organization.post("/v1/messages", message).status_code == 200
        with pool.connection() as conn:
            statistics = str(conn.execute("SELECT * FROM pg_stats").fetchall())
            conn.execute("VACUUM FULL messages, conversations")
        after = pg_dump(url)
    assert contact(1) in after
    for secret in secrets:
        assert secret not in after
        assert secret not in statistics
        assert secret not in "\n".join(log_lines())
    assert len(log_lines()) > 40
