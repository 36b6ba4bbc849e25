"""GET /v1/conversations/{id}/messages: the query parameters."""

from schemas.base import PageSchema
from schemas.fields import Choice


class ListMessagesSchema(PageSchema):
    """The query parameters; all are optional."""

    order = Choice("asc", "desc", load_default="asc")
