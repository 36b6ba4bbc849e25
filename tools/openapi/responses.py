"""The responses, as the OpenAPI document describes them and the tests check them.

The service serializes nothing through these schemas: the queries name the fields of a response.
"""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from tools.openapi.json_schemas import (
    BOOLEAN,
    CONVERSATION_ID,
    COUNT,
    CURSOR,
    INSTANT,
    MEDIA_URLS,
    PHONE_NUMBER,
    REQUEST_ID,
    TEXT,
    UUID,
    Json,
    choice,
    told,
)


class Value(fields.Field[Any]):
    """A value that never comes in and so needs no check, only a description."""

    def __init__(
        self, json_schema: Json, *, description: str = "", example: Any = None, **kwargs: Any
    ):
        super().__init__(metadata=json_schema | told(description, example), **kwargs)


class PartSchema(Schema):
    """A part of a response: all of its fields are there, but for the `optional` ones."""

    optional: tuple[str, ...] = ()

    class Meta:
        """A later version may say more."""

        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Make every other field required."""
        field_obj.required = field_name not in self.optional


class ConversationConsentSchema(PartSchema):
    """The consent of a conversation's contact."""

    opted_in = Value(BOOLEAN, description="Whether the contact may be messaged.", example=True)
    opted_in_at = Value(
        INSTANT,
        allow_none=True,
        description="Their latest opt-in, kept after an opt-out; null if they never opted in.",
        example="2026-04-01T09:00:00Z",
    )


class ConversationSchema(PartSchema):
    """A row of list_conversations."""

    id = Value(
        CONVERSATION_ID,
        description="Made of the number and the contact alone, so it never changes.",
        example="JxHXrXXWLcV-S1QSpzzy4Q",
    )
    phone_number_id = Value(
        UUID, description="The id of your number.", example="7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"
    )
    phone_number = Value(PHONE_NUMBER, description="Your number.", example="+15551112222")
    contact_number = Value(
        PHONE_NUMBER,
        description="The other end: E.164, a short code or a sender ID.",
        example="+15554443333",
    )
    last_message_at = Value(
        INSTANT,
        description="When the newest message was exchanged.",
        example="2026-04-28T12:00:01Z",
    )
    last_message_direction = Value(
        choice("inbound", "outbound"),
        description="`inbound` if the contact sent the newest message.",
        example="inbound",
    )
    last_message_preview = Value(
        TEXT,
        description="The newest message's text. Longer than 160 characters: the first 159 and `…`. "
        "Removed: `[redacted]`. A picture without a text: `[media]`.",
        example="Cancel my appointment please",
    )
    last_message_body_redacted_at = Value(
        INSTANT, allow_none=True, description="When the newest message's text was removed, or null."
    )
    message_count = Value(
        COUNT, description="All messages, those whose text was removed included.", example=14
    )
    consent = fields.Nested(
        ConversationConsentSchema,
        allow_none=True,
        metadata={"description": "null when nothing is on record for this number and contact."},
    )


class MessageSchema(PartSchema):
    """A row of list_messages, and the response of create_message."""

    id = Value(UUID, example="bdd55998-e070-514e-bdff-f5f510db3346")
    direction = Value(choice("inbound", "outbound"), example="outbound")
    phone_number_id = Value(
        UUID, description="The id of your number.", example="7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"
    )
    from_number = Value(PHONE_NUMBER, example="+15551112222")
    to_number = Value(PHONE_NUMBER, example="+15554443333")
    body = Value(
        TEXT,
        allow_none=True,
        description="null when the text was removed, or there was none.",
        example="Hi Jonas, this is Brightside Dental. Your crown has arrived; "
        "when can you come in?",
    )
    media_urls = Value(MEDIA_URLS, description="Empty when they were removed.", example=[])
    channel = Value(choice("sms", "mms"), example="sms")
    segment_count = Value(
        COUNT, allow_none=True, description="null when the source did not say.", example=1
    )
    created_at = Value(INSTANT, example="2026-03-02T09:00:00Z")
    redacted_at = Value(
        INSTANT, allow_none=True, description="When text and media were removed, or null."
    )


class ConsentSchema(PartSchema):
    """A row of list_consent, and the response of record_consent."""

    phone_number_id = Value(UUID, example="7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e")
    phone_number = Value(PHONE_NUMBER, example="+15551112222")
    contact_number = Value(PHONE_NUMBER, example="+15554443333")
    opted_in = Value(
        BOOLEAN,
        description="Whether the latest opt-in is later than the latest opt-out.",
        example=True,
    )
    opted_in_at = Value(
        INSTANT,
        allow_none=True,
        description="The latest opt-in, or null.",
        example="2026-04-01T09:00:00Z",
    )
    opted_out_at = Value(INSTANT, allow_none=True, description="The latest opt-out, or null.")
    updated_at = Value(
        INSTANT, description="When this record last changed.", example="2026-04-01T09:00:00.250000Z"
    )


class PhoneNumberSchema(PartSchema):
    """A row of list_phone_numbers."""

    id = Value(
        UUID,
        description="The `phone_number_id` of other calls.",
        example="7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
    )
    phone_number = Value(PHONE_NUMBER, example="+15551112222")
    created_at = Value(
        INSTANT, description="When the number was added.", example="2026-04-01T08:00:00.250000Z"
    )


class ErasureSchema(PartSchema):
    """The response of erase_contact."""

    contact_number = Value(PHONE_NUMBER, example="+15554443333")
    messages_redacted = Value(
        COUNT, description="Messages whose text or media were removed by this call.", example=14
    )


class ListMetaSchema(PartSchema):
    """What a page says of the whole list."""

    total = Value(
        COUNT,
        description="How many match the filters over all pages; the cursor does not change it.",
    )
    limit = Value(COUNT, description="The page size that was asked for.")
    offset = Value({"const": 0}, description="Always 0: a page is found by its cursor.")
    next_cursor = Value(
        CURSOR,
        allow_none=True,
        description="The `cursor` of the next page; null exactly when nothing follows.",
    )


def first_of(total: int, next_cursor: str) -> Json:
    """Return the meta of a first page of one row."""
    return {"total": total, "limit": 1, "offset": 0, "next_cursor": next_cursor}


class HealthSchema(PartSchema):
    """The response of livez."""

    status = Value({"const": "ok"})


class ReadinessSchema(HealthSchema):
    """The response of readyz."""

    optional = ("replica_lag_bytes",)

    schema_version = Value(
        TEXT,
        description="The newest migration that this version brings.",
        example="0001_create_organizations",
    )
    last_redaction_at = Value(
        INSTANT,
        allow_none=True,
        description="When `flask redact-messages` last ran for an organization that has a "
        "retention window, or null.",
    )
    redaction_is_overdue = Value(
        BOOLEAN,
        description="Whether one of those has waited for it longer than 26 hours.",
        example=False,
    )
    clock_skew_seconds = Value(
        {"type": "number"},
        description="By how much the clock of the service is ahead of PostgreSQL's.",
        example=0.001,
    )
    replica_lag_bytes = Value(
        COUNT,
        description="How much write-ahead log the replica has yet to apply; only where there is "
        "a replica.",
    )


class ErrorSchema(PartSchema):
    """What went wrong."""

    optional: tuple[str, ...] = ("details",)

    code = Value(TEXT, description="For programs.")
    message = Value(TEXT, description="For people.")
    request_id = Value(
        REQUEST_ID,
        description="Also the `X-Request-Id` header; the log has it too.",
        example="01JTBQH2FZ8K1RXC0WJ4Z9P3VM",
    )
    details = fields.Dict(
        keys=fields.String(),
        values=Value(TEXT),
        metadata={"description": "One sentence for each parameter or field that was refused."},
    )


class ValidationErrorSchema(ErrorSchema):
    """What went wrong, and where."""

    optional = ()


class FailureSchema(PartSchema):
    """The envelope of an error."""

    success = Value({"const": False})
    error = fields.Nested(ErrorSchema)


class ValidationFailureSchema(FailureSchema):
    """The envelope of a 422."""

    error = fields.Nested(ValidationErrorSchema)


class Envelope(PartSchema):
    """The envelope of everything else; `data` is the subclass's."""

    success = Value({"const": True})


class ListConversationsResponseSchema(Envelope):
    """A page of conversations."""

    data = fields.List(fields.Nested(ConversationSchema))
    meta = fields.Nested(
        ListMetaSchema, metadata={"examples": [first_of(8, "AAZQg_iKEkAnEdetddYtxX5LVBKnPPLh")]}
    )


class ListMessagesResponseSchema(Envelope):
    """A page of messages."""

    data = fields.List(fields.Nested(MessageSchema))
    meta = fields.Nested(
        ListMetaSchema, metadata={"examples": [first_of(14, "AAZMBs_LhAC91VmY4HBRTr3_9fUQ2zNG")]}
    )


class CreateMessageResponseSchema(Envelope):
    """The message as it is stored."""

    data = fields.Nested(MessageSchema)


class RecordConsentResponseSchema(Envelope):
    """The consent as it is stored."""

    data = fields.Nested(ConsentSchema)


class ListConsentResponseSchema(Envelope):
    """A page of consent records."""

    data = fields.List(fields.Nested(ConsentSchema))
    meta = fields.Nested(
        ListMetaSchema, metadata={"examples": [first_of(2, "AAZOYk8MlJAnEdetddYtxX5LVBKnPPLh")]}
    )


class ListPhoneNumbersResponseSchema(Envelope):
    """A page of phone numbers."""

    data = fields.List(fields.Nested(PhoneNumberSchema))
    meta = fields.Nested(
        ListMetaSchema, metadata={"examples": [first_of(2, "AAZOYXh48JB8HwotnotMOp0uHworPE1e")]}
    )


class EraseContactResponseSchema(Envelope):
    """What was erased."""

    data = fields.Nested(ErasureSchema)


class HookCountsSchema(PartSchema):
    """What became of the messages of one call."""

    recorded = Value(COUNT, description="Messages that are new.", example=1)
    already_there = Value(COUNT, description="Messages that were recorded before.", example=0)
    skipped = Value(COUNT, description="What is not recorded; the log says why.", example=0)


class HookResponseSchema(Envelope):
    """What was done."""

    data = fields.Nested(HookCountsSchema)


class LivezResponseSchema(Envelope):
    """The process responds."""

    data = fields.Nested(HealthSchema)


class ReadyzResponseSchema(Envelope):
    """The database responds too."""

    data = fields.Nested(ReadinessSchema)
