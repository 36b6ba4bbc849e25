"""GET /v1/consent: the query parameters."""

from schemas.base import PageSchema
from schemas.fields import QueryFlag, QueryInstant, QueryPhoneNumber, Uuid


class ListConsentSchema(PageSchema):
    """The query parameters; all are optional and combine with AND."""

    phone_number_id = Uuid(load_default=None, description="Only those for this number of yours.")
    contact_number = QueryPhoneNumber(load_default=None, description="Only those of this contact.")
    since = QueryInstant(
        load_default=None, description="Only those with `updated_at` at this instant or later."
    )
    opted_in = QueryFlag(
        load_default=None,
        description="`true`: only those that say yes. `false`: only those that do not.",
    )
