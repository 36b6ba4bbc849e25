"""The systemd units of deploy/: systemd accepts them, and what they start keeps its word."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import psycopg
import pytest

from conversations import settings
from tests.conftest import DATABASE_URL
from tests.servers import ROOT, free_port, wait_until
from tests.system.processes import answers, environment, start, variables

DEPLOY = ROOT / "deploy"
UNITS = sorted(path for path in DEPLOY.glob("conversations*.*") if path.suffix != ".example")
HOME = "/srv/conversations"
SETTINGS_FILE = "/etc/conversations.env"
# What each service has of its own; the rest of [Service] is who runs it, and its walls.
OWN = {"Type", "ExecStart", "KillMode", "TimeoutStopSec", "Restart", "RestartSec", "LimitNOFILE"}
# systemd-analyze rates a service from 0 (closed) to 10; one without walls has 9.6.
MAX_EXPOSURE = 2.0


def section(unit: str, name: str) -> dict[str, str]:
    """Return a section of a unit; of an option that repeats, the last."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string((DEPLOY / unit).read_text())
    return dict(parser[name])


def command(unit: str) -> list[str]:
    """Return what a service starts, from this folder and its environment."""
    program, *arguments = shlex.split(section(unit, "Service")["ExecStart"])
    assert program.startswith(f"{HOME}/.venv/bin/")
    return [shutil.which(Path(program).name, path=environment()["PATH"]), *arguments]


def needs(program: str):
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program}")


@needs("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path):
    # Neither a unit nor the script has to bear a checkout whose path has a blank.
    bin_folder = tmp_path / "bin"
    bin_folder.symlink_to(Path(command("conversations.service")[0]).parent)
    for unit in UNITS:
        text = unit.read_text().replace(f"{HOME}/.venv/bin", str(bin_folder))
        (tmp_path / unit.name).write_text(text)
    units = [tmp_path / unit.name for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env=environment(SYSTEMD_UNIT_PATH=f"{tmp_path}:"),
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "conversations" in line]
    assert (done.returncode, ours) == (0, [])


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", ["conversations.service", "conversations-retention.service"])
def test_a_service_is_closed_in(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", DEPLOY / unit],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = float(re.search(r"Overall exposure level .*: ([\d.]+)", done.stdout)[1])
    assert exposure <= MAX_EXPOSURE


def test_both_services_run_as_the_same_user_within_the_same_walls():
    serve, retain = (
        {key: value for key, value in section(unit, "Service").items() if key not in OWN}
        for unit in ("conversations.service", "conversations-retention.service")
    )
    assert serve == retain
    assert (serve["User"], serve["WorkingDirectory"]) == ("conversations", HOME)
    assert serve["EnvironmentFile"] == SETTINGS_FILE


@needs("systemd-socket-activate")
def test_the_service_serves_on_the_socket_of_systemd_and_says_when_it_does(tmp_path):
    port = free_port()
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(tmp_path / "notify"))
    notices.settimeout(60)
    assert section("conversations.service", "Service")["Type"] == "notify"
    activate = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}"]
    # What it starts gets only these variables, and HOST and PORT have no effect.
    env = environment(NOTIFY_SOCKET=tmp_path / "notify", PORT=1, WEB_CONCURRENCY=1)
    activate += [f"--setenv={name}={value}" for name, value in env.items()]
    service = start([*activate, *command("conversations.service")], env)
    with contextlib.closing(notices):
        try:
            # The first connection starts it, and waits until it serves.
            wait_until(lambda: answers(port, "/readyz"))
            assert b"READY=1" in notices.recv(4096)
        finally:
            service.terminate()
            output, _ = service.communicate(timeout=60)
    assert service.returncode == 0, output


def test_the_retention_run_is_the_command_and_comes_every_day():
    program, *arguments = command("conversations-retention.service")
    assert (Path(program).name, arguments) == ("flask", ["redact-messages"])
    assert re.fullmatch(
        r"\*-\*-\* \S+ UTC", section("conversations-retention.timer", "Timer")["OnCalendar"]
    )


def test_the_example_holds_settings_in_quotes_that_systemd_and_sh_read_alike():
    example = variables((DEPLOY / "conversations.env.example").read_text())
    assert set(example) <= {*settings.VARIABLES, "PGPASSWORD"}
    for value in example.values():
        assert shlex.split(value) == [value[1:-1]]
    urls = re.findall(r"DATABASE_URL='(.*)'", (DEPLOY / "conversations.env.example").read_text())
    assert len(urls) == 2
    for url in urls:
        settings.load({"DATABASE_URL": url})
        assert "password" not in psycopg.conninfo.conninfo_to_dict(url)


def test_a_command_gets_the_settings_of_the_server_in_any_folder(tmp_path):
    (tmp_path / "env").write_text(f"DATABASE_URL='{DATABASE_URL}'\n")
    script = (DEPLOY / "conversations").read_text()
    for path in (HOME, SETTINGS_FILE):
        assert path in script
    script = script.replace(SETTINGS_FILE, str(tmp_path / "env"))
    (tmp_path / "flask").symlink_to(shutil.which("flask", path=environment()["PATH"]))
    (tmp_path / "home").symlink_to(ROOT)
    script = script.replace(f"{HOME}/.venv/bin/flask", str(tmp_path / "flask"))
    # The test is root where the machine's user is, and need not become another.
    script = script.replace(HOME, str(tmp_path / "home")).replace('"$(id -u)" != 0', "1 != 0")
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        ["sh", "-c", script, "conversations", "create-organization", "A name with blanks"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with psycopg.connect(DATABASE_URL) as conn:
        query = "SELECT name FROM organizations WHERE id = %s"
        assert conn.execute(query, [done.stdout.strip()]).fetchone() == ("A name with blanks",)
