"""The routes that need no key: the health of the service, its OpenAPI document, and its two pages.

The pages ask for the key themselves: one to read and try the API, one to look at the inbox.
"""

import functools
import gzip
import hashlib
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from conversations.api import auth
from conversations.api.envelope import COMPRESS_FROM_BYTES, success
from conversations.database import health
from conversations.inbox import api_keys

HERE = Path(__file__).parent
SWAGGER_UI = Path(str(files("flask_swagger_ui") / "dist"))
# The path of each address, with its file and its media type.
FILES = {
    "/openapi.json": (HERE / "openapi.json", "application/json"),
    "/docs": (HERE / "docs_page/page.html", "text/html"),
    "/docs/page.css": (HERE / "docs_page/page.css", "text/css"),
    "/docs/page.js": (HERE / "docs_page/page.js", "text/javascript"),
    "/docs/swagger-ui.css": (SWAGGER_UI / "swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": (SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript"),
    "/inbox": (HERE / "inbox_page/page.html", "text/html"),
    "/inbox/page.css": (HERE / "inbox_page/page.css", "text/css"),
    **{
        f"/inbox/{name}.js": (HERE / f"inbox_page/{name}.js", "text/javascript")
        for name in ("page", "pane", "items", "contacts", "news", "feed")
    },
}
# Read at the start, so that all files are of the version that runs.
CONTENTS = {path: file.read_bytes() for path, (file, _) in FILES.items()}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

public = Blueprint("public", __name__)


@public.get("/livez")
def livez() -> Response:
    """Respond that the process responds. It never touches the database."""
    return success({"status": "ok"})


@public.get("/readyz")
def readyz() -> Response:
    """Respond with the health of the database; 503 unless it responds and its schema is current."""
    return success(health.readiness())


@public.get("/")
def show_start() -> WerkzeugResponse:
    """Redirect to the inbox page, by an address that is right under a prefix of a proxy too."""
    return redirect("inbox")


@public.get("/openapi.json")
def show_openapi() -> Response:
    """Return the OpenAPI document."""
    return file_response("/openapi.json")


@public.get("/docs")
def show_docs() -> Response:
    """Return the page to read and try the API."""
    return file_response("/docs", {"Content-Security-Policy": POLICY})


@public.get("/inbox")
def show_inbox() -> Response:
    """Return the inbox page, which shows the conversations of a key and changes nothing.

    Its texts are those of strangers: a browser that knows trusted types makes no HTML of any.
    """
    policy = f"{POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
    headers = {"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "same-origin"}
    return file_response("/inbox", headers)


@public.get("/inbox/scopes")
def show_inbox_scopes() -> Response:
    """Return the scopes of the request's key, none for one that is not live.

    The inbox page asks, so that a key that may read less than the page can show is never refused.
    """
    api_key = api_keys.find_live_key(auth.header_token("bearer"))
    return success({"scopes": api_key.scopes if api_key else []})


@public.get("/docs/<name>")
@public.get("/inbox/<name>")
def show_page_file(name: str) -> Response:
    """Return one of the files of a page."""
    return file_response(request.path)


def file_response(path: str, headers: dict[str, str] | None = None) -> Response:
    """Return a file that a browser keeps and asks about again; 404 if the table has none there."""
    if path not in FILES:
        abort(404)
    etag, compressed = _prepare(path)
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", **(headers or {})}
    response = Response(CONTENTS[path], headers=headers, mimetype=FILES[path][1])
    if len(CONTENTS[path]) > COMPRESS_FROM_BYTES and request.accept_encodings["gzip"]:
        response.set_data(compressed)
        response.headers["Content-Encoding"] = "gzip"
    response.set_etag(etag, weak=True)
    response.make_conditional(request)
    return response


@functools.cache
def _prepare(path: str) -> tuple[str, bytes]:
    """Return a file's ETag and its compressed bytes, made once: compressing takes 20 ms."""
    etag = hashlib.sha256(CONTENTS[path]).hexdigest()[:32]
    return etag, gzip.compress(CONTENTS[path], mtime=0)
