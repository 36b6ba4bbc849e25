"""Failures outside of the views: every hook of a request is broken once."""

import http.client

import orjson
import pytest

import app as service
from tests.conftest import DATABASE_URL, assert_error
from tests.servers import running_service, wait_until

PRIVATE_TEXT = "a private text"
SECRET = "am_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWX"
HOOK_PATH = f"/v1/hooks/twilio?number={SECRET}"
PATH = f"/v1/conversations/{SECRET}+15557654321/messages"


def fail(*args, **kwargs):
    raise LookupError(PRIVATE_TEXT)


def broken(monkeypatch, where: str) -> None:
    """Break one hook of the application."""
    app = service.app
    kind, _, number = where.partition(" ")
    if kind in ("before", "after"):
        hooks = getattr(app, f"{kind}_request_funcs")
        name, place = number.split()
        blueprint = None if name == "app" else name
        changed = list(hooks[blueprint])
        changed[int(place)] = fail
        monkeypatch.setitem(hooks, blueprint, changed)
    elif kind == "error_handler":
        handlers = dict.fromkeys(app.error_handler_spec[None][None], fail)
        monkeypatch.setitem(app.error_handler_spec[None], None, handlers)
    else:
        monkeypatch.setattr(app, kind, fail)


HOOKS = [
    f"{kind} {name or 'app'} {place}"
    for kind in ("before", "after")
    for name, functions in getattr(service.app, f"{kind}_request_funcs").items()
    for place in range(len(functions))
]


def assert_failed_in_silence(response, lines: list[str]) -> None:
    """A 500 in the envelope, and what the log holds of it: its id and no secret."""
    assert_error(response, 500, "INTERNAL_ERROR")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    id = response.headers["X-Request-Id"]
    assert sum("event=request" in line and f"request_id={id} " in line for line in lines) == 1
    assert any("error=LookupError" in line and f"request_id={id} " in line for line in lines)
    for secret in (SECRET, "5557654321", PRIVATE_TEXT):
        assert secret not in "\n".join(lines)
        assert secret not in response.text


@pytest.mark.parametrize(
    "where", [*HOOKS, "preprocess_request", "process_response", "make_response"]
)
def test_a_hook_that_fails_is_a_500_in_the_envelope_and_one_line(alice, monkeypatch, capfd, where):
    with monkeypatch.context() as patch:
        broken(patch, where)
        is_of_hooks = " hooks " in where
        response = alice.post(HOOK_PATH, None) if is_of_hooks else alice.get(PATH)
    output = capfd.readouterr()
    assert_failed_in_silence(response, (output.out + output.err).splitlines())


def test_an_error_in_what_answers_errors_is_a_500_in_the_envelope(alice, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        broken(patch, "error_handler")
        response = alice.get(PATH)
    output = capfd.readouterr()
    assert_failed_in_silence(response, (output.out + output.err).splitlines())


def test_an_error_in_the_routing_is_a_500_in_the_envelope(alice, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr("werkzeug.routing.MapAdapter.match", fail)
        response = alice.get(PATH)
    output = capfd.readouterr()
    assert_failed_in_silence(response, (output.out + output.err).splitlines())


def test_a_failure_after_the_response_does_not_take_it_back(alice, monkeypatch, capfd):
    message = alice.inbound()
    with monkeypatch.context() as patch:
        patch.setitem(service.app.teardown_request_funcs, None, [fail])
        response = alice.post("/v1/messages", message)
    assert response.status_code == 201
    output = capfd.readouterr()
    assert "error=LookupError" in output.out
    assert PRIVATE_TEXT not in output.out + output.err


BROKEN_APP = """
from app import StrictRequest, app
from flask import Response

PRIVATE_TEXT = "a private text"

class Broken(StrictRequest):
    def __init__(self, environ, *args, **kwargs):
        super().__init__(environ, *args, **kwargs)
        if "request" in self.path:
            raise LookupError(PRIVATE_TEXT)

class BrokenResponse(Response):
    def __call__(self, environ, start_response):
        raise LookupError(PRIVATE_TEXT)

app.request_class = Broken
app.add_url_rule("/v1/response/<id>", "response", lambda id: BrokenResponse())
"""
BROKEN_SETTINGS = """
from pathlib import Path
exec(Path("gunicorn.conf.py").read_text())
wsgi_app, pythonpath = "broken_app:app", "{folder}"
"""


@pytest.fixture(scope="module")
def broken_service(tmp_path_factory):
    """A gunicorn whose application fails where Flask itself catches nothing."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "broken_app.py").write_text(BROKEN_APP)
    (folder / "settings.py").write_text(BROKEN_SETTINGS.format(folder=folder))
    arguments = f"--config {folder / 'settings.py'}"
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS=arguments) as service:
        yield service


@pytest.mark.parametrize("where", ["request", "response"])
def test_gunicorn_answers_in_the_envelope_what_the_application_cannot(broken_service, where):
    connection = http.client.HTTPConnection("127.0.0.1", broken_service.port, timeout=10)
    connection.request("GET", f"/v1/{where}/{SECRET}")
    answer = connection.getresponse()
    body = orjson.loads(answer.read())
    connection.close()
    assert answer.status == 500
    assert body["error"]["code"] == "INTERNAL_ERROR"
    assert body["error"]["request_id"] == answer.headers["X-Request-Id"]
    # gunicorn's own refusals are logged when they are sent.
    wait_until(lambda: answer.headers["X-Request-Id"] in broken_service.log())
    log = broken_service.log()
    (line,) = [line for line in log.splitlines() if answer.headers["X-Request-Id"] in line]
    assert "error=LookupError" in line
    assert SECRET not in log
    assert PRIVATE_TEXT not in log
