"""A bounded load on a running service, and what became of every request."""

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.servers import wait_until


@dataclass
class Outcome:
    """One request: when it was sent, how long it took, its status (0: no whole answer)."""

    sent_at: float
    seconds: float
    status: int
    retry_after: str | None = None
    path: str = ""


@dataclass
class Load:
    """Clients with a connection each, asking one path after the other until told to stop.

    A patient client does what a router does with a GET: it asks again when nobody listens, or when
    a connection ends before the first byte of an answer (RFC 9110 section 9.2.2).
    """

    port: int
    key: str
    paths: tuple[str, ...] = ("/v1/conversations?limit=5",)
    clients: int = 4
    patient: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def _client(self) -> None:
        connection = None
        for path in itertools.cycle(self.paths):
            if self._stop.is_set():
                break
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            started_at = time.monotonic()
            outcome, closing = Outcome(started_at, 0, 0, None, path), True
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}"})
                response = connection.getresponse()
                response.read()
                outcome.status = response.status
                outcome.retry_after = response.headers["Retry-After"]
                closing = response.will_close
            except (OSError, http.client.HTTPException) as error:
                if self.patient and isinstance(error, ConnectionError):
                    outcome = None
            if outcome:
                outcome.seconds = time.monotonic() - started_at
                self.outcomes.append(outcome)
            if closing:
                connection.close()
                connection = None
            time.sleep(0.005)
        if connection:
            connection.close()

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        """Load the service while the block lasts."""
        threads = [threading.Thread(target=self._client) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)

    def statuses(self) -> set[int]:
        """The statuses seen."""
        return {outcome.status for outcome in self.outcomes}

    def slowest(self, path: str = "") -> float:
        """The longest time that an answer took, in seconds."""
        return max(o.seconds for o in self.outcomes if o.path.startswith(path))

    def wait_for_success_after(self, instant: float) -> None:
        """Go on until a database route answers 200 to a request sent after an instant."""
        wait_until(
            lambda: any(
                o.status == 200 and o.path.startswith("/v1") and o.sent_at > instant
                for o in list(self.outcomes)
            )
        )
