"""GET /v1/conversations: the query parameters."""

from schemas.base import PageSchema
from schemas.fields import QueryFlag, QueryInstant, QueryPhoneNumber, Uuid


class ListConversationsSchema(PageSchema):
    """The query parameters; all are optional and combine with AND."""

    phone_number_id = Uuid(load_default=None)
    contact_number = QueryPhoneNumber(load_default=None)
    since = QueryInstant(load_default=None)
    opted_in = QueryFlag(load_default=None)
