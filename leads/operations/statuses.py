"""The pipeline's stages: leads moved between them; stages added, renamed, put in order, deleted."""

from collections import Counter
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet, Value
from django.db.models.functions import Lower
from django.utils.translation import gettext, ngettext

from calliyo.unit_of_work import unit_of_work
from leads.activities import ActivityKind, record
from leads.models import Lead, LeadStatus, StatusRole
from leads.models.locking import chunks
from leads.models.status import StatusProtected
from leads.operations.assignment import lock_agents, refuse_over_cap
from leads.operations.constraints import breaks
from leads.operations.errors import DuplicateName, InvalidPipeline, StatusInUse
from leads.operations.names import clean_name


@unit_of_work
def change_status(*, leads: QuerySet[Lead], to: LeadStatus) -> int:
    """Moves the leads to a status, says how many were elsewhere; Customer converts, leaving it un-converts.

    All or none: raises LeadCapReached when un-converted ones are more than their owner may hold.
    """
    returning = _returning(leads, to)
    owners = lock_agents(returning, banned_too=True)
    rows = Lead.rows.filter(pk__in=leads.order_by().values("pk")).exclude(status=to)
    moved = dict(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", "status_id"))
    for owner_id, count in returning.items():
        refuse_over_cap(owners[owner_id], taking=count)
    for keys in chunks(moved):
        Lead.rows.filter(pk__in=keys).update(status=to)
    names = dict(LeadStatus.rows.values_list("pk", "name"))
    target = {"id": to.pk, "name": to.name}
    lines = {pk: {"from": {"id": was, "name": names[was]}, "to": target} for pk, was in moved.items()}
    record(ActivityKind.STATUS_CHANGED, lines)
    return len(moved)


@unit_of_work
def create_status(*, name: str) -> LeadStatus:
    """A new stage at the pipeline's end; raises DuplicateName."""
    last = LeadStatus.rows.aggregate(last=Max("position"))["last"] or 0
    return _save(LeadStatus(name=clean_name(name), position=last + 1))


@unit_of_work
def rename_status(*, status: LeadStatus, name: str) -> LeadStatus:
    """Renames in place: its leads have not changed by that. Raises StatusProtected, DuplicateName."""
    cleaned = clean_name(name)
    if cleaned == status.name:
        return status
    if status.protected:
        raise StatusProtected(
            gettext("%(name)s is protected: it can't be renamed.") % {"name": status.name}, field="name"
        )
    status.name = cleaned
    return _save(status)


@unit_of_work
def reorder_statuses(*, order: Sequence[int]) -> None:
    """Puts the pipeline in this order of ids, which names each stage once; raises InvalidPipeline."""
    stages = {status.pk: status for status in LeadStatus.rows.order_by("pk").select_for_update(no_key=True)}
    if Counter(order) != Counter(stages.keys()):
        raise InvalidPipeline(gettext("The order must name each status of the pipeline exactly once."))
    for position, pk in enumerate(order, start=1):
        if stages[pk].position != position:
            LeadStatus.rows.filter(pk=pk).update(position=position)


@unit_of_work
def delete_status(*, status: LeadStatus, move_to: LeadStatus | None = None) -> int:
    """Deletes a stage after moving its leads to another, and says how many moved.

    Raises StatusProtected for Unassigned, Followups and Customer; StatusInUse when it has leads and nothing
    says where they go.
    """
    if status.protected:
        raise StatusProtected(
            gettext("%(name)s is protected: it can't be deleted.") % {"name": status.name}, field="name"
        )
    # Locked with its key: a lead that comes in for this status waits, and then finds it gone.
    LeadStatus.rows.select_for_update().get(pk=status.pk)
    leads = Lead.rows.filter(status=status)
    count: int = leads.count()
    if count and (move_to is None or move_to.pk == status.pk):
        text = ngettext(
            "%(name)s has %(count)s lead: say which status to move to.",
            "%(name)s has %(count)s leads: say which status to move to.",
            count,
        )
        raise StatusInUse(text % {"name": status.name, "count": f"{count:,}"}, leads=count)
    if count and move_to is not None:
        change_status(leads=leads, to=move_to)
    status.delete()
    return count


def _returning(leads: QuerySet[Lead], to: LeadStatus) -> Counter[int]:
    """How many customers each owner gets back as leads to work on."""
    if to.role == StatusRole.CUSTOMER:
        return Counter()
    customers = leads.order_by().filter(status__role=StatusRole.CUSTOMER, owner__isnull=False)
    return Counter(customers.values_list("owner_id", flat=True))


def _save(status: LeadStatus) -> LeadStatus:
    try:
        with transaction.atomic():
            status.save()
    except IntegrityError as error:
        if not breaks(error, constraint="lead_status_name_unique", columns="leads_leadstatus.name"):
            raise
        same = LeadStatus.rows.alias(key=Lower("name")).filter(key=Lower(Value(status.name)))
        existing = same.exclude(pk=status.pk).get()
        raise DuplicateName(
            gettext("There is a status %(name)r already.") % {"name": existing.name}, existing_id=existing.pk
        ) from error
    return status
