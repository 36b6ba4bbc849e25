"""What comes in, checked strictly, and what goes out, for the documentation and the tests."""

from schemas.create_message import CreateMessageSchema
from schemas.erase_contact import EraseContactSchema
from schemas.list_consent import ListConsentSchema
from schemas.list_conversations import ListConversationsSchema
from schemas.list_messages import ListMessagesSchema
from schemas.list_phone_numbers import ListPhoneNumbersSchema
from schemas.record_consent import RecordConsentSchema

__all__ = [
    "CreateMessageSchema",
    "EraseContactSchema",
    "ListConsentSchema",
    "ListConversationsSchema",
    "ListMessagesSchema",
    "ListPhoneNumbersSchema",
    "RecordConsentSchema",
]
