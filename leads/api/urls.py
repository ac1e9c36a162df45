"""The addresses of the CRM's resources, below `/public/`."""

from django.urls import re_path

from calliyo.api.views import PublicRouter
from leads.api.batch import LeadBatchView
from leads.api.calls import CallViewSet
from leads.api.campaigns import CampaignViewSet
from leads.api.customers import CustomerViewSet
from leads.api.follow_ups import FollowUpViewSet
from leads.api.leads import LeadViewSet
from leads.api.notes import NoteViewSet
from leads.api.statuses import LeadStatusViewSet
from leads.api.tags import TagViewSet
from leads.api.users import UserViewSet

router = PublicRouter()
for viewset in (
    LeadViewSet,
    CustomerViewSet,
    UserViewSet,
    LeadStatusViewSet,
    TagViewSet,
    FollowUpViewSet,
    NoteViewSet,
    CallViewSet,
    CampaignViewSet,
):
    router.register(viewset.resource.value, viewset, basename=viewset.resource.value)

urlpatterns = [
    re_path(r"^leads/batch/?$", LeadBatchView.as_view(), name="leads-batch"),  # before `leads/{id}`
    *router.urls,
]
