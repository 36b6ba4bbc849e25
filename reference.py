"""The API reference: the OpenAPI document, and Swagger UI to read and try it, all from here."""

import base64
import functools
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import click
import orjson
from flask import Flask, Response, abort, current_app, redirect, request
from flask.cli import with_appcontext

HERE = Path(__file__).parent
DIST = files("flask_swagger_ui") / "dist"
MEDIA_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
PAGE = (HERE / "docs.html").read_text()


def hashes(tag: str) -> str:
    """Return the page's inline blocks of a tag as a Content-Security-Policy names them."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    digests = (hashlib.sha256(block.encode()).digest() for block in blocks)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' {hashes('script')}",
        f"style-src 'self' {hashes('style')}",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def init_app(app: Flask) -> None:
    """Serve the reference, and print its document with `flask openapi`."""
    app.add_url_rule("/", "show_start", show_start)
    app.add_url_rule("/openapi.json", "show_openapi", show_openapi)
    app.add_url_rule("/docs", "show_docs", show_docs)
    app.add_url_rule("/docs/<name>", "show_docs_file", show_docs_file)
    app.cli.add_command(print_openapi)


def show_start():
    """Lead to the page."""
    return redirect("/docs")


def show_openapi():
    """Answer the committed document."""
    return answer_file((HERE / "openapi.json").read_bytes(), "application/json")


def show_docs():
    """Answer the page."""
    response = answer_file(PAGE.encode(), "text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def show_docs_file(name: str):
    """Answer one of Swagger UI's files."""
    if name not in MEDIA_TYPES:
        abort(404)
    return answer_file(dist_file(name), MEDIA_TYPES[name])


@functools.cache
def dist_file(name: str) -> bytes:
    """Return a file of Swagger UI, which is read once."""
    return (DIST / name).read_bytes()


def answer_file(content: bytes, mimetype: str) -> Response:
    """Answer bytes that a browser keeps and asks about again."""
    response = Response(content, mimetype=mimetype)
    response.set_etag(hashlib.sha256(content).hexdigest()[:32], weak=True)
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Encoding")
    return response.make_conditional(request)


@click.command("openapi")
@with_appcontext
def print_openapi():
    """Print the OpenAPI document of this version, as openapi.json has it."""
    try:
        import openapi
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is missing: pip install -r requirements-dev.txt"
        ) from error
    document = openapi.build(current_app)
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
