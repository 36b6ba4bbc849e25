"""GET /v1/phone-numbers: the query parameters."""

from schemas.base import PageSchema


class ListPhoneNumbersSchema(PageSchema):
    """The query parameters; all are optional."""
