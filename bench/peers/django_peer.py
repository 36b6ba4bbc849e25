"""The list as Django REST Framework has it: a model, a serializer, CursorPagination."""

import base64
import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import models
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["rest_framework"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "OPTIONS": {"pool": {"min_size": 4, "max_size": 4}},
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework import generics, pagination, serializers  # noqa: E402


class PhoneNumber(models.Model):
    id = models.UUIDField(primary_key=True)
    number = models.TextField()

    class Meta:
        app_label = "peer"
        db_table = "phone_numbers"
        managed = False


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    phone_number = models.ForeignKey(PhoneNumber, on_delete=models.DO_NOTHING)
    contact_number = models.TextField()
    opted_in_at = models.DateTimeField(null=True)
    opted_out_at = models.DateTimeField(null=True)
    opted_in = models.BooleanField()
    last_message_at = models.DateTimeField(null=True)
    last_message_direction = models.TextField(null=True)
    last_message_preview = models.TextField(null=True)
    last_message_body_redacted_at = models.DateTimeField(null=True)
    message_count = models.BigIntegerField()

    class Meta:
        app_label = "peer"
        db_table = "conversations"
        managed = False


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.SerializerMethodField()
    phone_number_id = serializers.UUIDField()
    phone_number = serializers.CharField(source="phone_number.number")
    last_message_preview = serializers.SerializerMethodField()
    consent = serializers.SerializerMethodField()

    class Meta:
        model = Conversation
        fields = (
            "id",
            "phone_number_id",
            "phone_number",
            "contact_number",
            "last_message_at",
            "last_message_direction",
            "last_message_preview",
            "last_message_body_redacted_at",
            "message_count",
            "consent",
        )

    def get_id(self, row):
        return base64.urlsafe_b64encode(row.id.bytes).rstrip(b"=").decode()

    def get_last_message_preview(self, row):
        if row.last_message_body_redacted_at:
            return "[redacted]"
        return row.last_message_preview or "[media]"

    def get_consent(self, row):
        if row.opted_in_at is None and row.opted_out_at is None:
            return None
        return {"opted_in": row.opted_in, "opted_in_at": row.opted_in_at}


class ConversationPagination(pagination.CursorPagination):
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = ("-last_message_at", "-id")


class ListConversations(generics.ListAPIView):
    queryset = Conversation.objects.select_related("phone_number").filter(
        organization_id=os.environ["ORGANIZATION_ID"]
    )
    serializer_class = ConversationSerializer
    pagination_class = ConversationPagination


urlpatterns = [path("conversations", ListConversations.as_view())]
app = get_wsgi_application()
