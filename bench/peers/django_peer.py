"""The list as Django REST Framework has it: models, an authentication class, a serializer."""

import os
import time
from uuid import UUID

import django
from common import (
    ORGANIZATION_ID,
    SCOPE,
    decode_cursor,
    encode_cursor,
    encode_id,
    hash_key,
    log_request,
    new_request_id,
)
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.wsgi import get_wsgi_application
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Now
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    TIME_ZONE="UTC",
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=[f"{__name__}.request_log"],
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

from rest_framework import (  # noqa: E402
    authentication,
    exceptions,
    generics,
    pagination,
    permissions,
    serializers,
)
from rest_framework.response import Response  # noqa: E402


def request_log(get_response):
    """Send a request id along and write one log line."""

    def middleware(request):
        started, request_id = time.perf_counter(), new_request_id()
        response = get_response(request)
        response["X-Request-Id"] = request_id
        log_request(request_id, request.method, request.path, response.status_code, started)
        return response

    return middleware


class ApiKey(models.Model):
    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    key_hash = models.BinaryField()
    scopes = ArrayField(models.TextField())
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    is_authenticated = True

    class Meta:
        app_label = "peer"
        db_table = "api_keys"
        managed = False


class ConversationCount(models.Model):
    counted_id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    opted_in_count = models.BigIntegerField()
    other_count = models.BigIntegerField()

    class Meta:
        app_label = "peer"
        db_table = "conversation_counts"
        managed = False


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    phone_number_id = models.UUIDField()
    phone_number = models.TextField()
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


class KeyAuthentication(authentication.BaseAuthentication):
    def authenticate(self, request):
        key = ApiKey.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=Now()),
            key_hash=hash_key(request.headers.get("Authorization")),
            revoked_at=None,
        ).first()
        if key is None:
            raise exceptions.AuthenticationFailed
        return key, key

    def authenticate_header(self, request):
        return "Bearer"


class HasScope(permissions.BasePermission):
    def has_permission(self, request, view):
        return SCOPE in request.auth.scopes


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.SerializerMethodField()
    phone_number_id = serializers.UUIDField()
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
        return encode_id(row.id)

    def get_last_message_preview(self, row):
        if row.last_message_body_redacted_at:
            return "[redacted]"
        return "[media]" if row.last_message_preview is None else row.last_message_preview

    def get_consent(self, row):
        if row.opted_in_at is None and row.opted_out_at is None:
            return None
        return {"opted_in": row.opted_in, "opted_in_at": row.opted_in_at}


class ConversationPagination(pagination.BasePagination):
    def paginate_queryset(self, queryset, request, view=None):
        self.limit = int(request.query_params.get("limit", 50))
        self.total = view.count()
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.extra(
                where=["(last_message_at, id) < (%s, %s)"], params=decode_cursor(cursor)
            )
        self.rows = list(queryset.order_by("-last_message_at", "-id")[: self.limit + 1])
        return self.rows[: self.limit]

    def get_paginated_response(self, data):
        next_cursor = None
        if len(self.rows) > self.limit:
            last = self.rows[self.limit - 1]
            next_cursor = encode_cursor(last.last_message_at, last.id)
        meta = {"total": self.total, "limit": self.limit, "offset": 0, "next_cursor": next_cursor}
        return Response({"success": True, "data": data, "meta": meta})


class ListConversationsBare(generics.ListAPIView):
    """Neither the key nor the total: a limit, not the same work."""

    serializer_class = ConversationSerializer
    pagination_class = ConversationPagination

    def get_queryset(self):
        return Conversation.objects.filter(organization_id=ORGANIZATION_ID, message_count__gt=0)

    def count(self):
        return 0


class ListConversations(ListConversationsBare):
    authentication_classes = [KeyAuthentication]
    permission_classes = [HasScope]

    def filter(self, objects):
        given = {"organization_id": self.request.auth.organization_id}
        if phone_number_id := self.request.query_params.get("phone_number_id"):
            given["phone_number_id"] = phone_number_id
        return objects.filter(**given)

    def get_queryset(self):
        queryset = self.filter(Conversation.objects).filter(message_count__gt=0)
        if contact_number := self.request.query_params.get("contact_number"):
            queryset = queryset.filter(contact_number=contact_number)
        return queryset

    def count(self):
        counts = ConversationCount.objects.filter(
            organization_id=self.request.auth.organization_id,
            counted_id=self.request.query_params.get("phone_number_id", UUID(int=0)),
        )
        return int(counts.aggregate(total=Sum(F("opted_in_count") + F("other_count")))["total"])


urlpatterns = [
    path("conversations", ListConversations.as_view()),
    path("bare", ListConversationsBare.as_view()),
]
app = get_wsgi_application()
