"""GET /v1/conversations: the arguments and the row."""

from schemas.base import QuerySchema
from schemas.fields import Cursor, Limit, QueryFlag, QueryInstant, QueryPhoneNumber, Uuid


class ListConversationsSchema(QuerySchema):
    """The query parameters of the page; all are optional and combine with AND."""

    cursor = Cursor(
        load_default=(None, None),
        description="The `meta.next_cursor` of the page before. The filters may change in between.",
    )
    limit = Limit(load_default=50, description="Rows of a page.")
    phone_number_id = Uuid(load_default=None, description="Only those of this number of yours.")
    contact_number = QueryPhoneNumber(
        load_default=None,
        description="Only those with this contact, an E.164 number or a short code.",
    )
    since = QueryInstant(
        load_default=None,
        description="Only those with `last_message_at` at this instant or later.",
    )
    opted_in = QueryFlag(
        load_default=None,
        description="`true`: only those whose consent on record says yes. "
        "`false`: all others, those without one included.",
    )
