"""The inbox page: shows the conversations of a key in a browser, and changes nothing.

The page asks for the key itself, so its files need none.
"""

from pathlib import Path

from flask import Blueprint, Response, abort

from conversations.api.public import file_response, page_response

HERE = Path(__file__).parent
PAGE = (HERE / "page.html").read_bytes()
MEDIA_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "feed.js": "text/javascript"}
FILES = {name: (HERE / name).read_bytes() for name in MEDIA_TYPES}

inbox = Blueprint("inbox", __name__)


@inbox.get("/inbox")
def show_inbox() -> Response:
    """Return the page."""
    response = page_response(PAGE)
    # Texts are those of strangers: a browser that knows trusted types refuses to make HTML of any.
    response.headers["Content-Security-Policy"] += (
        "; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


@inbox.get("/inbox/<name>")
def show_inbox_file(name: str) -> Response:
    """Return one of the page's files."""
    if name not in FILES:
        abort(404)
    return file_response(FILES[name], MEDIA_TYPES[name])
