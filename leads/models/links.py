"""Many-to-many relations that are part of a resource: a lead's tags, a campaign's agents.

The through rows are written as other rows are (see base.py) and touch the resource that they belong to. Django's
related managers write through them; here each of their calls becomes one unit of work that locks that resource first.
"""

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

from django.db import models
from django.db.models.fields.related_descriptors import ManyToManyDescriptor
from django.utils.functional import cached_property

from calliyo.unit_of_work import part_of_unit
from leads.models.base import Resource, Written
from leads.models.locking import Row, lock_rows


class Link(Written):
    """A through row that belongs to the resource its field `owner_field` names."""

    owner_field: ClassVar[str]
    shown_by_others = True

    class Meta(Written.Meta):
        abstract = True

    @classmethod
    def touched_by(
        cls, rows: Iterable[Row], fields: Collection[str] | None
    ) -> dict[type[Resource], set[int]]:
        field = cls._meta.get_field(cls.owner_field)
        owners = {row[field.attname] for row in rows}  # type: ignore[union-attr]
        return {field.related_model: owners} if owners else {}  # type: ignore[dict-item]


class LinkedDescriptor(ManyToManyDescriptor):  # type: ignore[type-arg]  # no generic class when it runs
    """Gives related managers whose `add`, `remove`, `set`, `clear` are one change each, from either side."""

    @cached_property
    def related_manager_cls(self) -> type[Any]:
        reverse = self.reverse

        class LinkedManager(super().related_manager_cls):  # type: ignore[misc]
            def _as_one_change(self, change: str, objs: Iterable[Any], *args: Any, **options: Any) -> Any:
                with part_of_unit() as unit:
                    owners = objs if reverse else [self.instance]
                    model = self.through._meta.get_field(self.through.owner_field).related_model
                    # Before Django looks what is missing: nobody links the same pair in between.
                    lock_rows(model, {getattr(owner, "pk", owner) for owner in owners}, unit)
                    return getattr(super(), change)(*args, **options)

            def add(self, *objs: Any, **options: Any) -> None:
                self._as_one_change("add", objs, *objs, **options)

            def remove(self, *objs: Any) -> None:
                self._as_one_change("remove", objs, *objs)

            def clear(self) -> None:
                self._as_one_change("clear", ())

            def set(self, objs: Iterable[Any], **options: Any) -> None:  # Django's name
                objs = tuple(objs)
                self._as_one_change("set", objs, objs, **options)

            for change in (add, remove, clear, set):  # noqa: A003  # Django's names
                change.alters_data = True  # type: ignore[union-attr]  # no template calls it

        return LinkedManager


class LinkField(models.ManyToManyField):  # type: ignore[type-arg]  # no generic class when it runs
    """A many-to-many field over a `Link` model."""

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False, **options: Any
    ) -> None:
        super().contribute_to_class(cls, name, private_only=private_only, **options)
        if not cls._meta.abstract:
            setattr(cls, self.name, LinkedDescriptor(self.remote_field, reverse=False))

    def contribute_to_related_class(self, cls: type[models.Model], related: Any) -> None:
        super().contribute_to_related_class(cls, related)
        if not self.remote_field.hidden and not related.related_model._meta.swapped:
            setattr(cls, related.get_accessor_name(), LinkedDescriptor(self.remote_field, reverse=True))
