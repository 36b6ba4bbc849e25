"""What the peers share: the key's hash, the cursor, and the request id with its log line.

Each peer does the work of GET /v1/conversations as those who use its framework write it.
"""

import base64
import hashlib
import logging
import os
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ulid import ULID

SCOPE = "conversations:read"
ORGANIZATION_ID = UUID(os.environ["ORGANIZATION_ID"])  # Of the bare pages, which check no key.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

log = logging.getLogger("peer")
log.setLevel(logging.INFO)
log.propagate = False
log.addHandler(logging.StreamHandler(sys.stdout))
log.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))


def hash_key(authorization: str | None) -> bytes:
    """Return the SHA-256 of the key in an Authorization header."""
    scheme, _, key = (authorization or "").partition(" ")
    return hashlib.sha256(key.encode() if scheme.lower() == "bearer" else b"").digest()


def encode_id(id: UUID) -> str:
    return base64.urlsafe_b64encode(id.bytes).rstrip(b"=").decode()


def encode_cursor(at: datetime, id: UUID) -> str:
    raw = struct.pack(">q", (at - EPOCH) // MICROSECOND) + id.bytes
    return base64.urlsafe_b64encode(raw).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    raw = base64.urlsafe_b64decode(cursor)
    (microseconds,) = struct.unpack(">q", raw[:8])
    return EPOCH + timedelta(microseconds=microseconds), UUID(bytes=raw[8:])


def format_instant(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z") if instant else None


def new_request_id() -> str:
    return str(ULID())


def log_request(request_id: str, method: str, path: str, status: int, started: float) -> None:
    milliseconds = (time.perf_counter() - started) * 1000
    log.info(
        "request_id=%s method=%s path=%s status=%d ms=%.2f",
        request_id,
        method,
        path,
        status,
        milliseconds,
    )


class RequestLog:
    """ASGI middleware: sends a request id along and writes one log line."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, request_id = time.perf_counter(), new_request_id()

        async def send_with_id(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                status = message["status"]
                log_request(request_id, scope["method"], scope["path"], status, started)
            await send(message)

        await self.app(scope, receive, send_with_id)
