"""What the service says of itself: one log line per request, never a key, a body or a number."""

import logging
import re
import sys
import time
import traceback

import orjson
from flask import Flask, Response, g, has_request_context, request

import db
from envelope import request_id

# Neither a key of ours nor, without a letter, a phone number.
FOREIGN_REQUEST_ID = re.compile(r"(?!.*am_live_)(?=.*[A-Za-z])[0-9A-Za-z._-]{1,100}")
BARE_VALUE = re.compile(r"[^\s\"=\x00-\x1f]+")

log = logging.getLogger("conversations")


class Logfmt(logging.Formatter):
    """`key=value` pairs on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's fields, or its message under the current request's id."""
        return " ".join(f"{name}={_quote(value)}" for name, value in _fields(record).items())


class Json(logging.Formatter):
    """The same fields as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        return orjson.dumps(_fields(record), default=str).decode()


FORMATTERS = {"logfmt": Logfmt, "json": Json}


def _quote(value) -> str:
    text = str(value)
    if not isinstance(value, str) or BARE_VALUE.fullmatch(text):
        return text
    return '"' + text.encode("unicode_escape").decode().replace('"', r"\"") + '"'


def _fields(record: logging.LogRecord) -> dict:
    if isinstance(record.msg, dict):
        return {name: value for name, value in record.msg.items() if value is not None}
    fields = {"level": record.levelname.lower(), "message": record.getMessage()}
    if has_request_context():
        fields = {"request_id": request_id(), **fields}
    if record.exc_info:
        # Where, never what: an exception's text can quote the row that it choked on.
        kind, _, where = record.exc_info
        fields |= {"error": kind.__name__, "traceback": "".join(traceback.format_tb(where))}
    return fields


def init_app(app: Flask, log_format: str) -> None:
    """Time every request, log it, and send its id along."""
    logging._srcfile = None  # As Python's logging HOWTO has it: no line says where it is from.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(FORMATTERS[log_format]())
    for logger, level in ((log, logging.INFO), (logging.getLogger("psycopg"), logging.WARNING)):
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    app.before_request(_start)
    app.after_request(_finish)


def _start() -> None:
    g.started_at = time.perf_counter()
    db.take_usage()


def _finish(response: Response) -> Response:
    milliseconds = (time.perf_counter() - g.started_at) * 1000
    statements, seconds = db.take_usage()
    id, key = request_id(), g.get("key") or {}
    timing = f"total;dur={milliseconds:.1f}, db;dur={seconds * 1000:.1f}"
    response.headers.add("X-Request-Id", id)
    response.headers.add("Server-Timing", timing)
    incoming = request.environ.get("HTTP_X_REQUEST_ID", "")
    log.info(
        {
            "request_id": id,
            "incoming_request_id": incoming if FOREIGN_REQUEST_ID.fullmatch(incoming) else None,
            "organization": key.get("organization_id"),
            "key": key.get("prefix"),
            "method": request.method,
            "route": request.url_rule.rule if request.url_rule else "-",
            "status": response.status_code,
            "ms": round(milliseconds, 2),
            "rows": g.get("row_count"),
            "statements": statements,
        }
    )
    return response
