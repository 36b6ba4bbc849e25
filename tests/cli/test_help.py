"""`flask --help` is this project's: its name, its version, and a line for each command."""

import re

import pytest

import app as service
from conversations import __version__
from tests.command_line import flask_process

pytestmark = pytest.mark.no_database

BUILT_IN_COMMANDS = {"routes", "run", "shell"}


@pytest.mark.parametrize("arguments", [("--help",), ()], ids=["--help", "nothing"])
def test_the_help_names_the_project_and_says_what_each_command_does(arguments):
    done = flask_process(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.count("Usage:") == 1
    assert f"Conversations {__version__}: " in text
    assert "utility script for Flask" not in text
    ours, flasks = text.split("\nCommands:", 1)[1].split("\nCommands of Flask:")
    listed, built_in = (
        dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", part, re.MULTILINE)) for part in (ours, flasks)
    )
    assert set(listed) == set(service.app.cli.commands) - BUILT_IN_COMMANDS
    assert set(built_in) <= BUILT_IN_COMMANDS
    assert not any(summary.endswith("...") for summary in listed.values())


def test_a_command_has_its_own_help():
    done = flask_process("status", "--help")
    assert done.returncode == 0
    assert b"Usage: flask status" in done.stdout
