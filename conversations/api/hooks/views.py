"""The views of the hooks. They differ only in how a request is read, and in the response."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from conversations.api.auth import authenticate_hook, note_use
from conversations.api.content import form_fields, json_object, large_body
from conversations.api.context import current_context, current_key
from conversations.api.envelope import success
from conversations.api.hooks import httpsms, smsgate, telnyx, twilio
from conversations.api.hooks.reports import HookQuery, Read, Report, Skip, message_fields
from conversations.inbox import messages
from conversations.inbox.messages import Outcome
from schemas.hooks import HookQuerySchema, SmsgateQuerySchema

HOOK_QUERY = HookQuerySchema()
SMSGATE_QUERY = SmsgateQuerySchema()

# What the log line says of a message that was known.
REASONS = {
    Outcome.FILLED: "the stored message was completed",
    Outcome.CONFLICT: "the id is known with other content: the first counts",
}

hooks = Blueprint("hooks", __name__, url_prefix="/v1/hooks")
hooks.before_request(authenticate_hook)
hooks.after_request(note_use)


@hooks.post("/twilio")
def receive_twilio() -> Response:
    """Record what Twilio reports, and answer in TwiML: it takes JSON for an error."""
    record(twilio.read, form_fields())
    return Response("<Response/>", content_type="text/xml")


@hooks.post("/telnyx")
def receive_telnyx() -> Response:
    """Record what Telnyx reports."""
    return success(record(telnyx.read, json_object()))


@hooks.post("/smsgate")
def receive_smsgate() -> Response:
    """Record what SMSGate reports."""
    with large_body(smsgate.MAX_BODY_BYTES):
        return success(record(smsgate.read, json_object(), SMSGATE_QUERY))


@hooks.post("/httpsms")
def receive_httpsms() -> Response:
    """Record what httpSMS reports."""
    return success(record(httpsms.read, json_object()))


def record(
    read: Read, content: Mapping[str, Any], query_schema: HookQuerySchema = HOOK_QUERY
) -> dict[str, int]:
    """Record what a carrier's module reads of a request, and return how much was done.

    The log line says what was not recorded, cut, left out or known. Raises ValidationError,
    pool.Unavailable.
    """
    args = request.args.copy()
    args.poplist("key")
    organization_id = current_key().organization_id
    found = read(content, HookQuery(organization_id, **query_schema.check_query(args)))
    reasons = [each.reason for each in found if isinstance(each, Skip)]
    skipped = len(reasons)
    completed = []
    for report in found:
        if isinstance(report, Report):
            fields, of_report = message_fields(report)
            completed.append(messages.complete_message(fields, dict([report.own])))
            reasons += of_report
    outcomes = messages.record_messages(organization_id, completed) if completed else []
    reasons += [REASONS[outcome] for outcome in outcomes if outcome in REASONS]
    current_context().reasons += reasons
    recorded = outcomes.count(Outcome.CREATED)
    already_there = len(outcomes) - recorded
    return {"recorded": recorded, "already_there": already_there, "skipped": skipped}
