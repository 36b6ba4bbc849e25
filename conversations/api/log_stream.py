"""The streams of log lines, standard output and standard error: no request waits for a reader.

A log driver that stalls, or Ctrl-S in a terminal, would otherwise stop every request.
"""

import contextlib
import functools
import os
import select
import stat
import threading
from collections.abc import Callable
from functools import partial


class LogStream:
    """Writes each line at once, so that the lines of workers and threads do not mix, or drops it.

    The line after dropped ones says how many they were. `describe_dropped` makes that line.
    """

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.describe_dropped: Callable[[int], str] = "{} log lines were dropped".format
        self._lock = threading.RLock()
        self._dropped = 0
        self._unwritten = b""

    def write(self, line: str) -> None:
        """Write a line, or drop it while the one before waits to be written."""
        with self._lock:
            if not self._flush():
                self._dropped += 1
                return
            lines = [self.describe_dropped(self._dropped), line] if self._dropped else [line]
            self._unwritten = "".join(f"{each}\n" for each in lines).encode(errors="replace")
            self._dropped = 0
            self._flush()

    debug = info = warning = error = critical = write

    def _flush(self) -> bool:
        """Write what waits to be written, and tell whether all of it was.

        A full disk and a closed pipe must not fail a request.
        """
        with contextlib.suppress(OSError):
            while self._unwritten:
                status = os.fstat(self.descriptor)
                write = _writer(self.descriptor, status.st_mode, status.st_dev, status.st_ino)
                self._unwritten = self._unwritten[write(self._unwritten) :]
        return not self._unwritten


@functools.cache
def _writer(descriptor: int, mode: int, device: int, inode: int) -> Callable[[bytes], int]:
    """Return what writes to an open file without waiting, and returns how many bytes it wrote.

    A pipe and a terminal are opened once more, because O_NONBLOCK on the descriptor itself would
    reach other programs that share it. That is impossible for a socket and for the pipe of another
    user.
    """
    if stat.S_ISREG(mode):
        return partial(os.write, descriptor)
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
        return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", flags))
    except OSError:
        return partial(_write_if_ready, descriptor)


def _write_if_ready(descriptor: int, data: bytes) -> int:
    """Write as much as a descriptor takes for sure. Raises BlockingIOError."""
    _, writable, _ = select.select([], [descriptor], [], 0)
    if not writable:
        raise BlockingIOError
    return os.write(descriptor, data[: select.PIPE_BUF])


STANDARD_OUTPUT = LogStream(1)
STANDARD_ERROR = LogStream(2)
