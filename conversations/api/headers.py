"""The headers that every response has, and gzip for clients that accept it."""

import gzip

from flask import Flask, Response, request

COMPRESS_FROM_BYTES = 1024
COMPRESSION_LEVEL = 3

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def init_app(app: Flask) -> None:
    """Finish every response of the application."""
    app.after_request(_finish)


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code not in (204, 304):
        _compress(response)
    return response


def _compress(response: Response) -> None:
    """Compress a body over 1 KB for a client that accepts it; the weak ETag stays right."""
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) <= COMPRESS_FROM_BYTES or "Content-Encoding" in response.headers:
        return
    response.headers.setdefault("Vary", "Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.set_data(gzip.compress(body, COMPRESSION_LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
