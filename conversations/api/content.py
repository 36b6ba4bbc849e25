"""The content of a request: its body as JSON or as the fields of a form."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from flask import request
from werkzeug.exceptions import HTTPException

from conversations.api.context import current_context
from conversations.api.envelope import RETRY_AFTER_SECONDS, ApiError
from schemas.strict_json import load_json

MAX_FORM_FIELDS = 1000

# As many calls that are larger than others may be are in memory at once.
large_calls = threading.Semaphore(2)
LARGE_CALL_WAIT_SECONDS = 5.0


@contextmanager
def large_body(max_bytes: int) -> Iterator[None]:
    """Let this request have a body of up to `max_bytes`; one over the usual limit has to wait.

    Raises ApiError 503 if it waits too long.
    """
    usual, length = request.max_content_length or 0, request.content_length
    is_large = length is None or length > usual
    if is_large and not large_calls.acquire(timeout=LARGE_CALL_WAIT_SECONDS):
        current_context().reasons.append("too many large calls at once")
        raise ApiError(503, headers={"Retry-After": RETRY_AFTER_SECONDS})
    try:
        request.max_content_length = max_bytes
        yield
    finally:
        if is_large:
            large_calls.release()


def json_object(may_be_empty: bool = False) -> dict[str, Any]:
    """Return the JSON object of the body; an empty one if the body is empty and may be.

    Raises ApiError 415, 413 or 400, and ValidationError if a name is repeated.
    """
    if may_be_empty and not (request.content_length or _read_raw(cache=True)):
        return {}
    try:
        body = load_json(_read_body("application/json"))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, {"body": "must be a JSON object in UTF-8"})
    return body


def form_fields() -> dict[str, str]:
    """Return the fields of the form in the body; the first value of a field that repeats.

    Raises ApiError 415, 413 or 400.
    """
    text = _read_body("application/x-www-form-urlencoded").decode(errors="replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise ApiError(400, {"body": f"must be a form of up to {MAX_FORM_FIELDS} fields"}) from None
    return dict(reversed(pairs))


def _read_body(mimetype: str) -> bytes:
    if request.mimetype != mimetype:
        raise ApiError(415)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ApiError(415, headers={"Accept-Encoding": "identity"})
    return _read_raw()


def _read_raw(cache: bool = False) -> bytes:
    try:
        raw = request.get_data(cache)
        # Werkzeug refuses a length over the limit, but cuts off the rest of a chunked body.
        is_cut = request.content_length is None and len(raw) == request.max_content_length
        is_cut = is_cut and request.environ["wsgi.input"].read(1) != b""
    except HTTPException:
        raise
    except Exception:  # The server's own, of many kinds, for malformed chunks.
        raise ApiError(400) from None
    if is_cut:
        raise ApiError(413)
    return raw
