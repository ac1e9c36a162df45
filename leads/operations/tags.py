"""Tags: found by name without regard to case, made on the way where the caller may."""

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower
from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, Tag
from leads.operations.constraints import breaks
from leads.operations.errors import DuplicateName, UnknownTag
from leads.operations.names import clean_name


@unit_of_work
def create_tag(*, name: str) -> Tag:
    """A new tag; raises DuplicateName where one has this name."""
    return _save(Tag(name=clean_name(name)))


@unit_of_work
def rename_tag(*, tag: Tag, name: str) -> Tag:
    """Renames in place: its leads show the new name, and so have changed."""
    tag.name = clean_name(name)
    _refuse_taken(tag)  # before its leads are locked and read, which may be a great many
    return _save(tag)


@unit_of_work
def delete_tag(*, tag: Tag) -> None:
    """Takes the tag off its leads and deletes it."""
    tag.delete()


@unit_of_work
def find_tags(*, names: Iterable[str], may_create: bool) -> list[Tag]:
    """The tags of these names, each once, in order. Unknown ones are created or refused (UnknownTag)."""
    wanted = {name.lower(): name for name in reversed([clean_name(name, field="tags") for name in names])}
    found = {tag.name.lower(): tag for tag in _named(*wanted.values())} if wanted else {}
    unknown = [name for key, name in wanted.items() if key not in found]
    if unknown and not may_create:
        raise UnknownTag(gettext("There is no tag %(name)r.") % {"name": unknown[-1]})
    for name in sorted(
        unknown, key=str.lower
    ):  # in the order of all who make them: rivals wait, and don't die
        found[name.lower()] = _found_or_created(name)
    tags = [found[key] for key in reversed(wanted)]
    return list(dict.fromkeys(tags))


def unknown_tags(names: Sequence[str]) -> list[str]:
    """Those of the (clean) names that no tag has."""
    known = {name.lower() for name in _named(*names).values_list("name", flat=True)}
    return [name for name in names if name.lower() not in known]


@unit_of_work
def write_tags(
    *, lead: Lead, to: Sequence[Tag] | None = None, add: Sequence[Tag] = (), remove: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Replaces the lead's tags by `to`, unless none; adds and removes; gives the names added and removed."""
    before = {tag.pk: tag.name for tag in lead.tags.all()}
    after = dict(before) if to is None else {tag.pk: tag.name for tag in to}
    after |= {tag.pk: tag.name for tag in add}
    gone = {name.lower() for name in (clean_name(name, field="remove_tags") for name in remove)}
    after = {pk: name for pk, name in after.items() if name.lower() not in gone}
    added, removed = after.keys() - before.keys(), before.keys() - after.keys()
    if removed:
        lead.tags.remove(*removed)
    if added:
        lead.tags.add(*added)
    return sorted(after[pk] for pk in added), sorted(before[pk] for pk in removed)


def _named(*names: str) -> QuerySet[Tag]:
    # The database lowers both sides, so that what it calls equal is what its unique constraint calls equal.
    named: QuerySet[Tag] = Tag.objects.alias(key=Lower("name")).filter(
        key__in=[Lower(Value(name)) for name in names]
    )
    return named


def _found_or_created(name: str) -> Tag:
    try:
        with transaction.atomic():
            tag = Tag(name=name)
            tag.save()
            return tag
    except IntegrityError as error:
        if not _is_name_taken(error):
            raise
        return _named(name).get()  # made by somebody else since the look-up


def _save(tag: Tag) -> Tag:
    try:
        with transaction.atomic():
            tag.save()
    except IntegrityError as error:
        if _is_name_taken(error):
            _refuse_taken(tag)
        raise
    return tag


def _refuse_taken(tag: Tag) -> None:
    existing = _named(tag.name).exclude(pk=tag.pk).first()
    if existing is not None:
        raise DuplicateName(
            gettext("There is a tag %(name)r already.") % {"name": existing.name}, existing_id=existing.pk
        )


def _is_name_taken(error: IntegrityError) -> bool:
    return breaks(error, constraint="tag_name_unique", columns="leads_tag.name")
