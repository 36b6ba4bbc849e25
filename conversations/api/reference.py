"""The API reference: the OpenAPI document, and a page to read and try it, all from here."""

import base64
import functools
import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from conversations.api.headers import COMPRESS_FROM_BYTES

HERE = Path(__file__).parent
DIST = files("flask_swagger_ui") / "dist"
MEDIA_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
DOCUMENT = (HERE / "openapi.json").read_bytes()
PAGE = (HERE / "docs.html").read_text(encoding="utf-8")


def _hashes(tag: str) -> str:
    """Return the page's inline blocks of a tag as a Content-Security-Policy names them."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    digests = (hashlib.sha256(block.encode()).digest() for block in blocks)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def page_policy(script_hashes: str = "", style_hashes: str = "") -> str:
    """Return the Content-Security-Policy of a page that uses the service's own files alone."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {script_hashes}".rstrip(),
            f"style-src 'self' {style_hashes}".rstrip(),
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


POLICY = page_policy(_hashes("script"), _hashes("style"))


def init_app(app: Flask) -> None:
    """Serve the reference, which needs no key."""
    app.add_url_rule("/", "show_start", show_start)
    app.add_url_rule("/openapi.json", "show_openapi", show_openapi)
    app.add_url_rule("/docs", "show_docs", show_docs)
    app.add_url_rule("/docs/<name>", "show_docs_file", show_docs_file)


def show_start() -> WerkzeugResponse:
    """Redirect to the inbox page, by an address that is right under a prefix of a proxy too."""
    return redirect("inbox")


def show_openapi() -> Response:
    """Return the OpenAPI document."""
    return file_response(DOCUMENT, "application/json")


def show_docs() -> Response:
    """Return the page."""
    response = file_response(PAGE.encode(), "text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def show_docs_file(name: str) -> Response:
    """Return one of Swagger UI's files."""
    if name not in MEDIA_TYPES:
        abort(404)
    return file_response(_dist_file(name), MEDIA_TYPES[name])


@functools.cache
def _dist_file(name: str) -> bytes:
    return (DIST / name).read_bytes()


def file_response(content: bytes, mimetype: str) -> Response:
    """Return a file that a browser keeps and asks about again."""
    tag, compressed = _prepare(content)
    response = Response(content, mimetype=mimetype)
    if len(content) > COMPRESS_FROM_BYTES and request.accept_encodings["gzip"]:
        response.set_data(compressed)
        response.headers["Content-Encoding"] = "gzip"
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Encoding")
    response.make_conditional(request)
    return response


@functools.cache
def _prepare(content: bytes) -> tuple[str, bytes]:
    """Return a file's ETag and its compressed bytes, made once: compressing takes 20 ms."""
    return hashlib.sha256(content).hexdigest()[:32], gzip.compress(content, mtime=0)
