"""`make run` in a copy of the tree: what it prints, and that nothing of it stays behind."""

import contextlib
import os
import random
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import psutil
import pytest

from tests.command_line import ROOT, flask_process
from tests.expectations import PAGE_EXAMPLE
from tests.load import Load
from tests.servers import free_port, wait_until

START_SECONDS = 60
COMMAND = [sys.executable, "-m", "gunicorn"]
# A blank, an apostrophe, and more characters than the path of a socket may have.
DEEP = Path("a folder", "it's deep " + "x" * 60, "y" * 40, "conversations")


class Tree:
    """A copy of what the repository holds."""

    def __init__(self, path: Path):
        self.path = path
        skipped = shutil.ignore_patterns(".*", "instance", "tests", "bench", "__pycache__")
        shutil.copytree(ROOT, path, ignore=skipped)

    @property
    def home(self) -> Path:
        """Where the files of its server are: instance/, or elsewhere if that is closed."""
        place = self.path / "instance" / "place"
        return place.readlink() if place.is_symlink() else place.parent

    def processes(self) -> list[psutil.Process]:
        """What works in the tree: ours by their folder, PostgreSQL's by its data."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                folder = Path(process.cwd())
                is_ours = folder.is_relative_to(self.path) or folder.is_relative_to(self.home)
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def names(self) -> set[str]:
        """The names of those processes."""
        found = set()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # It ended since it was found.
                found.add(process.name())
        return found

    def sockets(self) -> Path | None:
        """The folder of the server's socket, if there is one."""
        link = self.home / "postgres.socket"
        return link.readlink() if link.is_symlink() else None

    def log(self) -> str:
        """What was written to standard error."""
        return (self.path / "stderr.log").read_text()

    def assert_nothing_is_left(self) -> None:
        """No process, no socket, and nothing on standard error that looks like a crash."""
        assert self.processes() == []
        assert self.sockets() is None
        assert "Traceback" not in self.log()
        assert "Aborted" not in self.log()

    def clear(self) -> None:
        """End what a test left running."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # A postmaster takes its own along.
                process.kill()

    def remove(self) -> None:
        """Remove what `make clean` removes, and the rest."""
        shutil.rmtree(self.home)
        shutil.rmtree(self.path)


class MakeRun:
    """The command of `make run`, in a process group of its own as a terminal gives it."""

    def __init__(self, tree: Tree, **env: str):
        self.tree = tree
        self.port = free_port()
        variables = {"PORT": str(self.port), "WEB_CONCURRENCY": "1"} | env
        with open(tree.path / "stderr.log", "ab") as log:
            self.process = subprocess.Popen(
                COMMAND,
                cwd=tree.path,
                env=without_database(**variables),
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        self.curl = self.process.stdout.readline().strip()
        self.link = self.process.stdout.readline().strip()

    @property
    def key(self) -> str:
        return re.search("Bearer ([^']+)'", self.curl)[1]

    def get(self) -> dict:
        """Run the printed line and return the response."""
        done = subprocess.run(
            shlex.split(self.curl), capture_output=True, timeout=START_SECONDS, check=True
        )
        return orjson.loads(done.stdout)

    def end(self) -> int:
        """Send TERM to the command alone and return its exit code."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End all at once, but not PostgreSQL, which is a group of its own."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        self.process.stdout.close()
        return self.process.wait(START_SECONDS)


def without_database(**env: str) -> dict:
    """This process's environment and further variables, but without a DATABASE_URL."""
    return {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | env


@pytest.fixture(scope="module")
def prepared_tree(tmp_path_factory) -> Iterator[Tree]:
    """A tree that has run once: its database is there."""
    tree = Tree(tmp_path_factory.mktemp("tree") / DEEP)
    assert MakeRun(tree).end() == 0
    tree.assert_nothing_is_left()
    yield tree
    tree.remove()


@pytest.fixture
def tree(prepared_tree) -> Iterator[Tree]:
    """The same tree; what a test leaves running in it ends with the test."""
    (prepared_tree.path / "stderr.log").write_text("")
    yield prepared_tree
    prepared_tree.clear()


def page_rows(response: dict) -> list[dict]:
    rows = [{k: v for k, v in row.items() if k != "id"} for row in response["data"]]
    return [row for row in rows if row in PAGE_EXAMPLE]


def test_the_printed_line_answers_with_the_conversations_of_the_page_and_a_link_follows(tree):
    run = MakeRun(tree)
    assert run.curl.startswith("curl ")
    assert run.curl.endswith(f" http://localhost:{run.port}/v1/conversations")
    assert run.link == f"http://localhost:{run.port}/inbox#key={run.key}"
    response = run.get()
    assert page_rows(response) == PAGE_EXAMPLE
    assert response["meta"]["total"] == len(response["data"])
    assert run.end() == 0


def test_a_second_run_keeps_what_was_sent_and_revokes_the_key_before(tree):
    first = MakeRun(tree)
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

    second = MakeRun(tree)
    assert second.get()["data"] == before["data"]
    assert second.get()["data"][0]["last_message_preview"] == "still here"
    second.curl = first.curl.replace(str(first.port), str(second.port))
    assert second.get()["error"]["code"] == "UNAUTHORIZED"
    assert second.end() == 0


def test_the_line_is_printed_when_every_worker_is_up(tree):
    run = MakeRun(tree, WEB_CONCURRENCY="3")
    assert len(re.findall("Booting worker", tree.log())) == 3
    assert run.end() == 0
    assert len(re.findall("Worker exiting", tree.log())) == 3
    assert "was sent" not in tree.log()  # As it is when a worker did not end by itself.


def signal_master(run: MakeRun, number: int) -> None:
    run.process.send_signal(number)


def signal_group(run: MakeRun, number: int) -> None:
    os.killpg(run.process.pid, number)


def signal_everything(run: MakeRun, number: int) -> None:
    for process in run.tree.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


WAYS = {
    "TERM to the master": (signal_master, signal.SIGTERM),
    "TERM to the group, as Heroku does": (signal_group, signal.SIGTERM),
    "TERM to everything, PostgreSQL too": (signal_everything, signal.SIGTERM),
    "Ctrl-C": (signal_group, signal.SIGINT),
}


def end_under_load(tree: Tree, way: tuple[Callable, int], workers: int, after: float) -> None:
    """Start, load the service for a while, end it, and look for what is left."""
    send, number = way
    run = MakeRun(tree, WEB_CONCURRENCY=str(workers))
    assert "postgres" in tree.names()
    load = Load(run.port, run.key, clients=4, patient=True)
    with load.running():
        time.sleep(after)
        send(run, number)
        assert run.wait() == 0, tree.log()
        tree.assert_nothing_is_left()
    assert "SIGKILL" not in tree.log()


@pytest.mark.parametrize("after", [0, pytest.param(0.3, marks=pytest.mark.soak)])
@pytest.mark.parametrize("way", WAYS)
def test_an_end_leaves_nothing_behind(tree, way, after):
    end_under_load(tree, WAYS[way], workers=2, after=after)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_an_end_at_any_moment_leaves_nothing_behind(tree, seed):
    chance = random.Random(seed)
    way = WAYS[chance.choice(list(WAYS))]
    end_under_load(tree, way, workers=chance.randint(1, 3), after=chance.choice([0.2, 2]) ** 2)


def test_an_end_while_a_worker_boots_does_not_wait_for_the_worker(tree):
    run = MakeRun(tree, WEB_CONCURRENCY="2")
    children = psutil.Process(run.process.pid).children()
    worker = next(child for child in children if child.name() != "postgres")
    worker.kill()
    wait_until(lambda: len(re.findall("Booting worker", tree.log())) == 3)
    assert run.end() == 0
    assert re.findall(r"pid:(\d+)\) was sent SIGKILL", tree.log()) == [str(worker.pid)]
    tree.assert_nothing_is_left()


@pytest.mark.parametrize(
    "after", [0.7, *(pytest.param(n / 20, marks=pytest.mark.soak) for n in range(2, 40))]
)
def test_an_end_in_the_middle_of_the_start_leaves_nothing_behind(tree, after):
    process = subprocess.Popen(
        COMMAND,
        cwd=tree.path,
        env=without_database(PORT=str(free_port()), WEB_CONCURRENCY="2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after)
    process.terminate()
    process.wait(START_SECONDS)
    tree.assert_nothing_is_left()


def test_a_first_start_that_is_interrupted_can_be_repeated(tmp_path):
    tree = Tree(tmp_path / "tree")
    try:
        process = subprocess.Popen(
            COMMAND,
            cwd=tree.path,
            env=without_database(PORT=str(free_port())),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: any(tree.home.glob("postgres.unfinished*/*")))
        process.kill()
        process.wait()
        run = MakeRun(tree)
        assert page_rows(run.get()) == PAGE_EXAMPLE
        assert run.end() == 0
        tree.assert_nothing_is_left()
    finally:
        tree.clear()
        tree.remove()


def test_a_start_after_kill_9_takes_over_the_database_and_ends_it(tree):
    killed = MakeRun(tree)
    killed.get()
    killed.kill()
    wait_until(lambda: tree.names() == {"postgres"})  # A worker may end a moment after its master.
    postmasters = {process.pid for process in tree.processes()}

    heir = MakeRun(tree)
    assert page_rows(heir.get()) == PAGE_EXAMPLE
    assert postmasters & {process.pid for process in tree.processes()}
    assert heir.end() == 0
    tree.assert_nothing_is_left()


def test_a_start_after_everything_was_killed_cleans_up(tree):
    killed = MakeRun(tree)
    sockets = tree.sockets()
    for process in tree.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    killed.wait()
    assert sockets.exists()

    next_run = MakeRun(tree)
    assert not sockets.exists()
    assert page_rows(next_run.get()) == PAGE_EXAMPLE
    assert next_run.end() == 0
    tree.assert_nothing_is_left()


def test_a_command_alone_starts_and_ends_the_database(tree):
    done = flask_process("create-organization", "Brightside", cwd=tree.path, DATABASE_URL=None)
    assert done.returncode == 0, done.stderr
    tree.assert_nothing_is_left()


def test_a_command_and_a_second_start_leave_the_running_service_alone(tree):
    first = MakeRun(tree)
    done = flask_process("create-organization", "Brightside", cwd=tree.path, DATABASE_URL=None)
    assert done.returncode == 0, done.stderr

    done = subprocess.run(
        COMMAND,
        cwd=tree.path,
        env=without_database(PORT=str(first.port)),
        capture_output=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    sentence = f"PORT {first.port}: Address already in use. Set another PORT."
    assert done.stderr.decode().splitlines()[-1] == sentence

    assert page_rows(first.get()) == PAGE_EXAMPLE
    assert first.end() == 0
    tree.assert_nothing_is_left()


def test_nobody_but_the_owner_can_reach_the_database(tree):
    closed = [each for each in tree.path.parents if not each.stat().st_mode & stat.S_IXOTH]
    run = MakeRun(tree)
    sockets = tree.sockets()
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((tree.path / "instance" / "postgres.log").stat().st_mode) == 0o600
    if os.geteuid() == 0:
        done = subprocess.run(["ls", sockets], user="nobody", capture_output=True, check=False)
        assert b"Permission denied" in done.stderr
        assert sockets.owner() != "root"
    assert run.end() == 0
    assert [each for each in tree.path.parents if not each.stat().st_mode & stat.S_IXOTH] == closed


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "name", "answering"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1"]),
        ("[::1]", "[::1]", ["::1"]),
        ("0.0.0.0,::", "localhost", ["127.0.0.1", "::1"]),
    ],
)
def test_it_listens_on_each_host_and_names_one(tree, host, name, answering):
    run = MakeRun(tree, HOST=host)
    assert run.curl.endswith(f" http://{name}:{run.port}/v1/conversations")
    assert run.link.startswith(f"http://{name}:{run.port}/inbox#key=")
    assert page_rows(run.get()) == PAGE_EXAMPLE
    for address in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as client:
            assert (client.connect_ex((address, run.port)) == 0) == (address in answering)
    assert run.end() == 0


def test_it_serves_on_when_nobody_reads_what_it_prints(tree):
    run = MakeRun(tree)
    run.process.stdout.close()
    assert page_rows(run.get()) == PAGE_EXAMPLE
    assert run.end() == 0


def test_an_instance_that_is_no_folder_is_named(tree, tmp_path):
    instance = tree.path / "instance"
    instance.rename(tmp_path / "instance")
    instance.write_text("")
    try:
        done = flask_process("migrate", cwd=tree.path, DATABASE_URL=None)
    finally:
        instance.unlink()
        (tmp_path / "instance").rename(instance)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert str(instance) in line
