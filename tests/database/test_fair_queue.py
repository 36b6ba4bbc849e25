"""The queue for connections: first come, first served, and no organization before its share."""

import random
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from conversations.database.fair_queue import FairQueue
from tests.servers import wait_until

pytestmark = pytest.mark.no_database

ALICE, BOB, CAROL = (uuid.UUID(int=n) for n in (1, 2, 3))
LONG_SECONDS = 30


class Line:
    """Threads that wait in a queue, in a known order, and the order in which they were served."""

    def __init__(self, queue: FairQueue, threads: ThreadPoolExecutor):
        self.queue = queue
        self.served: list[str] = []
        self._threads = threads

    def wait(self, name: str, organization_id: uuid.UUID | None) -> Future:
        """Let one more wait; return once it does. It keeps its turn."""
        before = len(self.queue)

        def enter() -> bool:
            is_served = self.queue.enter(organization_id, LONG_SECONDS)
            if is_served:
                self.served.append(name)
            return is_served

        future = self._threads.submit(enter)
        wait_until(lambda: len(self.queue) > before)
        return future

    def leave(self, organization_id: uuid.UUID | None) -> None:
        """End a turn, and return once the next one is served."""
        before = len(self.served)
        self.queue.leave(organization_id)
        wait_until(lambda: len(self.served) > before)


@pytest.fixture
def line():
    lines = []
    with ThreadPoolExecutor(32) as threads:

        def new_line(size: int) -> Line:
            lines.append(Line(FairQueue(size), threads))
            return lines[-1]

        yield new_line
        for each in lines:
            each.queue.turn_away()


def test_nobody_waits_while_a_connection_is_free():
    queue = FairQueue(2)
    assert queue.enter(ALICE, 0)
    assert queue.enter(ALICE, 0)
    assert not queue.enter(ALICE, 0)
    queue.leave(ALICE)
    assert queue.enter(BOB, 0)


def test_who_came_first_is_served_first(line):
    alice = line(1)
    alice.queue.enter(ALICE, 0)
    for number in range(10):
        alice.wait(str(number), ALICE)
    for _ in range(10):
        alice.leave(ALICE)
    assert alice.served == [str(number) for number in range(10)]


def test_who_uses_the_fewest_connections_comes_before_whoever_came_first(line):
    all_of_them = line(4)
    for _ in range(4):
        all_of_them.queue.enter(ALICE, 0)
    for name, who in (("a1", ALICE), ("a2", ALICE), ("b1", BOB), ("b2", BOB), ("b3", BOB)):
        all_of_them.wait(name, who)
    all_of_them.wait("key unknown", None)
    for _ in range(4):
        all_of_them.leave(ALICE)
    # After two turns everybody uses as many, so Alice's requests are served as they came.
    assert all_of_them.served == ["b1", "key unknown", "a1", "a2"]


def test_the_share_of_one_organization_is_bounded_while_another_waits(line):
    flood = line(4)
    for _ in range(4):
        flood.queue.enter(ALICE, 0)
    for number in range(20):
        flood.wait(f"a{number}", ALICE)
    for round in range(5):
        flood.wait(f"b{round}", BOB)
        flood.leave(ALICE)
        assert flood.served[-1] == f"b{round}"
        flood.leave(BOB)


def test_whoever_gives_up_leaves_no_gap(line):
    impatient = line(1)
    impatient.queue.enter(ALICE, 0)
    assert not impatient.queue.enter(BOB, 0.01)
    impatient.wait("carol", CAROL)
    impatient.leave(ALICE)
    assert impatient.served == ["carol"]
    impatient.queue.leave(CAROL)
    assert impatient.queue.enter(ALICE, 0)


def test_all_who_wait_can_be_turned_away(line):
    down = line(1)
    down.queue.enter(ALICE, 0)
    waiting = [down.wait(str(number), BOB) for number in range(5)]
    down.queue.turn_away()
    assert [future.result(LONG_SECONDS) for future in waiting] == [False] * 5
    assert len(down.queue) == 0
    down.queue.leave(ALICE)
    assert down.queue.enter(BOB, 0)


def test_no_turn_is_ever_lost_or_given_twice():
    queue, using, most = FairQueue(3), [], []
    lock = threading.Lock()

    def come_and_go(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            who = chance.choice((ALICE, BOB, None))
            if queue.enter(who, chance.choice((0, 0.0001, 0.01))):
                with lock:
                    using.append(who)
                    most.append(len(using))
                with lock:
                    using.remove(who)
                queue.leave(who)
            if chance.random() < 0.01:
                queue.turn_away()

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(come_and_go, range(12)))
    assert max(most) <= 3
    assert [queue.enter(ALICE, 0) for _ in range(4)] == [True, True, True, False]
