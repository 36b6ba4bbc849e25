"""gunicorn's thread worker, but what it refuses by itself is answered and logged as all else is."""

import contextlib
import socket

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker
from ulid import ULID

import delivery
import telemetry
from envelope import error_body

REASONS = {400: "Bad Request", 500: "Internal Server Error"}


class Worker(ThreadWorker):
    """A worker for bytes that may not be HTTP."""

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
