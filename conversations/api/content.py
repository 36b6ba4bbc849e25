"""The content of a request: its body as JSON or as the fields of a form."""

from typing import Any
from urllib.parse import parse_qsl

from flask import request
from werkzeug.exceptions import HTTPException

from conversations.api.envelope import ApiError
from schemas.strict_json import load_json

MAX_FORM_FIELDS = 1000


def json_object() -> dict[str, Any]:
    """Return the JSON object that the body is.

    Raises ApiError 415, 413 or 400, and ValidationError if a name is repeated.
    """
    try:
        body = load_json(_read_body("application/json"))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400)
    return body


def form_fields() -> dict[str, str]:
    """Return the fields of the form that the body is; of a field that repeats, the first.

    Raises ApiError 415, 413 or 400.
    """
    text = _read_body("application/x-www-form-urlencoded").decode(errors="replace")
    try:
        fields = parse_qsl(
            text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        raise ApiError(400) from None
    return dict(reversed(fields))


def _read_body(mimetype: str) -> bytes:
    if request.mimetype != mimetype:
        raise ApiError(415)
    try:
        raw = request.get_data(cache=False)
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
