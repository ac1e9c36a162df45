"""What another system calls a lead: one id each way for an API key."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.models import ExternalId, Lead
from leads.operations.constraints import breaks
from leads.operations.errors import DuplicateExternalId, InvalidName

MAX_EXTERNAL_ID = 255


def find_lead_by_external_id(*, api_key_id: int, value: str) -> Lead | None:
    """The lead that the key calls so."""
    found = ExternalId.objects.filter(api_key_id=api_key_id, value=value).select_related("lead").first()
    return found.lead if found else None


def refuse_taken_external_id(*, api_key_id: int, value: str, but: Lead | None) -> None:
    """Raises DuplicateExternalId where the key calls another lead so."""
    taken = ExternalId.rows.filter(api_key_id=api_key_id, value=value)
    if but is not None:
        taken = taken.exclude(lead=but)
    lead_id = taken.values_list("lead_id", flat=True).first()
    if lead_id is not None:
        raise DuplicateExternalId(
            gettext("Another lead has the external id %(value)r.") % {"value": value}, existing_id=lead_id
        )


@unit_of_work
def write_external_id(*, lead: Lead, api_key_id: int, value: str | None) -> None:
    """Sets the key's id for the lead, or takes it away; what is set already is not written again."""
    current = ExternalId.rows.filter(lead=lead, api_key_id=api_key_id).first()
    if not value:
        if current is not None:
            current.delete()
        return
    if len(value) > MAX_EXTERNAL_ID:
        raise InvalidName(
            gettext("An external id has at most %(most)d characters.") % {"most": MAX_EXTERNAL_ID},
            field="external_id",
        )
    if current is not None and current.value == value:
        return
    refuse_taken_external_id(api_key_id=api_key_id, value=value, but=lead)
    row = current or ExternalId(lead=lead, api_key_id=api_key_id)
    row.value = value
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        if breaks(error, constraint="external_id_unique_in_key", columns="leads_externalid.value"):
            refuse_taken_external_id(api_key_id=api_key_id, value=value, but=lead)
        raise
