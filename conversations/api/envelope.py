"""What every response has: the envelope, the headers, and gzip for clients that accept it.

The envelope is success with data, or an error with a code and a request id, whatever exception it
comes from.
"""

import gzip
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from conversations.api.context import current_context
from conversations.api.request_log import log
from conversations.database.pool import Refused, Unavailable
from conversations.inbox.api_keys import conceal

ERRORS = {
    400: ("INVALID_INPUT", "invalid input"),
    401: ("UNAUTHORIZED", "authentication failed"),
    403: ("FORBIDDEN", "missing required scope"),
    404: ("NOT_FOUND", "not found"),
    405: ("METHOD_NOT_ALLOWED", "method not allowed"),
    409: ("CONFLICT", "conflict"),
    413: ("PAYLOAD_TOO_LARGE", "payload too large"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "unsupported media type"),
    422: ("VALIDATION_FAILED", "validation failed"),
    500: ("INTERNAL_ERROR", "internal error"),
    503: ("UNAVAILABLE", "temporarily unavailable"),
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
COMPRESS_FROM_BYTES = 1024
COMPRESSION_LEVEL = 3
RETRY_AFTER_SECONDS = "1"

# A sentence by field.
Details = Mapping[str, str] | None
# By name; a list is a header that is sent several times.
Headers = Mapping[str, str | list[str]] | None


class ApiError(Exception):
    """An error response that ends a request: a status of ERRORS, details by field, headers."""

    def __init__(self, status: int, details: Details = None, headers: Headers = None):
        super().__init__(status, details)
        self.status, self.details, self.headers = status, details, headers


def success(
    data: Any, meta: Mapping[str, Any] | None = None, status: int = 200, headers: Headers = None
) -> Response:
    """Return the response that carries data. Instants are printed in UTC with Z (RFC 3339)."""
    content = {"success": True, "data": data}
    if meta is not None:
        content["meta"] = meta
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, content_type="application/json")


def failure(status: int, details: Details = None, headers: Headers = None) -> Response:
    """Return the response that carries an error of ERRORS."""
    body = error_body(status, current_context().request_id, details)
    return Response(body, status, headers, content_type="application/json")


def error_body(status: int, request_id: str, details: Details = None) -> bytes:
    """Return an error of ERRORS as JSON. A key that was sent as a field's name is concealed."""
    code, message = ERRORS[status]
    error: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if details:
        error["details"] = {conceal(field): sentence for field, sentence in details.items()}
    return orjson.dumps({"success": False, "error": error})


def answer_exception(error: Exception) -> Response:
    """Return the response to an exception. The log has what the response does not say."""
    match error:
        case ApiError():
            return failure(error.status, error.details, error.headers)
        case ValidationError():
            return failure(422, error.normalized_messages())
        case Unavailable():
            log.warning("unavailable", error=str(error))
            return failure(503, headers={"Retry-After": RETRY_AFTER_SECONDS})
        case MethodNotAllowed():
            return failure(405, headers={"Allow": ", ".join(sorted(error.valid_methods or ()))})
        case HTTPException():
            return failure(error.code if error.code in ERRORS else 400)
        case Refused():
            log.error("refused by the database", error=str(error))
        case _:
            log.error("bug", exc_info=error)
    return failure(500)


def add_headers(response: Response) -> Response:
    """Return a response with the headers that it lacks, compressed if that is worth it.

    The ETag stays right, because it is weak.
    """
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code in (204, 304) or "Content-Encoding" in response.headers:
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) > COMPRESS_FROM_BYTES:
        response.headers.setdefault("Vary", "Accept-Encoding")
        if request.accept_encodings["gzip"]:
            response.set_data(gzip.compress(body, COMPRESSION_LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
    return response
