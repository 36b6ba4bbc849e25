"""What the OpenAPI document says of the fields of requests; the service itself needs none of it."""

from marshmallow import Schema

from conversations.api.hooks.httpsms import HttpsmsSchema
from conversations.api.hooks.smsgate import SmsgateSchema
from conversations.api.hooks.telnyx import TelnyxReceivedSchema
from conversations.api.hooks.twilio import TwilioSchema
from schemas import fields
from schemas.base import PageSchema
from schemas.create_message import CreateMessageSchema
from schemas.hooks import CarrierId, HookQuerySchema, SmsgateQuerySchema, String
from schemas.list_consent import ListConsentSchema
from schemas.list_conversations import ListConversationsSchema
from schemas.list_messages import ListMessagesSchema
from schemas.record_consent import RecordConsentSchema
from tools.openapi import json_schemas
from tools.openapi.json_schemas import Json, told

# A field of another class is what its base is.
TYPES: dict[type[fields.Strict], Json] = {
    fields.Strict: {},
    fields.Limit: {"type": "integer", "minimum": 1, "maximum": 200},
    fields.Cursor: {"type": "string", "pattern": "^(A[0-4A-Za-z]|_[0-9_yz-])[0-9A-Za-z_-]{30}$"},
    fields.Uuid: json_schemas.UUID,
    fields.PhoneNumber: json_schemas.PHONE_NUMBER,
    fields.Region: {"type": "string", "pattern": "^[A-Za-z]{2}$"},
    fields.Instant: json_schemas.INSTANT,
    fields.QueryFlag: json_schemas.BOOLEAN,
    fields.Flag: json_schemas.BOOLEAN,
    fields.Text: {"type": "string", "minLength": 1, "maxLength": 1600},
    fields.MediaUrls: json_schemas.MEDIA_URLS,
    fields.SegmentCount: {"type": "integer", "minimum": 1, "maximum": 100},
    CarrierId: {"type": "string", "pattern": "^[0-9A-Za-z-]{1,64}$"},
    String: json_schemas.TEXT,
}

# The description and the example of each field. A schema has those of its base too.
WORDS: dict[type[Schema], dict[str, Json]] = {
    PageSchema: {
        "cursor": told(
            "The `meta.next_cursor` of the page before. The filters may change in between."
        ),
        "limit": told("Rows of a page."),
    },
    ListConversationsSchema: {
        "phone_number_id": told("Only those of this number of yours."),
        "contact_number": told("Only those with this contact: E.164, a short code or a sender ID."),
        "since": told("Only those with `last_message_at` at this instant or later."),
        "opted_in": told(
            "`true`: only those whose consent on record says yes. "
            "`false`: all others, those without one included."
        ),
    },
    ListMessagesSchema: {"order": told("`asc`: oldest first. `desc`: newest first.")},
    CreateMessageSchema: {
        "id": told("Makes the call safe to repeat. Default: a new UUIDv7."),
        "direction": told("`inbound` if the contact sent it.", "outbound"),
        "from_number": told("Of an outbound message: one of your numbers.", "+15551112222"),
        "to_number": told("Of an inbound message: one of your numbers.", "+15554443333"),
        "body": told(
            "Required unless there are `media_urls`.",
            "Hi Jonas, this is Brightside Dental. Your crown has arrived; when can you come in?",
        ),
        "media_urls": told("Where the pictures of an MMS are."),
        "channel": told("Default: `mms` if there are `media_urls`."),
        "segment_count": told("How many SMS it was split into."),
        "created_at": told("When it was exchanged, at most 24 hours ahead. Default: now."),
    },
    ListConsentSchema: {
        "phone_number_id": told("Only those for this number of yours."),
        "contact_number": told("Only those of this contact."),
        "since": told("Only those with `updated_at` at this instant or later."),
        "opted_in": told("`true`: only those that say yes. `false`: only those that do not."),
    },
    RecordConsentSchema: {
        "phone_number_id": told(
            "The id of one of your numbers.", "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"
        ),
        "contact_number": told(
            "Whose consent it is: E.164, a short code or a sender ID.", "+15554443333"
        ),
        "opted_in": told("An opt-in, or an opt-out.", True),
        "captured_at": told(
            "When it was given or withdrawn, at most 24 hours ahead. Default: now."
        ),
    },
    HookQuerySchema: {
        "number": told(
            "Your number, for a gateway that does not say it, or not one of yours.", "+15551112222"
        ),
        "region": told("The country (ISO 3166) of numbers without a plus sign.", "US"),
    },
    SmsgateQuerySchema: {
        "sim1": told("Your number of the SIM with `simNumber` 1."),
        "sim2": told("Your number of the SIM with `simNumber` 2."),
    },
    TwilioSchema: {
        "id": told(example="SM0123456789abcdef0123456789abcdef"),
        "contact_number": told(example="+15554443333"),
        "own_number": told(example="+15551112222"),
        "text": told(example="See you at noon"),
        "segment_count": told(example="1"),
        "media_count": told(example="0"),
        "status": told("`received`", "received"),
        "opt_out_type": told("`STOP` or `START`, if Twilio itself took the text for one."),
    },
    TelnyxReceivedSchema: {
        "event": told(example="message.received"),
        "id": told(example="84cca175-9755-4859-b67f-4730d7f58aa3"),
        "type": told(example="SMS"),
        "recipients": told(
            example=[{"phone_number": "+15551112222", "status": "webhook_delivered"}]
        ),
        "copies": told(example=[]),
        "text": told(example="See you at noon"),
        "media": told(example=[]),
        "segment_count": told(example=1),
        "verdict": told("`STOP` or `START`, if Telnyx itself took the text for one."),
        "contact_number": told(example="+15554443333"),
        "received_at": told(example="2026-04-28T12:00:01Z"),
    },
    SmsgateSchema: {
        "event": told(example="sms:received"),
        "contact_number": told(example="+15554443333"),
        "own_number": told(
            "Often null: then `sim1` and `sim2`, or `number`, are parameters.", "+15551112222"
        ),
        "sim": told(example=1),
        "at": told(example="2026-04-28T12:00:01.000Z"),
        "text": told(example="See you at noon"),
    },
    HttpsmsSchema: {
        "event": told(example="message.phone.received"),
        "id": told(example="32343a19-da5e-4b1b-a767-3298a73703cb"),
        "own_number": told(example="+15551112222"),
        "contact_number": told(example="+15554443333"),
        "text": told(example="See you at noon"),
        "is_encrypted": told(example=False),
        "attachments": told(example=[]),
        "at": told(example="2026-04-28T12:00:01Z"),
    },
}

for _schema, _words in WORDS.items():
    if _unknown := _words.keys() - _schema().fields.keys():
        raise LookupError(f"{_schema.__name__} has no field {', '.join(_unknown)}")


def describe(field: fields.Strict) -> Json:
    """Return what the document says of a field of a request."""
    if isinstance(field, fields.Choice):
        described = json_schemas.choice(*field.choices)
    else:
        described = next(TYPES[base] for base in type(field).__mro__ if base in TYPES)
    for schema in type(field.parent).__mro__:
        if field.name in WORDS.get(schema, {}):
            return described | WORDS[schema][field.name]
    return described
