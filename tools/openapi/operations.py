"""What each view does, in words and schemas, for the OpenAPI document."""

from typing import Any, NamedTuple

from marshmallow import Schema

from conversations.api.hooks.httpsms import HttpsmsSchema
from conversations.api.hooks.smsgate import SmsgateSchema
from conversations.api.hooks.telnyx import TelnyxReceivedSchema
from conversations.api.hooks.twilio import TwilioSchema
from schemas.base import PageSchema
from schemas.create_message import CreateMessageSchema
from schemas.hooks import HookQuerySchema, SmsgateQuerySchema
from schemas.list_consent import ListConsentSchema
from schemas.list_conversations import ListConversationsSchema
from schemas.list_messages import ListMessagesSchema
from schemas.record_consent import RecordConsentSchema
from tools.openapi import json_schemas, responses
from tools.openapi.json_schemas import Json, told

PAGES = """

Pass `meta.next_cursor` as `cursor` to get the next page, until it is null; the `Link` header \
names the same page. Send the `ETag` back as `If-None-Match` to poll: while nothing has changed \
the response is a 304 without a body."""

IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The `ETag` of the response that you have.",
    "schema": json_schemas.TEXT,
}
CONVERSATION = {
    "in": "path",
    "name": "id",
    "required": True,
    "description": "The `id` of a conversation, as it was listed.",
    "schema": json_schemas.CONVERSATION_ID | told(example="JxHXrXXWLcV-S1QSpzzy4Q"),
}
CONTACT = {
    "in": "path",
    "name": "contact_number",
    "required": True,
    "description": "The number of the contact. A plus sign may be sent as it is or as `%2B`.",
    "schema": json_schemas.PHONE_NUMBER | told(example="+15554443333"),
}


class Operation(NamedTuple):
    """What a view does, in words and schemas; its path, method and scope are the route's."""

    tag: str
    summary: str
    description: str
    answers: dict[int, tuple[str, type[Schema] | str | None]]
    errors: tuple[int, ...] = ()
    query: type[Schema] | None = None
    body: type[Schema] | None = None
    parameters: tuple[Json, ...] = ()
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    is_hook: bool = False


def hook(carrier: str, body: type[Schema], **fields: Any) -> Operation:
    """Return the operation of a hook."""
    return Operation(
        "Hooks",
        f"Record what {carrier} reports",
        f"{carrier} calls this itself. What is not recorded, such as a status of delivery, is "
        "answered with 200 too, and the log says why. The same call again changes nothing. Fields "
        "that are not described here are ignored."
        "\n\nThe key may also be the parameter `key`, if `messages:write` is its only scope, or "
        "the password of Basic.",
        fields.pop("answers", {200: ("What was done.", responses.HookResponseSchema)}),
        errors=(400, 413, 415, 422),
        query=fields.pop("query", HookQuerySchema),
        body=body,
        is_hook=True,
        **fields,
    )


OPERATIONS = {
    "list_conversations": Operation(
        "Conversations",
        "List conversations",
        "The conversations of your numbers, newest first. Filters combine with AND." + PAGES,
        {
            200: ("A page of conversations.", responses.ListConversationsResponseSchema),
            304: ("You have this response already.", None),
        },
        errors=(422,),
        query=ListConversationsSchema,
        headers=("ETag", "Link"),
    ),
    "list_messages": Operation(
        "Conversations",
        "List a conversation's messages",
        "The messages of one conversation, oldest first, or newest first with `order=desc`."
        + PAGES,
        {
            200: ("A page of messages.", responses.ListMessagesResponseSchema),
            304: ("You have this response already.", None),
        },
        errors=(400, 404, 422),
        query=ListMessagesSchema,
        parameters=(CONVERSATION,),
        headers=("ETag", "Link"),
    ),
    "create_message": Operation(
        "Messages",
        "Record a message",
        "Record a message that was sent or received elsewhere; nothing is sent. An inbound "
        "message whose whole text is a keyword such as STOP or START also records consent.",
        {
            201: ("The message, recorded now.", responses.CreateMessageResponseSchema),
            200: ("The message, recorded before.", responses.CreateMessageResponseSchema),
        },
        errors=(400, 409, 413, 415, 422),
        body=CreateMessageSchema,
    ),
    "record_consent": Operation(
        "Consent",
        "Record consent",
        "Record that a contact opted in or out. Events may come in any order: the latest of each "
        "kind counts, and an opt-out wins over an opt-in at the same instant.",
        {200: ("What is now on record.", responses.RecordConsentResponseSchema)},
        errors=(400, 413, 415, 422),
        body=RecordConsentSchema,
    ),
    "list_consent": Operation(
        "Consent",
        "List consent",
        "What is on record: a row for each pair of number and contact, with or without messages, "
        "the one that changed last first. Filters combine with AND." + PAGES,
        {
            200: ("A page of consent records.", responses.ListConsentResponseSchema),
            304: ("You have this response already.", None),
        },
        errors=(422,),
        query=ListConsentSchema,
        headers=("ETag", "Link"),
    ),
    "list_phone_numbers": Operation(
        "Phone numbers",
        "List your phone numbers",
        "The numbers of your organization, oldest first." + PAGES,
        {
            200: ("A page of phone numbers.", responses.ListPhoneNumbersResponseSchema),
            304: ("You have this response already.", None),
        },
        errors=(422,),
        query=PageSchema,
        headers=("ETag", "Link"),
    ),
    "erase_contact": Operation(
        "Messages",
        "Erase a contact",
        "Remove all texts and media that you exchanged with a contact, on any of your numbers. "
        "Messages keep their instants, and consent stays. There is no way back. Safe to repeat.",
        {200: ("How many messages were redacted now.", responses.EraseContactResponseSchema)},
        errors=(400, 413, 415, 422),
        parameters=(CONTACT,),
    ),
    "receive_twilio": hook(
        "Twilio",
        TwilioSchema,
        answers={200: ("An empty TwiML document, recorded or not.", "text/xml")},
        media_type="application/x-www-form-urlencoded",
    ),
    "receive_telnyx": hook("Telnyx", TelnyxReceivedSchema),
    "receive_smsgate": hook("SMSGate", SmsgateSchema, query=SmsgateQuerySchema),
    "receive_httpsms": hook("httpSMS", HttpsmsSchema),
    "livez": Operation(
        "Service",
        "Is the process alive",
        "Never touches the database.",
        {200: ("It is.", responses.LivezResponseSchema)},
        errors=(500,),
    ),
    "readyz": Operation(
        "Service",
        "Is the service ready",
        "Asks the database.",
        {200: ("It is.", responses.ReadyzResponseSchema)},
        errors=(500, 503),
    ),
    "show_openapi": Operation(
        "Service", "This document", "", {200: ("OpenAPI 3.1.", "application/json")}
    ),
    "show_docs": Operation(
        "Service", "This document as a page", "", {200: ("The page.", "text/html")}
    ),
    "show_inbox": Operation(
        "Service",
        "The inbox as a page",
        "The page asks for a key and shows the inbox of that key. It changes nothing.",
        {200: ("The page.", "text/html")},
    ),
    "show_start": Operation(
        "Service", "The way to the inbox", "", {302: ("To `inbox`.", None)}, headers=("Location",)
    ),
}
