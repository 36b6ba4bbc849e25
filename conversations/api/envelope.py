"""The envelope of every response: success with data, or an error with a code and a request id."""

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

from conversations.api.context import current_context
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


# By name; a list is a header that is sent several times.
Headers = Mapping[str, str | list[str]]


class ApiError(Exception):
    """An error response that ends a request: a status of ERRORS, details by field, headers."""

    def __init__(
        self, status: int, details: Mapping[str, str] | None = None, headers: Headers | None = None
    ):
        super().__init__(status, details)
        self.status = status
        self.details = details
        self.headers = headers or {}


def success(
    data: Any,
    meta: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the response that carries data. Instants are printed in UTC with Z (RFC 3339)."""
    content = {"success": True, "data": data}
    if meta is not None:
        content["meta"] = meta
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, content_type="application/json")


def failure(
    status: int, details: Mapping[str, str] | None = None, headers: Headers | None = None
) -> Response:
    """Return the response that carries an error of ERRORS."""
    body = error_body(status, current_context().request_id, details)
    return Response(body, status, headers, content_type="application/json")


def error_body(status: int, request_id: str, details: Mapping[str, str] | None = None) -> bytes:
    """Return an error of ERRORS as JSON. A key that was sent as a field's name is concealed."""
    code, message = ERRORS[status]
    error: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if details:
        error["details"] = {conceal(field): sentence for field, sentence in details.items()}
    return orjson.dumps({"success": False, "error": error})
