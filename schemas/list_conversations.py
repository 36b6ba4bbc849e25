"""GET /v1/conversations: the query parameters."""

from schemas.base import PageSchema
from schemas.fields import QueryFlag, QueryInstant, QueryPhoneNumber, Uuid


class ListConversationsSchema(PageSchema):
    """The query parameters; all are optional and combine with AND."""

    phone_number_id = Uuid(load_default=None, description="Only those of this number of yours.")
    contact_number = QueryPhoneNumber(
        load_default=None,
        description="Only those with this contact: E.164, a short code or a sender ID.",
    )
    since = QueryInstant(
        load_default=None, description="Only those with `last_message_at` at this instant or later."
    )
    opted_in = QueryFlag(
        load_default=None,
        description="`true`: only those whose consent on record says yes. "
        "`false`: all others, those without one included.",
    )
