"""What PostgreSQL's own log keeps of texts, with every statement logged, as SECURITY.md says."""

import re

import orjson
import psycopg
import pytest

from tests.command_line import flask_process
from tests.conftest import contact, new_organization, using_database
from tests.servers import ROOT, running_postgres, running_service

TEXT, NUMBER = "xylophone", contact(4711)
LOGGED = {"log_statement": "all", "log_min_duration_statement": 0, "log_duration": "on"}


def advised_settings() -> dict[str, str]:
    """The settings that SECURITY.md advises, without those of an extension."""
    advice = re.search(
        r"Set `log_parameter_max_length = 0`.*?Then", (ROOT / "SECURITY.md").read_text(), re.DOTALL
    )
    return dict(re.findall(r"`(log_\w+) = (\w+)`", advice[0]))


def log_of_a_day(settings: dict) -> str:
    """Record messages by request and by import, one of them twice; return PostgreSQL's log."""
    with running_postgres(**LOGGED, **settings) as postgres:
        with using_database(postgres.url):
            alice = new_organization(None)
        message = {"direction": "inbound", "from": NUMBER, "to": alice.number, "body": TEXT}
        with running_service(postgres.url, WEB_CONCURRENCY=1) as service:
            assert service.request("POST", "/v1/messages", alice.key, message)[0] == 201
            path = f"/v1/conversations?contact_number={NUMBER}"
            assert service.request("GET", path, alice.key)[2]["meta"]["total"] == 1
        row = orjson.dumps(message | {"created_at": "2026-04-28T12:00:01Z"})
        arguments = ("import-messages", alice.id, "-")
        assert flask_process(*arguments, input=row, DATABASE_URL=postgres.url).returncode == 0
        # An error over a row, which PostgreSQL describes with the row.
        with (
            psycopg.connect(postgres.url, autocommit=True) as conn,
            pytest.raises(psycopg.errors.CheckViolation),
        ):
            conn.execute("UPDATE messages SET redacted_at = now()")
        return postgres.log_path.read_text()


def test_with_the_advised_settings_it_holds_statements_but_no_text_and_no_number():
    assert set(advised_settings()) >= {"log_parameter_max_length", "log_error_verbosity"}
    log = log_of_a_day(advised_settings())
    assert "INSERT INTO messages" in log
    assert "redacted_message_is_empty" in log
    assert TEXT not in log
    assert NUMBER not in log


def test_without_them_it_holds_texts_and_numbers():
    log = log_of_a_day({})
    assert TEXT in log
    assert NUMBER in log
