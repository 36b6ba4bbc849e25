"""What comes in, checked strictly, and what goes out, for the documentation and the tests."""

from schemas.create_message import CreateMessageSchema
from schemas.list_consent import ListConsentSchema
from schemas.list_conversations import ListConversationsSchema
from schemas.list_messages import ListMessagesSchema
from schemas.record_consent import RecordConsentSchema

__all__ = [
    "CreateMessageSchema",
    "ListConsentSchema",
    "ListConversationsSchema",
    "ListMessagesSchema",
    "RecordConsentSchema",
]
