"""Whether a peer does the work of GET /v1/conversations: seen from outside, before it is timed."""

import re
import time
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

import orjson

from bench.database import ORGANIZATION_ID, Inbox
from bench.servers import Server
from conversations.inbox import api_keys

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
LOG_SECONDS = 2.0
PATH = "/v1/conversations"


class Differs(Exception):
    """A peer does something else than the service. Says what."""


def check(service: Server, peer: Server, path: str, inbox: Inbox) -> None:
    """Compare the pages, the refusals, the request ids and the log lines of a peer with the
    service's. Raises Differs.
    """
    cursor = _body(_get(service, PATH, inbox.key))["meta"]["next_cursor"]
    for query in ({}, {"limit": 7}, {"cursor": cursor}):
        given = f"?{urlencode(query)}".rstrip("?")
        ours, theirs = (
            _body(_get(server, where + given, inbox.key))
            for server, where in ((service, PATH), (peer, path))
        )
        _compare(peer, given, ours, theirs)
    _compare_refusals(service, peer, path, inbox)
    _require_one_log_line(peer, path, inbox)


def _get(server: Server, path: str, key: str) -> HTTPResponse:
    return server.get(path, {"Authorization": f"Bearer {key}"})


def _body(response: HTTPResponse) -> Any:
    return orjson.loads(response.read())


def _compare(peer: Server, given: str, ours: dict, theirs: dict) -> None:
    """Compare two pages field by field, in the same order."""
    pairs = [("envelope", list(ours), list(theirs)), ("meta", ours["meta"], theirs.get("meta"))]
    for number, row in enumerate(ours["data"]):
        other = theirs["data"][number] if number < len(theirs["data"]) else {}
        pairs += [(f"row {number}: {key}", row[key], other.get(key)) for key in row]
        pairs.append((f"row {number}", list(row), list(other)))
    for what, our_value, their_value in pairs:
        if our_value != their_value:
            raise Differs(f"{peer.name}{given}: {what}: {their_value!r}, not {our_value!r}")


def _compare_refusals(service: Server, peer: Server, path: str, inbox: Inbox) -> None:
    """Try an unknown key, and one that lacks the scope."""
    strangers = (
        api_keys.new_key(),
        api_keys.create_api_key(ORGANIZATION_ID, ["messages:write"], "bench"),
    )
    for key in strangers:
        ours, theirs = _get(service, PATH, key).status, _get(peer, path, key).status
        if ours != theirs:
            raise Differs(f"{peer.name} responds {theirs} to a key that gets {ours}")


def _require_one_log_line(peer: Server, path: str, inbox: Inbox) -> None:
    """Find the request's id, a ULID, in exactly one line of the log."""
    request_id = _get(peer, path, inbox.key).getheader("X-Request-Id") or ""
    if not ULID.fullmatch(request_id):
        raise Differs(f"{peer.name}: X-Request-Id is {request_id!r}")
    deadline = time.monotonic() + LOG_SECONDS
    while (count := peer.log.read_text().count(request_id)) != 1:
        if time.monotonic() > deadline:
            raise Differs(f"{peer.name} logs a request {count} times")
        time.sleep(0.01)
