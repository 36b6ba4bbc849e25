"""/livez and /readyz: whether the process answers, and whether the service is ready."""

from flask import Flask, Response

from conversations.api.envelope import success
from conversations.inbox import status


def init_app(app: Flask) -> None:
    """Serve /livez and /readyz, which need no key."""
    app.add_url_rule("/livez", "livez", livez)
    app.add_url_rule("/readyz", "readyz", readyz)


def livez() -> Response:
    """Answer that the process answers. It never touches the database."""
    return success({"status": "ok"})


def readyz() -> Response:
    """Answer whether the database answers and its schema is current."""
    return success(status.readiness())
