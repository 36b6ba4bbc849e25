"""gunicorn's thread worker, but fair to its siblings, and what it refuses is answered as all is."""

import contextlib
import socket
import time

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker
from ulid import ULID

import delivery
import telemetry
from envelope import error_body

# About what it takes another worker to wake. The most is less than what a request takes.
HESITATION_SECONDS = 50e-6
MAX_HESITATION_SECONDS = 400e-6
REASONS = {400: "Bad Request", 500: "Internal Server Error"}


class Worker(ThreadWorker):
    """A worker for bytes that may not be HTTP, and that leaves its share to the others."""

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, the later the more there is to do.

        All workers wake for it, and who is awake already wins each time: of a burst of keep-alive
        connections, one worker would get the most and the others idle.
        """
        if self.cfg.workers > 1:
            busy = self.nr_conns - len(self.keepalived_conns)
            time.sleep(min(busy * HESITATION_SECONDS, MAX_HESITATION_SECONDS))
        super().accept(listener)

    def handle_error(self, req, client: socket.socket, addr, exc: Exception) -> None:
        """Answer in the envelope and end the connection. What was sent may hold a key: say nothing.

        gunicorn itself would quote it, in a page of HTML and in the log.
        """
        status, request_id = 400 if isinstance(exc, ParseException) else 500, str(ULID())
        body = error_body(status, request_id)
        headers = delivery.HEADERS | {
            "X-Request-Id": request_id,
            "Content-Type": "application/json",
            "Content-Length": len(body),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        refusal = {"request_id": request_id, "method": "-", "route": "-", "status": status}
        telemetry.log.info(refusal | {"error": type(exc).__name__})
        with contextlib.suppress(OSError):
            client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
