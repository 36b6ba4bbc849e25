"""GET /v1/conversations: the arguments and the row."""

from schemas.base import QuerySchema
from schemas.fields import Cursor, Limit, QueryFlag, QueryInstant, QueryPhoneNumber, Uuid


class ListConversationsSchema(QuerySchema):
    """The query parameters of the page; all are optional and combine with AND."""

    cursor = Cursor(load_default=(None, None))
    limit = Limit(load_default=50)
    phone_number_id = Uuid(load_default=None)
    contact_number = QueryPhoneNumber(load_default=None)
    since = QueryInstant(load_default=None)
    opted_in = QueryFlag(load_default=None)
