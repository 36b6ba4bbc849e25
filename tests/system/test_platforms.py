"""What platforms read, run as far as it runs without them: Procfile, app.json, Dockerfile."""

import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import orjson
import pytest
from psycopg.conninfo import make_conninfo

from tests.conftest import DATABASE_URL, SERVER_URL, new_database
from tests.servers import ROOT, free_port, running_service, wait_until
from tests.system.processes import answers, environment, start

# The instructions of the Dockerfile that carry a command, in their order.
HEALTHCHECK, COMMAND = map(
    orjson.loads, re.findall(r"CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M)
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
APP_JSON = orjson.loads((ROOT / "app.json").read_bytes())


def honcho(line: str, env: dict) -> subprocess.Popen:
    """Start a line of the Procfile the way that Foreman does."""
    return start(["honcho", "--no-colour", "start", line], env)


def test_the_release_line_makes_the_schema_that_the_web_line_asks_for():
    env = environment(DATABASE_URL=new_database(SERVER_URL), PORT=free_port(), WEB_CONCURRENCY=1)
    refused = honcho("web", env)
    output, _ = refused.communicate(timeout=60)
    assert refused.returncode != 0
    assert "run flask migrate" in output

    release = honcho("release", env)
    output, _ = release.communicate(timeout=60)
    assert release.returncode == 0, output
    assert "0001_create_organizations" in output

    web = honcho("web", env)
    try:
        wait_until(lambda: answers(int(env["PORT"]), "/readyz"))
    finally:
        web.terminate()
        output, _ = web.communicate(timeout=60)
    assert "Worker exiting" in output


def test_a_host_that_conda_sets_is_refused_with_what_to_do():
    sentence = "HOST x86_64-conda-linux-gnu: .* unset HOST"
    with (
        pytest.raises(AssertionError, match=sentence),
        running_service(DATABASE_URL, HOST="x86_64-conda-linux-gnu"),
    ):
        pytest.fail("it serves")


def test_an_address_that_host_names_twice_is_listened_on_once():
    with running_service(DATABASE_URL, HOST="127.0.0.1,localhost") as service:
        assert service.request("GET", "/livez")[0] == 200


def test_hosts_that_collide_are_no_fault_of_the_port():
    with (
        pytest.raises(AssertionError, match=r"HOST 127\.0\.0\.1: Address already in use"),
        running_service(DATABASE_URL, HOST="0.0.0.0,127.0.0.1"),
    ):
        pytest.fail("it serves")


def test_the_commands_of_app_json_exist(app):
    commands = [entry["command"] for entry in APP_JSON["cron"]] + [
        APP_JSON["scripts"]["postdeploy"]
    ]
    for command in commands:
        flask, name = command.split()
        assert flask == "flask"
        assert name in app.cli.commands


def test_the_healthcheck_of_app_json_passes(client):
    (check,) = APP_JSON["healthchecks"]["web"]
    assert client.get(check["path"]).status_code == 200


def test_the_image_has_the_python_that_buildpacks_use():
    version = (ROOT / ".python-version").read_text().strip()
    assert (ROOT / "Dockerfile").read_text().startswith(f"FROM python:{version}-slim\n")


def test_all_that_a_deployment_installs_is_pinned_with_hashes():
    text = (ROOT / "requirements.txt").read_text()
    blocks = re.findall(
        r"^([\w-]+)==([\w.]+)[^\n]*((?:\n    --hash=sha256:\w{64}[ \\]*)+)", text, re.M
    )
    pinned = {name: version for name, version, _ in blocks}
    # Nothing else: no option that names an index, no requirement without a hash.
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert all(line.startswith("    --hash=") or line.split("=")[0] in pinned for line in lines)
    for requirement in PROJECT["project"]["dependencies"]:
        name, version = re.sub(r"\[.*?\]", "", requirement).lower().replace("_", "-").split("==")
        assert pinned[name] == version


def test_all_that_development_installs_is_pinned():
    groups = PROJECT["dependency-groups"].values()
    named = {line for group in groups for line in group if isinstance(line, str)}
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    assert {line.lower() for line in named} <= set(lines)
    assert all(re.match(r"#|[\w-]+==[\w.]+( ;|$)", line) for line in lines)


@pytest.fixture
def image(tmp_path) -> Path:
    """What Docker would copy, beside a start-up file that hides what an image lacks.

    That is what only development installs, and an entry in /etc/passwd for the user.
    """
    folder = tmp_path / "app"
    folder.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            for path in ROOT.glob(line[1:]):
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, folder / path.name)
    production = set(re.findall(r"^[\w-]+", (ROOT / "requirements.txt").read_text(), re.M))
    development = set(re.findall(r"^[\w-]+", (ROOT / "requirements-dev.txt").read_text(), re.M))
    hidden = {name.replace("-", "_"): None for name in development - production}
    (tmp_path / "sitecustomize.py").write_text(
        f"import pwd, sys\nsys.modules.update({hidden})\npwd.getpwuid = {{}}.__getitem__\n"
    )
    return folder


def image_environment(image: Path, database_url: str) -> dict:
    env = environment(
        DATABASE_URL=database_url,
        PORT=free_port(),
        WEB_CONCURRENCY=1,
        PYTHONPATH=image.parent,
        # Docker passes the proxy of the machine on, and nobody answers here.
        http_proxy=f"http://127.0.0.1:{free_port()}",
    )
    env.pop("HOME", None)
    return env


def test_the_image_waits_for_its_database_migrates_serves_and_ends_by_itself(image):
    database = f"later_{uuid.uuid4().hex}"
    env = image_environment(image, make_conninfo(SERVER_URL, dbname=database))
    env["WEB_CONCURRENCY"] = ""  # As in an env file: the default.

    def is_healthy() -> bool:
        check = subprocess.run(HEALTHCHECK, env=env, cwd=image, capture_output=True, check=False)
        return check.returncode == 0

    assert not is_healthy()
    container = start(COMMAND, env, image)
    try:
        assert "does not exist" in container.stdout.readline()
        new_database(SERVER_URL, database)
        wait_until(lambda: answers(int(env["PORT"]), "/readyz"))
        assert is_healthy()
    finally:
        container.terminate()
        output, _ = container.communicate(timeout=60)
    assert container.returncode == 0, output
    assert "0001_create_organizations" in output


def test_the_image_ends_while_it_waits_for_its_database(image):
    database = make_conninfo(SERVER_URL, dbname="never_created")
    container = start(COMMAND, image_environment(image, database), image)
    assert "does not exist" in container.stdout.readline()
    container.terminate()
    container.communicate(timeout=60)
    assert container.returncode == 143


def test_the_image_says_that_it_needs_a_database(image):
    env = environment(PYTHONPATH=image.parent, PORT=free_port())
    del env["DATABASE_URL"]
    container = start(COMMAND, env, image)
    output, _ = container.communicate(timeout=60)
    assert container.returncode != 0
    assert "DATABASE_URL is not set" in output


def test_a_python_without_venv_is_told_in_one_sentence_that_names_the_package(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    # As Debian's Python without python3-venv: there is no ensurepip.
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S -c 'import no_ensurepip'\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    first, *_ = done.stderr.splitlines()
    assert first == f"{python} lacks venv. On Debian: apt-get install python3-venv"
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_a_python_without_an_embedded_server_is_refused_in_one_sentence(tmp_path, version):
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    code = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$2\"\n")
    python.chmod(0o755)
    make = ["make", "run", f"PYTHON={python}"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("The embedded PostgreSQL runs on Python 3.11 to 3.14, such as: ")
    assert not (tmp_path / ".venv").exists()
