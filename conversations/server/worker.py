"""gunicorn's thread worker and its logger, as this service needs them."""

import contextlib
import os
import select
import selectors
import signal
import socket
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker
from ulid import ULID

from conversations import settings
from conversations.api import request_log
from conversations.api.envelope import HEADERS, error_body

# About what it takes another worker to wake. The most is less than what a request takes.
ACCEPT_DELAY_SECONDS = 50e-6
MAX_ACCEPT_DELAY_SECONDS = 400e-6
# How long a thread waits for the next request of a connection. Busy clients take less.
STAY_MS = 10
# A client that takes no byte of a response for so long loses its connection, which frees a thread.
UNREAD_RESPONSE_TIMEOUT_MS = 10_000
# RFC 9112 section 9.6: closing at once could destroy the end of a response on its way.
LINGER_SECONDS = 2.0
MAX_LINGERING_BYTES = 65_536
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Logger(GunicornLogger):
    """gunicorn's logger, which writes its lines as all lines are written."""

    def setup(self, cfg: Config) -> None:
        """Set up the logging of the process."""
        super().setup(cfg)
        request_log.configure_logging(settings.load().log_format, *self.error_log.handlers)


class Worker(ThreadWorker):
    """A worker that leaves connections to idle workers, and that no client holds up."""

    poller: Any
    _is_quitting = False

    def init_process(self) -> None:
        """Set up the worker. Its connections inherit their options from the listeners."""
        self._lingering: deque[Any] = deque()
        for listener in self.sockets:
            if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
                option = socket.TCP_USER_TIMEOUT, UNREAD_RESPONSE_TIMEOUT_MS
                listener.setsockopt(socket.IPPROTO_TCP, *option)
        super().init_process()

    def run(self) -> None:
        """Serve until the worker ends, also by a failure or because its master is gone.

        A thread that stays with a busy connection must learn of each of these: Python waits for it.
        """
        try:
            super().run()
        finally:
            self.alive = False

    def is_parent_alive(self) -> bool:
        """Tell whether the master is there; without it the worker ends as after TERM."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, after a delay that grows with the requests in progress.

        Every worker wakes for a new connection, and one that is awake already would win each time:
        it would get most connections of a burst while the others are idle.
        """
        if self.cfg.workers > 1:
            time.sleep(min(self._busy() * ACCEPT_DELAY_SECONDS, MAX_ACCEPT_DELAY_SECONDS))
        super().accept(listener)

    def _busy(self) -> int:
        """Return how many connections have a request in progress."""
        return int(self.nr_conns - len(self.keepalived_conns))

    def handle(self, conn: Any) -> Any:
        """Serve a request, and the next ones of the connection too while they follow at once.

        gunicorn itself would wake two threads for each: its main thread, and from there another.
        """
        while (result := super().handle(conn)) is True and self._next_follows(conn):
            pass
        return result

    def _next_follows(self, conn: Any) -> bool:
        """Wait a little for the next request, unless other connections may need the thread."""
        if not self.alive or self._busy() > self.cfg.threads // 2:
            return False
        if conn.parser.unreader.buf.getvalue():
            return True  # A pipelined request, which was read together with the one before.
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(STAY_MS)) and self.alive

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep a connection, or end it and wait in the poller for the client to close it too.

        gunicorn itself would wait right here, for up to 2 s, and serve nobody meanwhile.
        """
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
            if self._is_quitting:
                self._cap_keepalive(0.0)
            return
        conn.timeout, conn.lingering_bytes = time.monotonic() + LINGER_SECONDS, 0
        self._lingering.append(conn)
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except (OSError, KeyError, ValueError):
            self._end(conn)

    def _drain(self, conn: Any, client: socket.socket) -> None:
        """Read what a client still sends, and end the connection when it closes or sends a lot."""
        size = 0
        with contextlib.suppress(OSError):
            size = len(client.recv(MAX_LINGERING_BYTES))
        conn.lingering_bytes += size
        if size == 0 or conn.lingering_bytes > MAX_LINGERING_BYTES:
            self._end(conn)

    def murder_pending(self) -> None:
        """Close the connections whose time has passed."""
        super().murder_pending()
        while self._lingering and self._lingering[0].timeout <= time.monotonic():
            self._end(self._lingering[0])

    def _end(self, conn: Any) -> None:
        self._lingering.remove(conn)
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer in the envelope and end the connection, without a word of what was sent.

        gunicorn itself would quote it in a page of HTML and in the log, and it may hold a key.
        """
        status, request_id = 400 if isinstance(exc, ParseException) else 500, str(ULID())
        body = error_body(status, request_id)
        headers = HEADERS | {
            "X-Request-Id": request_id,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        with contextlib.suppress(OSError):
            client.sendall("\r\n".join([*head, "", ""]).encode() + body)
        line = {"request_id": request_id, "method": "-", "route": "-", "status": status}
        if status == 400:
            request_log.log.info("request", **line, error=type(exc).__name__)
        else:
            request_log.log.error("request", **line, exc_info=exc)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Stop as after TERM, but without waiting for what a client may send next.

        gunicorn's own method ends the process inside of the signal handler. When that interrupts
        the start of a thread, or code that holds a lock, the worker waits for ever.
        """
        self.alive, self._is_quitting = False, True
        self.method_queue.defer(self._cap_keepalive, 0.0)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close connections without a request soon after TERM, also those that never sent one."""
        super()._cap_keepalive(deadline)
        for connection in self.pending_conns:
            connection.timeout = min(connection.timeout, deadline)


def ignore_signals() -> None:
    """Ignore further signals in a process that is ending: Python would die of them near its end."""
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)


def obey_signals_while_booting() -> None:
    """Let signals end a worker that has not installed handlers of its own yet.

    A fork inherits the handlers of the master, which only note the signal, for the master: it would
    wait for the worker in vain. Signals are held back during the fork itself, because Python
    discards those that arrive in the middle of it.
    """
    hold_back = partial(signal.pthread_sigmask, signal.SIG_BLOCK, ENDINGS)
    let_through = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDINGS)

    def let_end() -> None:
        for each in ENDINGS:
            signal.signal(each, signal.SIG_DFL)
        let_through()

    os.register_at_fork(before=hold_back, after_in_parent=let_through, after_in_child=let_end)
