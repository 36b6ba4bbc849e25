"""The views of the hooks. They differ only in how a request is read, and in the response."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from marshmallow import ValidationError

from conversations.api.auth import authenticate_hook, note_use, requires_scope
from conversations.api.content import form_fields, json_object
from conversations.api.context import current_context, current_key
from conversations.api.envelope import success
from conversations.api.hooks import httpsms, smsgate, telnyx, twilio
from conversations.api.hooks.reports import HookQuery, Read, Report, Skip, message_fields
from conversations.inbox import messages, organizations
from conversations.inbox.messages import Outcome
from schemas.hooks import HookQuerySchema

HOOK_QUERY = HookQuerySchema()

# What the log line says of a message that was known.
REASONS = {
    Outcome.FILLED: "the stored message was completed",
    Outcome.CONFLICT: "the id is known with other content: the first counts",
}

hooks = Blueprint("hooks", __name__, url_prefix="/v1/hooks")
hooks.before_request(authenticate_hook)
hooks.after_request(note_use)


@hooks.post("/twilio")
@requires_scope("messages:write")
def receive_twilio() -> Response:
    """Record what Twilio reports, and answer in TwiML: it takes JSON for an error."""
    record(twilio.read, form_fields())
    return Response("<Response/>", content_type="text/xml")


@hooks.post("/telnyx")
@requires_scope("messages:write")
def receive_telnyx() -> Response:
    """Record what Telnyx reports."""
    return success(record(telnyx.read, json_object()))


@hooks.post("/smsgate")
@requires_scope("messages:write")
def receive_smsgate() -> Response:
    """Record what SMSGate reports."""
    return success(record(smsgate.read, json_object()))


@hooks.post("/httpsms")
@requires_scope("messages:write")
def receive_httpsms() -> Response:
    """Record what httpSMS reports."""
    return success(record(httpsms.read, json_object()))


def record(read: Read, content: Mapping[str, Any]) -> dict[str, int]:
    """Record what a carrier's module reads of a request, and return how much was done.

    The log line says why something was not recorded. Raises ValidationError, pool.Unavailable.
    """
    args = request.args.copy()
    args.poplist("key")
    found = read(content, HookQuery(**HOOK_QUERY.check_query(args)))
    reports = [each for each in found if isinstance(each, Report)]
    skips = [each.reason for each in found if isinstance(each, Skip)]
    outcomes: list[Outcome] = []
    if reports:
        numbers = _own_numbers(reports)
        ours = [report for report in reports if report.own_number in numbers]
        skips += ["a copy: the number is in cc alone" for report in ours if report.is_copy]
        outcomes = _record([report for report in ours if not report.is_copy], numbers)
    current_context().reasons += skips
    recorded = outcomes.count(Outcome.CREATED)
    already_there = len(outcomes) - recorded
    return {"recorded": recorded, "already_there": already_there, "skipped": len(skips)}


def _own_numbers(reports: list[Report]) -> dict[str, UUID]:
    """Return the organization's numbers among those of the reports, with their ids.

    Raises ValidationError if none is the organization's.
    """
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
