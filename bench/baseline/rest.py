"""The list as most teams write it: REST framework's `ModelSerializer`, TokenAuthentication, cursor pagination."""

from typing import Any

from rest_framework import serializers
from rest_framework.authentication import TokenAuthentication
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer

from bench.baseline.models import PlainToken
from leads.models import Lead, LeadStatus


class PlainAuthentication(TokenAuthentication):
    keyword = "Bearer"
    model = PlainToken


class PlainPagination(CursorPagination):
    page_size = 50
    ordering = "-id"


class PlainStatusSerializer(serializers.ModelSerializer[LeadStatus]):
    class Meta:
        model = LeadStatus
        fields = ["id", "name"]


COLUMNS = [
    "id", "version", "first_name", "last_name", "phone", "email", "status", "owner_id", "campaign_id", "source",
    "created_at", "updated_at", "converted_at",
]  # fmt: skip


class FlatLeadSerializer(serializers.ModelSerializer[Lead]):
    class Meta:
        model = Lead
        fields = COLUMNS


class LeadSerializer(FlatLeadSerializer):
    status: Any = PlainStatusSerializer()
    tags: Any = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)

    class Meta(FlatLeadSerializer.Meta):
        fields = [*COLUMNS, "tags"]


class PlainList(ListAPIView[Lead]):
    """What Calliyo's list shows: the status with its name, the tags."""

    queryset = Lead.objects.select_related("status").prefetch_related("tags")
    serializer_class: Any = LeadSerializer
    authentication_classes = [PlainAuthentication]
    permission_classes = [IsAuthenticated]
    throttle_classes = []
    pagination_class = PlainPagination
    renderer_classes = [JSONRenderer]


class FlatList(PlainList):
    """The columns of one table, and nothing that is looked up elsewhere."""

    queryset = Lead.objects.all()
    serializer_class = FlatLeadSerializer
