"""`make run` in a copy of the tree: what it prints, and that nothing of it stays behind."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from tests.command_line import FLASK, ROOT, flask_process
from tests.inbox.test_demo import PAGE_EXAMPLE
from tests.servers import free_port

START_SECONDS = 60


def without_database(**env: str) -> dict:
    """This process's environment and further variables, but without a DATABASE_URL."""
    return {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | env


class Quickstart:
    """The command of `make run`, in a process group of its own as a terminal gives it."""

    def __init__(self, tree: Path):
        self.port = free_port()
        with open(tree / "stderr.log", "ab") as log:
            self.process = subprocess.Popen(
                [FLASK, "quickstart"],
                cwd=tree,
                env=without_database(PORT=str(self.port), WEB_CONCURRENCY="1"),
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        self.curl = self.process.stdout.readline().strip()

    def get(self) -> dict:
        """Run the printed line and return the answer."""
        done = subprocess.run(
            shlex.split(self.curl), capture_output=True, timeout=START_SECONDS, check=True
        )
        return orjson.loads(done.stdout)

    def end(self) -> int:
        """Send TERM to the command alone and return its exit code."""
        self.process.terminate()
        return self.wait()

    def interrupt(self) -> int:
        """Send what Ctrl-C sends, to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def kill(self) -> None:
        """End all at once, but not PostgreSQL, which is a group of its own."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        self.process.stdout.close()
        return self.process.wait(START_SECONDS)


@pytest.fixture(scope="module")
def prepared_tree(tmp_path_factory) -> Path:
    """A copy of what the repository holds, which has started once: its database is there."""
    tree = tmp_path_factory.mktemp("tree") / "conversations"
    skipped = shutil.ignore_patterns(".*", "instance", "tests", "bench", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=skipped)
    assert Quickstart(tree).end() == 0
    assert running_in(tree) == []
    return tree


@pytest.fixture
def tree(prepared_tree):
    """The same, and whatever a test leaves running in it ends with the test."""
    (prepared_tree / "stderr.log").write_text("")
    yield prepared_tree
    for process in running_in(prepared_tree):
        with contextlib.suppress(psutil.NoSuchProcess):  # A postmaster takes its own along.
            process.kill()


def running_in(tree: Path) -> list[psutil.Process]:
    """The processes that work in a tree: ours by their folder, PostgreSQL's by its data."""
    found = []
    for process in psutil.process_iter():
        try:
            works_here = Path(process.cwd()).is_relative_to(tree)
            if works_here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def names(processes: list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # It ended since it was found.
            found.add(process.name())
    return found


def page_rows(answer: dict) -> list[dict]:
    rows = [{k: v for k, v in row.items() if k != "id"} for row in answer["data"]]
    return [row for row in rows if row in PAGE_EXAMPLE]


def test_the_printed_line_answers_with_the_conversations_of_the_page(tree):
    quickstart = Quickstart(tree)
    assert quickstart.curl.startswith("curl ")
    assert quickstart.curl.endswith(f" http://localhost:{quickstart.port}/v1/conversations")
    answer = quickstart.get()
    assert page_rows(answer) == PAGE_EXAMPLE
    assert answer["meta"]["total"] == len(answer["data"])
    assert quickstart.end() == 0


def test_a_second_run_keeps_what_was_sent_and_revokes_the_key_before(tree):
    first = Quickstart(tree)
    post = shlex.split(first.curl.replace("/v1/conversations", "/v1/messages"))
    message = {"direction": "inbound", "from": "+15550009999", "to": "+15551112222"}
    body = orjson.dumps({**message, "body": "still here"}).decode()
    subprocess.run(
        [*post, "--fail", "-H", "Content-Type: application/json", "-d", body],
        capture_output=True,
        timeout=START_SECONDS,
        check=True,
    )
    before = first.get()
    assert first.end() == 0

    second = Quickstart(tree)
    assert second.get()["data"] == before["data"]
    assert second.get()["data"][0]["last_message_preview"] == "still here"
    second.curl = first.curl.replace(str(first.port), str(second.port))
    assert second.get()["error"]["code"] == "UNAUTHORIZED"
    assert second.end() == 0


@pytest.mark.parametrize("end", ["interrupt", "term", "at once"])
def test_nothing_runs_on_after_the_end(tree, end):
    quickstart = Quickstart(tree)
    if end != "at once":
        quickstart.get()
    assert "postgres" in names(running_in(tree))
    code = {"interrupt": quickstart.interrupt, "term": quickstart.end, "at once": quickstart.end}[
        end
    ]()
    assert code == 0
    assert running_in(tree) == []
    assert "Traceback" not in (tree / "stderr.log").read_text()


@pytest.mark.parametrize(
    "after", [0.7, *(pytest.param(n / 20, marks=pytest.mark.soak) for n in range(2, 40))]
)
def test_an_end_in_the_middle_of_the_start_leaves_nothing_behind(tree, after):
    process = subprocess.Popen(
        [FLASK, "quickstart"],
        cwd=tree,
        env=without_database(PORT=str(free_port())),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after)
    process.terminate()
    process.wait(START_SECONDS)
    assert running_in(tree) == []


def test_a_start_after_kill_9_takes_over_the_database_and_ends_it(tree):
    killed = Quickstart(tree)
    killed.get()
    killed.kill()
    assert names(running_in(tree)) == {"postgres"}
    postmasters = {process.pid for process in running_in(tree)}

    heir = Quickstart(tree)
    assert page_rows(heir.get()) == PAGE_EXAMPLE
    assert postmasters & {process.pid for process in running_in(tree)}
    assert heir.end() == 0
    assert running_in(tree) == []


def test_a_command_alone_starts_and_ends_the_database(tree):
    done = flask_process("create-organization", "Brightside", cwd=tree, DATABASE_URL=None)
    assert done.returncode == 0, done.stderr
    assert running_in(tree) == []


def test_a_command_and_a_second_start_leave_the_running_service_alone(tree):
    first = Quickstart(tree)
    done = flask_process("create-organization", "Brightside", cwd=tree, DATABASE_URL=None)
    assert done.returncode == 0, done.stderr

    done = flask_process("quickstart", cwd=tree, DATABASE_URL=None, PORT=str(first.port))
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"PORT {first.port}" in line
    assert "in use" in line

    assert page_rows(first.get()) == PAGE_EXAMPLE
    assert first.end() == 0
    assert running_in(tree) == []


@pytest.mark.soak
def test_a_gunicorn_that_cannot_have_its_port_leaves_no_database_behind(tree):
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn"],
            cwd=tree,
            env=without_database(PORT=str(taken.getsockname()[1])),
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
    assert done.returncode != 0
    assert b"Connection in use" in done.stderr
    assert running_in(tree) == []


def test_an_instance_that_is_no_folder_is_named(tree, tmp_path):
    (tree / "instance").rename(tmp_path / "instance")
    (tree / "instance").write_text("")
    try:
        done = flask_process("migrate", cwd=tree, DATABASE_URL=None)
    finally:
        (tree / "instance").unlink()
        (tmp_path / "instance").rename(tree / "instance")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert str(tree / "instance") in line
