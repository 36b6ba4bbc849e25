"""The view behind all hooks, and the table of the carriers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from marshmallow import ValidationError

from conversations.api.auth import SCOPES, authenticate_hook, note_use
from conversations.api.content import form_fields, json_object
from conversations.api.context import current_context, current_key
from conversations.api.envelope import success
from conversations.api.hooks import httpsms, smsgate, telnyx, twilio
from conversations.api.hooks.reports import HookQuery, Read, Report, Skip, message_fields
from conversations.inbox import messages, organizations
from conversations.inbox.messages import Outcome
from schemas.hooks.base import HookQuerySchema

HOOK_QUERY = HookQuerySchema()

# What the log line says of a message that was known.
REASONS = {
    Outcome.FILLED: "the stored message was completed",
    Outcome.CONFLICT: "the id is known with other content, which counts",
}


def twilio_response(_: dict[str, int]) -> Response:
    """Return an empty TwiML document: Twilio takes JSON for an error, a text for a reply."""
    return Response("<Response/>", content_type="text/xml")


@dataclass(frozen=True)
class Carrier:
    """How the content of a carrier's request is taken and read, and what it gets in response."""

    read: Read
    content: Callable[[], Mapping[str, Any]] = json_object
    response: Callable[[dict[str, int]], Response] = success


CARRIERS = {
    "twilio": Carrier(twilio.read, form_fields, twilio_response),
    "telnyx": Carrier(telnyx.read),
    "smsgate": Carrier(smsgate.read),
    "httpsms": Carrier(httpsms.read),
}

hooks = Blueprint("hooks", __name__, url_prefix="/v1/hooks")
hooks.before_request(authenticate_hook)
hooks.after_request(note_use)


def receive(carrier: Carrier) -> Response:
    """Record what a carrier reports; the log line says why something was not recorded."""
    content = carrier.content()
    args = request.args.copy()
    args.poplist("key")
    query = HookQuery(**HOOK_QUERY.check_query(args))
    read = carrier.read(content, query)
    reports = [each for each in read if isinstance(each, Report)]
    numbers = _own_numbers(reports)
    ours = [report for report in reports if report.own_number in numbers]
    skips = [each.reason for each in read if isinstance(each, Skip)]
    skips += ["a copy: the number is in cc alone" for report in ours if report.is_copy]
    current_context().reasons += skips
    outcomes = _record([report for report in ours if not report.is_copy], numbers)
    recorded = outcomes.count(Outcome.CREATED)
    already_there = len(outcomes) - recorded
    return carrier.response(
        {"recorded": recorded, "already_there": already_there, "skipped": len(skips)}
    )


def _own_numbers(reports: list[Report]) -> dict[str, UUID]:
    """Return the organization's numbers among those of the reports, with their ids.

    Raises ValidationError if there are reports, but none is of the organization.
    """
    if not reports:
        return {}
    numbers = organizations.find_phone_numbers(
        current_key().organization_id, numbers=[report.own_number for report in reports]
    )
    if not numbers:
        raise ValidationError({reports[0].own_name: organizations.NOT_YOURS})
    return numbers


def _record(reports: list[Report], numbers: dict[str, UUID]) -> list[Outcome]:
    """Record reports and return what became of each; the log line says what was cut or known."""
    if not reports:
        return []
    completed = [messages.complete_message(message_fields(each), numbers) for each in reports]
    outcomes = messages.record_messages(current_key().organization_id, completed)
    reasons = current_context().reasons
    reasons += [reason for report in reports for reason in report.reasons]
    reasons += [REASONS[outcome] for outcome in outcomes if outcome in REASONS]
    return outcomes


for name, each in CARRIERS.items():
    SCOPES[f"receive_{name}"] = "messages:write"
    hooks.post(f"/{name}", endpoint=f"receive_{name}")(partial(receive, each))
