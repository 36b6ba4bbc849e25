"""What several test files expect of the service, said once."""

# The complaint of each parameter of GET /v1/conversations.
COMPLAINTS = {
    "cursor": "must be a next_cursor of an earlier answer",
    "limit": "must be 1..200",
    "phone_number_id": "must be a UUID",
    "contact_number": "must be E.164",
    "since": "must be an RFC 3339 date-time with an offset",
    "opted_in": "must be true or false",
}

# The two conversations of the demo inbox that the documents show, without their ids.
PAGE_EXAMPLE = [
    {
        "phone_number_id": "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
        "phone_number": "+15551112222",
        "contact_number": "+15554443333",
        "last_message_at": "2026-04-28T12:00:01Z",
        "last_message_direction": "inbound",
        "last_message_preview": "Cancel my appointment please",
        "last_message_body_redacted_at": None,
        "message_count": 14,
        "consent": {"opted_in": True, "opted_in_at": "2026-04-01T09:00:00Z"},
    },
    {
        "phone_number_id": "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
        "phone_number": "+15551112222",
        "contact_number": "+15558889999",
        "last_message_at": "2026-01-10T08:00:00Z",
        "last_message_direction": "outbound",
        "last_message_preview": "[redacted]",
        "last_message_body_redacted_at": "2026-04-10T03:11:42Z",
        "message_count": 6,
        "consent": None,
    },
]
