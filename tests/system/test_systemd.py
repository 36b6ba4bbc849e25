"""The systemd units of deploy/: systemd accepts them, and what they start keeps its word."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
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


@pytest.fixture
def server(tmp_path) -> Path:
    """A folder that stands for /srv/conversations, beside the settings and the script for both."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("app.py", "conversations", "gunicorn.conf.py", "schemas", "sql"):
        (home / name).symlink_to(ROOT / name)
    (home / ".venv").symlink_to(Path(shutil.which("flask", path=environment()["PATH"])).parents[1])
    (tmp_path / "env").write_text(f"DATABASE_URL='{DATABASE_URL}'\n")
    script = (DEPLOY / "conversations").read_text()
    # The test is root where the machine's user is, and need not become another.
    for old, new in (
        (HOME, str(home)),
        (SETTINGS_FILE, str(tmp_path / "env")),
        ('"$(id -u)" != 0', "1 != 0"),
    ):
        assert old in script
        script = script.replace(old, new)
    (home / "deploy").mkdir()
    (home / "deploy" / "conversations").write_text(script)
    (home / "deploy" / "conversations").chmod(0o755)
    return home


def conversations(server: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run the command `conversations` in a folder, without the settings of this process."""
    return subprocess.run(
        [server / "deploy" / "conversations", *arguments],
        cwd=server.parent,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_a_command_gets_the_settings_of_the_server_in_any_folder(server):
    done = conversations(server, "create-organization", "A name with blanks")
    assert done.returncode == 0, done.stderr
    with psycopg.connect(DATABASE_URL) as conn:
        query = "SELECT name FROM organizations WHERE id = %s"
        assert conn.execute(query, [done.stdout.strip()]).fetchone() == ("A name with blanks",)


def test_the_help_of_the_command_calls_it_by_its_name(server):
    done = conversations(server, "--help")
    assert done.stdout.startswith("Usage: conversations ")
    assert "more help: conversations COMMAND --help" in " ".join(done.stdout.split())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_that_the_service_cannot_read_is_named_with_what_mends_it():
    # Outside of tmp_path, whose folders only root can enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = Path(folder, "home")
        parts = [".venv", "app.py", "conversations", "deploy", "gunicorn.conf.py", "schemas", "sql"]
        for part in parts:
            (server / part).mkdir(parents=True)
        settings_file = Path(folder, "env")
        settings_file.touch()
        script = (DEPLOY / "conversations").read_text()
        for old, new in ((HOME, str(server)), (SETTINGS_FILE, str(settings_file))):
            script = script.replace(old, new)
        path = server / "deploy" / "conversations"
        path.write_text(script)
        # As umask 077 leaves what git and pip write.
        subprocess.run(["chmod", "-R", "go=", server], check=True)
        Path(folder).chmod(0o755)

        def complaint() -> str:
            # sh reads the script from standard input: `nobody` can enter no folder of it.
            done = subprocess.run(
                ["sh", "-s", "status"],
                input=script,
                user="nobody",
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode != 0
            return done.stderr.strip()

        settings_file.chmod(0o600)
        assert complaint() == f"conversations: cannot read {settings_file}. Run it as root."
        settings_file.chmod(0o644)
        for closed in (".venv", server):
            if closed == ".venv":
                server.chmod(0o755)
            told, _, mend = complaint().partition(" Run: ")
            assert told == f"conversations: the service cannot read {closed}."
            subprocess.run(["sh", "-c", mend], check=True)
            assert "cannot read" not in complaint()
            server.chmod(0o700)
