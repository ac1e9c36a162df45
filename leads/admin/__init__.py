"""The CRM's pages in the admin, one module a resource. Every save goes through the operations."""

from leads.admin.activity import ActivityAdmin
from leads.admin.call import CallAdmin
from leads.admin.campaign import CampaignAdmin
from leads.admin.customer import CustomerAdmin
from leads.admin.deletion import DeletionAdmin
from leads.admin.external_id import ExternalIdAdmin
from leads.admin.follow_up import FollowUpAdmin
from leads.admin.lead import LeadAdmin
from leads.admin.note import NoteAdmin
from leads.admin.status import LeadStatusAdmin
from leads.admin.tag import TagAdmin
from leads.admin.user import UserAdmin

__all__ = [
    "ActivityAdmin",
    "CallAdmin",
    "CampaignAdmin",
    "CustomerAdmin",
    "DeletionAdmin",
    "ExternalIdAdmin",
    "FollowUpAdmin",
    "LeadAdmin",
    "LeadStatusAdmin",
    "NoteAdmin",
    "TagAdmin",
    "UserAdmin",
]
