"""The log: one line for each request, and one format for the lines of all libraries too.

The service's own lines go to standard output, those of libraries to standard error. No line holds a
key, a password, a body, a full number, or the text of an exception, which can quote a row.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from http import HTTPMethod
from typing import Any

import orjson
import structlog
from flask import Flask, Response, has_request_context, request
from structlog.stdlib import ProcessorFormatter, add_logger_name
from structlog.typing import FilteringBoundLogger, Processor

from conversations.api.context import current_context
from conversations.api.log_stream import STANDARD_ERROR, STANDARD_OUTPUT
from conversations.database.queries import take_usage

Event = MutableMapping[str, Any]

METHODS = frozenset(HTTPMethod)
# Neither a key of ours nor, without a letter, a phone number.
HARMLESS_REQUEST_ID = re.compile(r"(?!.*am_live_)(?=.*[A-Za-z])[0-9A-Za-z._-]{1,100}")
BARE_VALUE = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f]+")

log: FilteringBoundLogger = structlog.get_logger()


def render_logfmt(_: object, __: str, event: Event) -> str:
    """Return `key=value` pairs; a value with blanks or control characters is quoted and escaped.

    Takes half the time of structlog's own renderer, which lets control characters through.
    """
    pairs = []
    for name, value in event.items():
        text = str(value)
        pairs.append(f"{name}={text if BARE_VALUE.fullmatch(text) else json.dumps(text)}")
    return " ".join(pairs)


def render_json(_: object, __: str, event: Event) -> str:
    """Return one JSON object."""
    return orjson.dumps(event, default=str).decode()


def add_request_id(_: object, __: str, event: Event) -> Event:
    """Name the request that a line belongs to."""
    if "request_id" not in event and has_request_context():
        event["request_id"] = current_context().request_id
    return event


def describe_exception(_: object, __: str, event: Event) -> Event:
    """Replace an exception with its type and where it was raised."""
    if error := event.pop("exc_info", None):
        error = error[1] if isinstance(error, tuple) else error
        event["error"] = type(error).__name__
        event["traceback"] = "".join(traceback.format_tb(error and error.__traceback__))
    return event


def add_time_and_level(_: object, level: str, event: Event) -> Event:
    """Put the time in UTC (RFC 3339), the level and the event in front."""
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": timestamp, "level": level, "event": event.pop("event"), **event}


PROCESSORS: list[Processor] = [add_request_id, describe_exception, add_time_and_level]
RENDERERS = {"json": render_json, "logfmt": render_logfmt}


def formatter(log_format: str) -> logging.Formatter:
    """Return what formats the lines of libraries, which use the standard library's logging."""
    own = [add_logger_name, ProcessorFormatter.remove_processors_meta]
    return ProcessorFormatter(processors=[*own, *PROCESSORS, RENDERERS[log_format]])


_library_handler = logging.StreamHandler()


def configure_logging(log_format: str, *handlers: logging.Handler) -> None:
    """Write all lines of this process as `logfmt` or `json`: all of ours, warnings of libraries.

    `handlers` are those that a library has for itself.
    """
    render = RENDERERS[log_format]

    def describe_dropped(count: int) -> str:
        event = {"event": "lines dropped", "count": count}
        return render(None, "", add_time_and_level(None, "warning", event))

    structlog.configure(
        processors=[*PROCESSORS, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: STANDARD_OUTPUT,
        cache_logger_on_first_use=True,
    )
    logging.getLogger().addHandler(_library_handler)
    # The server of `flask run` quotes each request.
    logging.getLogger("werkzeug").disabled = True
    for handler in (_library_handler, *handlers):
        handler.setFormatter(formatter(log_format))
        if type(handler) is logging.StreamHandler:
            handler.setStream(STANDARD_ERROR)
            handler.terminator = ""
    for stream in (STANDARD_OUTPUT, STANDARD_ERROR):
        stream.describe_dropped = describe_dropped


def init_app(app: Flask) -> None:
    """Time every request, log it, and send its id along."""
    configure_logging(app.config["SETTINGS"].log_format)
    app.before_request(start)
    app.after_request(finish)


def start() -> None:
    """Begin to count what the request takes."""
    current_context()
    take_usage()


def finish(response: Response, error: Exception | None = None) -> Response:
    """Send the request's id along and write the request's line, with the error that ended it."""
    context, environ, rule = current_context(), request.environ, request.url_rule
    ms = (time.perf_counter() - context.started_at) * 1000
    statements, seconds = take_usage()
    response.headers.add("X-Request-Id", context.request_id)
    response.headers.add("Server-Timing", f"total;dur={ms:.1f}, db;dur={seconds * 1000:.1f}")
    incoming, method = environ.get("HTTP_X_REQUEST_ID", ""), environ["REQUEST_METHOD"]
    api_key = context.api_key
    fields = {
        "request_id": context.request_id,
        "incoming_request_id": incoming if HARMLESS_REQUEST_ID.fullmatch(incoming) else None,
        "organization": api_key.organization_id if api_key else None,
        "key": api_key.prefix if api_key else None,
        "method": method if method in METHODS else "-",
        "route": rule.rule if rule else "-",
        "status": response.status_code,
        "ms": round(ms, 2),
        "rows": context.row_count,
        "statements": statements,
        "reason": "; ".join(context.reasons) or None,
        "exc_info": error,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    (log.error if error else log.info)("request", **known)
    return response
