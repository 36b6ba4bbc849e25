"""Commands take their settings from the environment alone, and options from the command line."""

import importlib.util
from pathlib import Path

from conversations.database import pool
from tests.command_line import ROOT, flask, flask_process
from tests.conftest import SERVER_URL, contact, new_database

FOREIGN = "postgresql://svc:geheim@127.0.0.1:1/another"


def project_of_another(folder: Path) -> Path:
    """A folder below the settings of another project."""
    (folder / ".env").write_text(f"DATABASE_URL={FOREIGN}\nPGSSLMODE=require\nWEB_CONCURRENCY=9\n")
    (folder / ".flaskenv").write_text("FLASK_REDACT_MESSAGES_DRY_RUN=1\n")
    below = folder / "below"
    below.mkdir()
    return below


def test_a_file_with_settings_of_another_project_is_not_used(tmp_path):
    assert importlib.util.find_spec("dotenv"), "the tests' own packages bring python-dotenv"
    folder = project_of_another(tmp_path)
    variables = {"FLASK_APP": str(ROOT / "app.py"), "DATABASE_URL": new_database(SERVER_URL)}
    done = flask_process("migrate", cwd=folder, **variables)
    assert done.returncode == 0, done.stderr
    done = flask_process("status", cwd=folder, **variables)
    assert done.returncode == 0, done.stderr
    assert b"2 workers x 4 connections" in done.stdout


def test_no_variable_is_an_option_of_a_command(alice, monkeypatch, tmp_path):
    alice.receive(contact(1), "2020-04-28T12:00:01+00:00")
    flask("set-retention", alice.id, 1)
    rejected = tmp_path / "rejected"
    variables = {
        "FLASK_REDACT_MESSAGES_DRY_RUN": "1",
        "FLASK_DELETE_ORGANIZATION_YES": "1",
        "FLASK_IMPORT_MESSAGES_REJECTED_PATH": str(rejected),
        "FLASK_CREATE_API_KEY_SCOPES": "messages:write",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    flask("redact-messages")
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"
    file = tmp_path / "messages"
    file.write_text("no JSON\n")
    flask("import-messages", alice.id, file, ends_with=1)
    assert not rejected.exists()
    flask("create-api-key", alice.id, ends_with=2)
    assert flask("delete-organization", alice.id, ends_with=2).stdout == ""
    with pool.connection() as conn:
        rows = conn.execute("SELECT FROM organizations WHERE id = %s", [alice.id]).fetchall()
    assert len(rows) == 1


def test_every_option_of_every_command_is_of_the_command_line_alone(app):
    offenders = [
        f"{name} {param.name}"
        for name, command in app.cli.commands.items()
        for param in command.params
        if getattr(param, "allow_from_autoenv", False) or param.envvar
    ]
    assert offenders == []
