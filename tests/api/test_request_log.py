"""What the service says of itself: log lines, Server-Timing, metrics."""

import contextlib
import io
import json
import logging
import os
import re
import socket
import tty
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Response

from conversations.api import request_log
from conversations.api.context import current_context
from conversations.api.log_stream import LogStream
from conversations.inbox import api_keys
from tests.conftest import contact
from tests.servers import running_service


def test_a_request_is_one_log_line_with_its_cost(alice, log_lines):
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
    alice.get("/v1/conversations")
    response = alice.get("/v1/conversations")
    _, line = log_lines()
    fields = fields_of(line)
    assert fields["request_id"] == response.headers["X-Request-Id"]
    assert fields["organization"] == str(alice.id)
    assert fields["key"] == alice.key[:12]
    assert fields["method"] == "GET"
    assert fields["route"] == "/v1/conversations"
    assert fields["status"] == "200"
    assert fields["rows"] == "1"
    assert fields["statements"] == "2"
    assert float(fields["ms"]) > 0


def test_an_incoming_request_id_is_logged_but_never_taken_for_ours(client, log_lines):
    incoming = "6f1d2c3b-4a5e-4f60-8b7a-9c0d1e2f3a4b"
    response = client.get("/livez", headers={"X-Request-Id": incoming})
    assert response.headers["X-Request-Id"] != incoming
    assert f"incoming_request_id={incoming}" in log_lines()[0]


def test_server_timing_tells_the_database_share(alice):
    timing = alice.get("/v1/conversations").headers["Server-Timing"]
    total, database = re.fullmatch(r"total;dur=([\d.]+), db;dur=([\d.]+)", timing).groups()
    assert 0 < float(database) <= float(total)


def fields_of(line: str) -> dict[str, str]:
    """What a line of logfmt says; a quoted value is a JSON text."""
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]+)(?: |$)', line)
    assert " ".join(f"{name}={value}" for name, value in pairs) == line
    return {name: json.loads(value) if value[0] == '"' else value for name, value in pairs}


@pytest.mark.parametrize(
    ("log_format", "parse"), [("logfmt", fields_of), ("json", json.loads)], ids=["logfmt", "json"]
)
def test_every_line_of_the_service_and_its_libraries_has_one_format(log_format, parse):
    nowhere = "postgresql://127.0.0.1:1/nowhere"
    with running_service(nowhere, LOG_FORMAT=log_format, WEB_CONCURRENCY=1) as service:
        service.request("GET", "/v1/conversations", api_keys.new_key())
        assert service.stop() == 0
        lines = [parse(line) for line in service.log().splitlines()]
    for line in lines:
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC
        assert line["level"] in ("info", "warning")
    loggers = {line.get("logger") for line in lines}
    assert {"gunicorn.error", None} <= loggers <= {"gunicorn.error", "psycopg.pool", None}
    (request,) = (line for line in lines if line.get("route") == "/v1/conversations")
    assert str(request["status"]) == "503"
    (why,) = (line for line in lines if line["event"] == "unavailable")
    assert why["request_id"] == request["request_id"]


def test_a_method_that_nobody_knows_is_not_logged(client, log_lines):
    client.open("/livez", method="AM_LIVE_15551234567")
    assert fields_of(log_lines()[-1])["method"] == "-"


def test_the_reasons_of_a_request_stand_in_its_line(app, log_lines):
    with app.test_request_context("/livez"):
        context = current_context()
        assert "reason" not in fields_of(logged(app, log_lines))
        context.reasons += ["an MMS without media", "text cut to 10,000 characters"]
        line = fields_of(logged(app, log_lines))
    assert line["reason"] == "an MMS without media; text cut to 10,000 characters"


def logged(app, log_lines) -> str:
    """The line that the current request leaves."""
    app.process_response(Response())
    return log_lines()[-1]


def test_control_characters_and_quotes_cannot_forge_a_line(log_lines):
    value = 'a"b\\c\r\nlevel=info\x1b[2Jé\x9b'
    request_log.log.warning("unavailable", error=value)
    (line,) = log_lines()
    assert line.isprintable()
    assert fields_of(line)["error"] == value


@pytest.fixture
def library_lines() -> Iterator[Callable[[], list[str]]]:
    """What libraries log during the test, in the format of the service."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request_log.formatter("logfmt"))
    logging.getLogger().addHandler(handler)
    yield lambda: stream.getvalue().splitlines()
    logging.getLogger().removeHandler(handler)


def test_a_library_that_warns_is_named(client, library_lines):
    logging.getLogger("psycopg.pool").warning("error connecting in %r", "pool-1")
    logging.getLogger("psycopg.pool").info("adding new connection to the pool")
    (line,) = map(fields_of, library_lines())
    assert (line["level"], line["logger"]) == ("warning", "psycopg.pool")
    assert line["event"] == "error connecting in 'pool-1'"


def unread_pipe() -> tuple[int, int]:
    return os.pipe()


def unread_socket() -> tuple[int, int]:
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


def unread_terminal() -> tuple[int, int]:
    reader, writer = os.openpty()
    tty.setraw(writer)
    return reader, writer


def read_all(reader: int) -> str:
    """What there is to read at this moment."""
    os.set_blocking(reader, False)
    received = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(reader, 65536):
            received += chunk
    return received.decode()


@pytest.mark.parametrize("open_unread", [unread_pipe, unread_socket, unread_terminal])
def test_lines_that_nobody_reads_are_dropped_and_counted_and_nothing_waits(open_unread):
    reader, writer = open_unread()
    stream, total = LogStream(writer), 10_000
    stream.describe_dropped = "dropped {}".format
    for number in range(total):
        stream.write(f"{number} {'x' * 100}")
    assert os.get_blocking(writer)  # As other programs that share it expect.
    received = read_all(reader)
    stream.write("the end")
    *lines, end = (received + read_all(reader)).splitlines()
    assert end == "the end"
    dropped = sum(int(line.split()[1]) for line in lines if line.startswith("dropped"))
    written = [int(line.split()[0]) for line in lines if not line.startswith("dropped")]
    assert written == sorted(set(written))
    assert dropped == total - len(written) > 0
    os.close(reader)
    stream.write("to nobody")
    os.close(writer)
    stream.write("to nobody")


def test_what_libraries_log_waits_for_nobody_either(client, monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setattr(request_log.STANDARD_ERROR, "descriptor", writer)
    for _ in range(5_000):
        logging.getLogger("psycopg.pool").warning("error connecting in %r", "pool-1")
    assert read_all(reader)
    logging.getLogger("psycopg.pool").warning("one more")
    lines = read_all(reader).splitlines()
    assert fields_of(lines[-1])["event"] == "one more"
    assert fields_of(lines[-2])["event"] == "lines dropped"
    assert int(fields_of(lines[-2])["count"]) > 1_000


def test_metrics_are_not_served_unless_asked_for(client):
    assert client.get("/metrics").status_code == 404
