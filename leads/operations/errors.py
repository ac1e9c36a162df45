"""What the CRM's rules refuse, each with its stable code. (`StatusProtected` stands with its model.)"""

from calliyo.errors import DomainError


class InvalidName(DomainError):
    """The name is empty or too long."""

    code = "invalid_name"
    field = "name"


class DuplicateName(DomainError):
    """Another one has this name, case ignored; `existing_id` names it."""

    code = "duplicate_name"
    field = "name"


class DuplicatePhone(DomainError):
    """Another lead has the number; `existing_id` names it."""

    code = "duplicate_phone"
    field = "phone"


class DuplicateExternalId(DomainError):
    """The key gave this id to another lead already; `existing_id` names it."""

    code = "duplicate_external_id"
    field = "external_id"


class UnknownTag(DomainError):
    """There is no such tag, and the caller may not create one."""

    code = "unknown_tag"
    field = "tags"


class LeadCapReached(DomainError):
    """The agent would hold more leads than he may; `lead_cap` says how many he may, `room` how many still."""

    code = "lead_cap_reached"
    field = "owner"


class OwnerBanned(DomainError):
    """A banned user is given no work."""

    code = "owner_banned"
    field = "owner"


class NobodyToAssign(DomainError):
    """Leads can't be spread over nobody."""

    code = "no_agents"
    field = "owner"


class StatusInUse(DomainError):
    """The status has leads, so it goes only with a word on where they go; `leads` says how many they are."""

    code = "status_in_use"
    field = "move_to"


class InvalidPipeline(DomainError):
    """An order of the pipeline names each status exactly once."""

    code = "invalid_pipeline"
    field = "order"


class InvalidCall(DomainError):
    """The call's times and its status contradict each other."""

    code = "invalid_call"


class InvalidOrder(DomainError):
    """Order facts that are none: an amount below zero, a currency that is no code."""

    code = "invalid_order"


class InvalidNote(DomainError):
    """A note without text, or with too much of it."""

    code = "invalid_note"
    field = "text"


class UserHasHistory(DomainError):
    """Who has leads, calls or follow-ups is banned, not deleted."""

    code = "user_has_history"


class LastCompanyAdmin(DomainError):
    """Somebody must be left who may manage Calliyo."""

    code = "last_company_admin"


class WrongCode(DomainError):
    """The authenticator app does not have the key that it was to be given."""

    code = "wrong_code"
    field = "code"


class NoSecondFactor(DomainError):
    """There is none to be switched off."""

    code = "no_second_factor"
