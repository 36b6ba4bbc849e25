"""What the service says of itself: log lines, Server-Timing, metrics."""

import http.client
import json
import re

from tests.conftest import DATABASE_URL, contact
from tests.servers import running_service


def test_a_request_is_one_log_line_with_its_cost(alice, log_lines):
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00")
    alice.get("/v1/conversations")
    response = alice.get("/v1/conversations")
    _, line = log_lines()
    fields = dict(pair.split("=", 1) for pair in line.split())
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


def test_log_format_json_writes_the_same_fields_as_json():
    with running_service(DATABASE_URL, LOG_FORMAT="json", WEB_CONCURRENCY=1) as service:
        service.request("GET", "/v1/conversations")
        lines = [json.loads(li) for li in service.log().splitlines() if li.startswith("{")]
    assert [(li["route"], li["status"]) for li in lines[-1:]] == [("/v1/conversations", 401)]


def test_metrics_add_up_over_several_workers_and_name_no_method_that_is_made_up():
    with running_service(DATABASE_URL, METRICS="true", WEB_CONCURRENCY=2) as service:
        for _ in range(40):
            service.request("GET", "/v1/conversations")
        for method in ("BREW", "MAKEATEA", "BREW"):
            service.request(method, "/v1/conversations")
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    series = 'http_requests_total{method="GET",route="/v1/conversations",status="401"} 40.0'
    assert series in text
    assert 'http_request_seconds_count{route="/v1/conversations"} 40.0' in text
    assert 'http_requests_total{method="-",route="-",status="405"} 3.0' in text
    assert "BREW" not in text
    assert "db_pool_in_use 0.0" in text
    assert "db_pool_waiting 0.0" in text
    assert "last_redaction_timestamp_seconds" in text


def test_metrics_are_not_served_unless_asked_for(client):
    assert client.get("/metrics").status_code == 404
