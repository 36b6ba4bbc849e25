"""A read-only file system, as containers have it, in which one folder alone can be written to."""

import os
import subprocess
import sys

import httpx
import pytest

from tests.command_line import FLASK, ROOT
from tests.conftest import DATABASE_URL
from tests.servers import free_port, wait_until

FOLDERS = ("/tmp", "/dev/shm")  # noqa: S108
# In a name space of its own: both folders become mounts, then all but one of them read-only.
CLOSED = """
mount --make-rprivate / && mount --bind /tmp /tmp && mount --bind /dev/shm /dev/shm &&
mount -o remount,bind,ro / && mount -o remount,bind,ro "$1" && ! touch /closed "$1/closed" 2>&- &&
shift && exec "$@"
"""


def closed(folder: str, *command: object) -> list[str]:
    """The command in a file system in which neither that folder nor any but the other is open."""
    return ["unshare", "--mount", "sh", "-c", CLOSED, "sh", folder, *map(str, command)]


def require_name_spaces() -> None:
    done = subprocess.run(closed(FOLDERS[0], "true"), capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount: run as root, outside of a container without privileges")


@pytest.mark.parametrize("open_folder", FOLDERS)
def test_the_service_and_the_commands_run_with_one_writable_folder(open_folder):
    require_name_spaces()
    (closed_folder,) = set(FOLDERS) - {open_folder}
    port, address = free_port(), f"127.0.0.1:{free_port()}"
    env = os.environ | {"DATABASE_URL": DATABASE_URL, "PORT": str(port), "WEB_CONCURRENCY": "1"}
    env |= {"METRICS": "true", "METRICS_ADDRESS": address}
    env.pop("TMPDIR", None)

    def answers() -> bool:
        assert service.poll() is None, service.stdout.read()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    migrate = closed(closed_folder, FLASK, "migrate")
    done = subprocess.run(migrate, cwd=ROOT, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"already up to date\n"), done.stderr
    service = subprocess.Popen(
        closed(closed_folder, sys.executable, "-m", "gunicorn"),
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(answers)
        assert "http_requests_total" in httpx.get(f"http://{address}/metrics").text
    finally:
        service.terminate()
        output, _ = service.communicate(timeout=60)
    assert service.returncode == 0, output
    assert "Traceback" not in output
