"""gunicorn's thread worker and its logger, as this service needs them."""

import contextlib
import select
import socket
import struct
import threading
import time
from concurrent.futures import Future
from http import HTTPStatus
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http.errors import ParseException
from gunicorn.workers import gthread
from gunicorn.workers.gthread import ThreadWorker
from ulid import ULID
from werkzeug.datastructures import Headers

from conversations import settings
from conversations.api import request_log
from conversations.api.envelope import HEADERS, error_body

# How long a busy worker waits before it accepts a connection: for each request in progress about
# what another worker takes to wake, at most less than a request takes.
ACCEPT_DELAY_SECONDS = 50e-6
MAX_ACCEPT_DELAY_SECONDS = 400e-6
# How long a thread waits for the next request of a connection. Busy clients take less.
STAY_MS = 10
# A client that takes no byte of a response for so long loses its connection, which frees a thread.
UNREAD_RESPONSE_MS = 10_000
# How much is read of a body that was refused before it had arrived: twice what a request may have.
UNREAD_BODY_BYTES = 2**25
# A connection that has sent nothing for so long is closed.
SILENT_SECONDS = 10
# A client that takes longer for the head of a request loses its connection, which frees a thread.
HEAD_SECONDS = 20
# A client that sends nothing of a body for so long gets a 400 and loses its connection. One that
# sends slowly is waited for.
SILENT_BODY_SECONDS = 30
# The next attempt to accept a connection would fail too, until another one is closed.
FAILED_ACCEPT_DELAY_SECONDS = 0.1
# How often a worker that ends closes the connections whose head is still half sent.
STOP_READING_SECONDS = 0.1


class Logger(GunicornLogger):
    """gunicorn's logger, which writes its lines as all lines are written, and none of a request.

    Those could hold a key, so `--access-logfile` and `--log-level debug` have no effect. Buildpacks
    set the one in GUNICORN_CMD_ARGS, which wins over gunicorn.conf.py.
    """

    def setup(self, cfg: Config) -> None:
        """Set up the logging of the process."""
        super().setup(cfg)
        request_log.configure_logging(settings.load().log_format, *self.error_log.handlers)

    def access(self, *args: Any) -> None:
        """Write nothing: the line of a request is the application's."""

    def debug(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing."""


class Worker(ThreadWorker):
    """A worker that leaves connections to idle workers, and that no client holds up."""

    def init_process(self) -> None:
        """Set up the worker. Its connections inherit their options from the listeners."""
        # Connections with a thread that waits for the head of a request, and since when.
        self._reading: dict[Any, float] = {}
        silence = struct.pack("ll", SILENT_BODY_SECONDS, 0)
        for listener in self.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
            if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_RESPONSE_MS)
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, after a delay that grows with the requests in progress.

        Every worker wakes for a new connection, and one that is awake already would win each time:
        it would get most connections of a burst while the others are idle. gunicorn itself would
        end the worker when it has too many open files to accept another connection.
        """
        if self.cfg.workers > 1:
            time.sleep(min(self._busy() * ACCEPT_DELAY_SECONDS, MAX_ACCEPT_DELAY_SECONDS))
        try:
            super().accept(listener)
        except OSError as error:
            self.log.error("No connection can be accepted: %s", error.strerror)
            time.sleep(FAILED_ACCEPT_DELAY_SECONDS)

    def _busy(self) -> int:
        """Return how many connections have a request in progress."""
        return int(self.nr_conns - len(self.keepalived_conns))

    def handle(self, conn: Any) -> Any:
        """Serve a request, and the next ones of the connection too while they follow at once.

        gunicorn itself would wake two threads for each: its main thread, and from there another.
        A new connection that sends nothing would hold a thread for 5 s, and one that the client
        does not close would hold the main thread for 2 s.
        """
        if not conn.initialized and not conn.data_ready and not _is_readable(conn.sock):
            return gthread._DEFER
        conn.data_ready, result = True, True
        while result is True:
            self._reading[conn] = time.monotonic()
            result = super().handle(conn)
            self._reading.pop(conn, None)
            if result is True and not self._next_follows(conn):
                return True
        util.close_graceful(conn.sock)  # RFC 9112 section 9.6: half-close, and read for up to 2 s.
        raise ConnectionAbortedError  # Nothing is left for the main thread but to count it.

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Respond to a request whose head has arrived."""
        self._reading.pop(conn, None)
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Read the rest of a refused body, so that the connection stays as the response said.

        gunicorn itself gives up after 64 KiB and closes it: the next request then has no response.
        """
        deadline = time.monotonic() + gthread.DEFAULT_WORKER_DATA_TIMEOUT
        return bool(keepalive) and bool(conn.parser.finish_body(deadline, UNREAD_BODY_BYTES))

    def _next_follows(self, conn: Any) -> bool:
        """Wait a little for the next request, unless other connections may need the thread."""
        if not self.alive or self._busy() > self.cfg.threads // 2:
            return False
        # A pipelined request was read together with the one before.
        return bool(conn.parser.unreader.buf.getvalue()) or (_is_readable(conn.sock) and self.alive)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep or end a connection. One that has sent nothing is kept for a shorter time."""
        super().finish_request(conn, fs)
        if conn.parser is None:
            conn.timeout = time.monotonic() + SILENT_SECONDS

    def run(self) -> None:
        """Serve until the worker ends, also by a failure: Python then waits for the threads."""
        try:
            super().run()
        finally:
            self._cap_keepalive(0.0)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let the threads end: the one place for TERM, QUIT, a failure and a lost master.

        No thread stays with its connection, and from the deadline on none waits for the rest of a
        request's head. A connection without a request in progress is closed by then.
        """
        self.alive = False
        super()._cap_keepalive(deadline)
        for connection in self.pending_conns:
            connection.timeout = min(connection.timeout, deadline)
        threading.Thread(target=self._stop_reading, args=[deadline], daemon=True).start()

    def _stop_reading(self, deadline: float) -> None:
        while True:
            time.sleep(max(deadline - time.monotonic(), STOP_READING_SECONDS))
            self._end_heads(0)

    def _end_heads(self, seconds: float) -> None:
        """Read no more of the heads that have taken longer."""
        for connection, began_at in list(self._reading.items()):
            if time.monotonic() - began_at > seconds:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RD)

    def murder_pending(self) -> None:
        """Close the connections that send nothing for too long. gunicorn calls it each second."""
        super().murder_pending()
        self._end_heads(HEAD_SECONDS)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Stop as after TERM, but without waiting for what a client may send next.

        gunicorn's own method ends the process inside of the signal handler. When that interrupts
        the start of a thread, or code that holds a lock, the worker waits for ever.
        """
        self.alive = False
        self.cfg.set("keepalive", 0)
        self.method_queue.defer(self._cap_keepalive, 0.0)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer in the envelope and end the connection, without a word of what was sent.

        gunicorn itself would quote it in a page of HTML and in the log, and it may hold a key.
        """
        if req is not None and req.body.failed:
            return  # A response was sent before the rest of the body turned out to be malformed.
        status, request_id = 400 if isinstance(exc, ParseException) else 500, str(ULID())
        body = error_body(status, request_id)
        headers = HEADERS | {"X-Request-Id": request_id, "Content-Type": "application/json"}
        headers |= {"Content-Length": str(len(body)), "Connection": "close"}
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{Headers(headers)}"
        with contextlib.suppress(OSError):
            client.sendall(head.encode() + body)
        line = {"request_id": request_id, "method": "-", "route": "-", "status": status}
        if status == 400:
            request_log.log.info("request", **line, error=type(exc).__name__)
        else:
            request_log.log.error("request", **line, exc_info=exc)


def _is_readable(client: socket.socket) -> bool:
    """Wait a little for something to read, and tell whether there is."""
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(STAY_MS))
