"""compose.yaml, run as far as it runs without Docker: its settings, and the daily retention run."""

import os
import re
import shutil
import signal
import subprocess
from datetime import timedelta

import psycopg
import pytest
import yaml

from conversations import settings
from tests.conftest import SERVER_URL, new_database
from tests.servers import ROOT, wait_until
from tests.system.processes import environment, variables

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
# What gunicorn gives its workers to finish; see gunicorn.conf.py.
GRACE = timedelta(seconds=25)


def test_the_example_has_every_variable_of_compose_with_its_default():
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", TEXT))
    assert TEXT.count("$") == len(re.findall(r"\$\{[A-Z_]+:-[^}]*\}", TEXT))
    example = variables(EXAMPLE)
    assert {name: example.get(name) for name in used} == used
    assert set(example) - set(used) <= set(settings.VARIABLES)


@pytest.mark.parametrize("name", ["web", "retention"])
def test_the_containers_get_the_settings_that_the_service_reads(name):
    given = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    password = given.pop("PGPASSWORD")
    assert set(given) <= set(settings.VARIABLES)
    loaded = settings.load(given)
    host, _, port = SERVICES["web"]["ports"][0].rpartition(":")
    assert port == str(loaded.port)
    assert host == "${PUBLISH:-127.0.0.1:8000}"
    postgres = SERVICES["postgres"]["environment"]
    assert password == postgres["POSTGRES_PASSWORD"]
    assert psycopg.conninfo.conninfo_to_dict(loaded.database_url) == {
        "host": "postgres",
        "user": postgres["POSTGRES_USER"],
        "dbname": postgres["POSTGRES_DB"],
    }


def test_the_data_is_in_a_named_volume_where_the_image_keeps_it():
    image, version = SERVICES["postgres"]["image"].split(":")
    assert image == "postgres"
    assert int(version) >= 18, "images before 18 keep their data in /var/lib/postgresql/data"
    assert SERVICES["postgres"]["volumes"] == ["data:/var/lib/postgresql"]
    assert "data" in COMPOSE["volumes"]


def test_the_containers_can_write_only_to_tmp_and_have_no_privileges():
    for name in ("web", "retention"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["tmpfs"] == "/tmp"  # noqa: S108
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_docker_waits_longer_than_gunicorn():
    seconds = int(SERVICES["web"]["stop_grace_period"].removesuffix("s"))
    assert timedelta(seconds=seconds) > GRACE
    grace = re.search(r"^graceful_timeout = (\d+)$", (ROOT / "gunicorn.conf.py").read_text(), re.M)
    assert timedelta(seconds=int(grace[1])) == GRACE


def test_the_retention_run_is_tried_again_after_a_minute_and_repeated_after_a_day(tmp_path):
    env = environment(DATABASE_URL=new_database(SERVER_URL))
    # A wait is over at once; how long it was to be is written down.
    waits = tmp_path / "waits"
    sleep = tmp_path / "sleep"
    sleep.write_text(f"#!/bin/sh\necho $1 >> {waits}\nexec {shutil.which('sleep')} 0.1\n")
    sleep.chmod(0o755)
    waits.touch()
    loop = subprocess.Popen(
        SERVICES["retention"]["command"],
        cwd=ROOT,
        env=env | {"PATH": f"{tmp_path}:{env['PATH']}"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: waits.read_text().startswith("60\n"))
        subprocess.run(["flask", "migrate"], cwd=ROOT, env=env, check=True, capture_output=True)
        wait_until(lambda: waits.read_text().endswith("86400\n"))
    finally:
        os.killpg(loop.pid, signal.SIGKILL)
        loop.wait()


def test_docker_accepts_the_file():
    compose = ["docker", "compose"]
    try:
        subprocess.run([*compose, "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no docker compose")
    subprocess.run([*compose, "config", "--quiet"], cwd=ROOT, check=True)
