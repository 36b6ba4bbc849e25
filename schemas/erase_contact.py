"""POST /v1/contacts/{contact_number}/erase: the query parameters."""

from schemas.base import QuerySchema


class EraseContactSchema(QuerySchema):
    """No parameter at all: one that was ignored, such as a phone number, would erase too much."""
