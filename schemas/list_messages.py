"""GET /v1/conversations/{id}/messages: the arguments."""

from schemas.base import QuerySchema
from schemas.fields import Cursor, Limit


class ListMessagesSchema(QuerySchema):
    """The query parameters; both are optional."""

    cursor = Cursor(
        load_default=(None, None), description="The `meta.next_cursor` of the page before."
    )
    limit = Limit(load_default=50, description="Rows of a page.")
