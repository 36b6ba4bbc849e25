"""The envelope of every answer: success with data, or an error with a code and the request's id."""

import orjson
from flask import Response, g
from ulid import ULID

import keys

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


class ApiError(Exception):
    """An answer that ends a request early: a status of ERRORS, details by field, headers."""

    def __init__(self, status: int, details: dict | None = None, headers: dict | None = None):
        super().__init__(status, details)
        self.status = status
        self.details = details
        self.headers = headers or {}


def unauthorized() -> ApiError:
    """Return the answer to a request without a live key (RFC 6750 section 3)."""
    return ApiError(401, headers={"WWW-Authenticate": "Bearer"})


def request_id() -> str:
    """Return this request's ULID, made on first use."""
    try:
        return g.request_id
    except AttributeError:
        g.request_id = str(ULID())
        return g.request_id


def success(
    data, meta: dict | None = None, *, status: int = 200, headers: dict | None = None
) -> Response:
    """Return the answer that carries data. Instants are printed in UTC with Z (RFC 3339)."""
    content = {"success": True, "data": data}
    if meta is not None:
        content["meta"] = meta
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, mimetype="application/json")


def failure(status: int, details: dict | None = None, headers: dict | None = None) -> Response:
    """Return the answer that carries an error of ERRORS."""
    body = error_body(status, request_id(), details)
    return Response(body, status, headers, mimetype="application/json")


def error_body(status: int, request_id: str, details: dict | None = None) -> bytes:
    """Return an error of ERRORS as JSON. A key that was sent as a field's name is not repeated."""
    code, message = ERRORS[status]
    error = {"code": code, "message": message, "request_id": request_id}
    if details:
        error["details"] = {keys.conceal(field): text for field, text in details.items()}
    return orjson.dumps({"success": False, "error": error})
