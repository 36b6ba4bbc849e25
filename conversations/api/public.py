"""What needs no key: the health of the service, and the API reference, all of it from here."""

import base64
import functools
import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from conversations.api.envelope import COMPRESS_FROM_BYTES, success
from conversations.inbox import status

HERE = Path(__file__).parent
DIST = files("flask_swagger_ui") / "dist"
MEDIA_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
DOCUMENT = (HERE / "openapi.json").read_bytes()
PAGE = (HERE / "docs.html").read_bytes()
POLICY = (
    "default-src 'none'; script-src 'self'{}; style-src 'self'{}; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

public = Blueprint("public", __name__)


@public.get("/livez")
def livez() -> Response:
    """Answer that the process answers. It never touches the database."""
    return success({"status": "ok"})


@public.get("/readyz")
def readyz() -> Response:
    """Answer whether the database answers and its schema is current."""
    return success(status.readiness())


@public.get("/")
def show_start() -> WerkzeugResponse:
    """Redirect to the inbox page, by an address that is right under a prefix of a proxy too."""
    return redirect("inbox")


@public.get("/openapi.json")
def show_openapi() -> Response:
    """Return the OpenAPI document."""
    return file_response(DOCUMENT, "application/json")


@public.get("/docs")
def show_docs() -> Response:
    """Return the page."""
    return page_response(PAGE)


@public.get("/docs/<name>")
def show_docs_file(name: str) -> Response:
    """Return one of Swagger UI's files."""
    if name not in MEDIA_TYPES:
        abort(404)
    return file_response(_read_docs_file(name), MEDIA_TYPES[name])


@functools.cache
def _read_docs_file(name: str) -> bytes:
    return (DIST / name).read_bytes()


def page_response(page: bytes) -> Response:
    """Return a page of HTML that uses its own inline blocks and the service's files alone."""
    response = file_response(page, "text/html")
    response.headers["Content-Security-Policy"] = _policy(page)
    return response


@functools.cache
def _policy(page: bytes) -> str:
    return POLICY.format(_hashes(b"script", page), _hashes(b"style", page))


def _hashes(tag: bytes, page: bytes) -> str:
    """Return the page's inline blocks of a tag as a Content-Security-Policy names them."""
    blocks = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(block).digest()).decode() for block in blocks)
    return "".join(f" 'sha256-{digest}'" for digest in digests)


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
