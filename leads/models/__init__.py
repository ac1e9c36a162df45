"""The CRM's tables: people, their pipeline, their history. One concern a module."""

from leads.models.activity import Activity
from leads.models.call import Call, CallDirection, CallStatus
from leads.models.campaign import Campaign, CampaignAgent, CampaignStatus
from leads.models.customer import Customer
from leads.models.deletion import Deletion
from leads.models.external_id import ExternalId
from leads.models.follow_up import FollowUp, FollowUpStatus
from leads.models.lead import Lead, PaymentStatus
from leads.models.note import Note
from leads.models.second_factor import SecondFactor
from leads.models.status import LeadStatus, StatusRole
from leads.models.tag import LeadTag, Tag
from leads.models.user import Role, User

__all__ = [
    "Activity",
    "Call",
    "CallDirection",
    "CallStatus",
    "Campaign",
    "CampaignAgent",
    "CampaignStatus",
    "Customer",
    "Deletion",
    "ExternalId",
    "FollowUp",
    "FollowUpStatus",
    "Lead",
    "LeadStatus",
    "LeadTag",
    "Note",
    "PaymentStatus",
    "Role",
    "SecondFactor",
    "StatusRole",
    "Tag",
    "User",
]
