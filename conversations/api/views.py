"""The blueprint `v1`: a request is authenticated, its arguments are checked, a query answers it."""

from typing import cast
from uuid import UUID

from flask import Blueprint, Response, request
from marshmallow import ValidationError

from conversations.api.auth import authenticate, note_use
from conversations.api.content import json_object
from conversations.api.context import current_key
from conversations.api.envelope import ApiError, success
from conversations.api.pages import not_modified_response, page_response
from conversations.database import queries
from conversations.inbox import consent, messages, organizations, retention
from schemas.base import PageSchema, QuerySchema, RequestSchema
from schemas.create_message import CreateMessageSchema
from schemas.fields import PhoneNumber, decode_base64url
from schemas.list_consent import ListConsentSchema
from schemas.list_conversations import ListConversationsSchema
from schemas.list_messages import ListMessagesSchema
from schemas.numbers import PHONE_NUMBER
from schemas.record_consent import RecordConsentSchema

CREATE_MESSAGE = CreateMessageSchema()
LIST_CONSENT = ListConsentSchema()
LIST_CONVERSATIONS = ListConversationsSchema()
LIST_MESSAGES = ListMessagesSchema()
LIST_PHONE_NUMBERS = PageSchema()
# What would be ignored, such as the id of a phone number, would erase more than was meant.
NO_PARAMETERS = QuerySchema()
NO_FIELDS = RequestSchema()
RECORD_CONSENT = RecordConsentSchema()

v1 = Blueprint("v1", __name__, url_prefix="/v1")
v1.before_request(authenticate)
v1.after_request(note_use)


def list_page(name: str, schema: PageSchema, **params: UUID) -> Response:
    """Return one page of the list that the query `name` makes for the key's organization.

    Returns a 304 if the client has this page already. Raises ValidationError, pool.Unavailable.
    """
    args = schema.check_query(request.args)
    if not_modified := not_modified_response():
        return not_modified
    organization_id = current_key().organization_id
    page = queries.fetch_page(name, organization_id=organization_id, **params, **args)
    return page_response(page, args["limit"])


@v1.get("/conversations")
def list_conversations() -> Response:
    """Return one page of the organization's conversations, newest first."""
    return list_page("list_conversations", LIST_CONVERSATIONS)


@v1.get("/conversations/<id>/messages")
def list_messages(id: str) -> Response:
    """Return one page of a conversation's messages, oldest first unless asked otherwise."""
    try:
        conversation_id = UUID(bytes=decode_base64url(id, 16))
    except ValueError:
        raise ApiError(400, {"id": "must be the id of a conversation"}) from None
    return list_page("list_messages", LIST_MESSAGES, conversation_id=conversation_id)


@v1.post("/messages")
def create_message() -> Response:
    """Record one message; the same message again changes nothing."""
    organization_id = current_key().organization_id
    given = CREATE_MESSAGE.check(json_object())
    ends = [given["from_number"], given["to_number"]]
    numbers = organizations.find_phone_numbers(organization_id, numbers=ends)
    message = messages.complete_message(given, numbers)
    outcome, stored = messages.record_message(organization_id, message)
    if outcome is messages.Outcome.CONFLICT:
        raise ApiError(409, {"id": "belongs to a message with other content"})
    return success(stored, status=201 if outcome is messages.Outcome.CREATED else 200)


@v1.post("/consent")
def record_consent() -> Response:
    """Record one consent event and return what is then on record."""
    organization_id = current_key().organization_id
    event = RECORD_CONSENT.check(json_object())
    numbers = organizations.find_phone_numbers(organization_id, ids=[event["phone_number_id"]])
    if not numbers:
        raise ValidationError({"phone_number_id": organizations.NOT_YOURS})
    (event["phone_number"],) = numbers
    consents, _ = consent.record_consent(organization_id, [cast(consent.ConsentEvent, event)])
    return success(consents[0])


@v1.get("/consent")
def list_consent() -> Response:
    """Return one page of what is on record, most recently updated first."""
    return list_page("list_consent", LIST_CONSENT)


@v1.get("/phone-numbers")
def list_phone_numbers() -> Response:
    """Return one page of the organization's phone numbers, oldest first."""
    return list_page("list_phone_numbers", LIST_PHONE_NUMBERS)


@v1.post("/contacts/<contact_number>/erase")
def erase_contact(contact_number: str) -> Response:
    """Remove all bodies and media exchanged with one contact; again, there is nothing left."""
    fields = json_object(may_be_empty=True)
    if not PHONE_NUMBER.fullmatch(contact_number):
        raise ApiError(400, {"contact_number": PhoneNumber.complaint})
    NO_PARAMETERS.check_query(request.args)
    NO_FIELDS.check(fields)
    redacted = retention.erase_contact(current_key().organization_id, contact_number)
    return success({"contact_number": contact_number, "messages_redacted": redacted})
