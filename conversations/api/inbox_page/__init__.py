"""The inbox page: shows the conversations of a key in a browser, and changes nothing.

The page asks for the key itself, so its files need none.
"""

from pathlib import Path

from flask import Flask, Response, abort

from conversations.api.reference import file_response, page_policy

HERE = Path(__file__).parent
PAGE = (HERE / "page.html").read_bytes()
MEDIA_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "feed.js": "text/javascript"}
FILES = {name: (HERE / name).read_bytes() for name in MEDIA_TYPES}

# The texts are those of strangers: a browser that knows trusted types refuses to make HTML of any.
POLICY = page_policy() + "; require-trusted-types-for 'script'; trusted-types 'none'"


def init_app(app: Flask) -> None:
    """Serve the page, which needs no key."""
    app.add_url_rule("/inbox", "show_inbox", show_inbox)
    app.add_url_rule("/inbox/<name>", "show_inbox_file", show_inbox_file)


def show_inbox() -> Response:
    """Return the page."""
    response = file_response(PAGE, "text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def show_inbox_file(name: str) -> Response:
    """Return one of the page's files."""
    if name not in FILES:
        abort(404)
    return file_response(FILES[name], MEDIA_TYPES[name])
