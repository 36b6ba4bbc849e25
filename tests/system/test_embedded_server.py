"""A PostgreSQL of its own: where its files lie, and what its start owes to the surroundings."""

import os
import shutil
import stat
from pathlib import Path

import psycopg
import pytest

from tests.conftest import FOLDER, PROGRAMS
from tools.embedded import server


@pytest.fixture
def home(tmp_path_factory) -> Path:
    """A folder that the server's user can enter."""
    folder = FOLDER / tmp_path_factory.mktemp("server").name
    folder.mkdir(mode=0o711)
    return folder


@pytest.fixture
def data(home) -> Path:
    """A data folder whose server ends with the test."""
    path = home / 'it\'s "some" $data'
    yield path
    server.stop(path)


def start(programs: server.Programs, data: Path) -> str:
    server.create(programs, data)
    return server.start(programs, data, data.with_name("log"))


def test_it_runs_in_a_folder_of_any_name_and_takes_no_port(data, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "no_SUCH")
    url = start(PROGRAMS, data)
    with psycopg.connect(url) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
        assert conn.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert conn.execute("SELECT lower('Ä'), 'Z' < 'a'").fetchone() == ("ä", True)
    assert server.find_running(data) == url


def test_it_ends_with_its_socket(data):
    url = start(PROGRAMS, data)
    sockets = psycopg.conninfo.conninfo_to_dict(url)["host"]
    assert stat.S_IMODE(os.stat(sockets).st_mode) == 0o700
    server.stop(data)
    assert not os.path.exists(sockets)
    assert server.find_running(data) is None
    server.stop(data)


def test_a_failure_says_where_the_reason_is(data):
    server.create(PROGRAMS, data)
    (data / "postgresql.conf").write_text("max_connections = none\n")
    with pytest.raises(server.ServerError, match="log says why"):
        server.start(PROGRAMS, data, data.with_name("log"))
    assert "max_connections" in data.with_name("log").read_text()
    assert not server.find_running(data)


def test_what_an_interrupted_start_left_is_removed(data):
    leftover = data.with_name(f"{data.name}.unfinished-1")
    leftover.mkdir()
    (leftover / "PG_VERSION").write_text("18\n")
    server.create(PROGRAMS, data)
    assert not leftover.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_roots_server_runs_from_a_copy_of_programs_that_its_user_cannot_reach(
    home, data, tmp_path, monkeypatch
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    unneeded = shutil.ignore_patterns("include", "pginstall")
    for folder in PROGRAMS.folder.parents[2].glob(f"{server.PACKAGE}*"):
        shutil.copytree(folder, closed / folder.name, ignore=unneeded)
    monkeypatch.syspath_prepend(closed)
    programs = server.find_programs(home)
    assert programs.folder.is_relative_to(home)
    with psycopg.connect(start(programs, data)) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert server.find_programs(home) == programs
