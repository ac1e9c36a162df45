"""How every stored resource is written: locked first, told about, stamped, versioned.

Django's signals alone miss `update`, bulk writes, cascades and through rows; so `save`, `delete` and the query set's
writes are the places where a change is announced, each inside a unit of work:
1. lock the rows by ordered primary keys, and read them as they are;
2. send `rows_changing`, so that who wants a first picture has the locked rows;
3. write by those same keys, with `version` and `updated_at` moved;
4. touch the rows of other models that show these (a tag shows in its leads).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar, cast

from django.db import NotSupportedError, connection, models
from django.db.models import F
from django.db.models.expressions import BaseExpression
from django.db.models.functions import Greatest

from calliyo.fields import MomentField
from calliyo.unit_of_work import UnitOfWork, part_of_unit
from leads.models.locking import CHUNK, Row, attnames, chunks, lock_rows, read_locked
from leads.signals import rows_changing, rows_created, rows_written

M = TypeVar("M", bound="Written")


class WrittenQuerySet(models.QuerySet[M]):
    """A query set whose writes are announced, stamped and versioned as `save` is."""

    def update(self, **values: Any) -> int:
        with part_of_unit() as unit:
            model = cast("type[Written]", self.model._meta.concrete_model)
            rows = self._lock()
            if not rows:
                return 0
            by_name = {self.model._meta.get_field(name).name: value for name, value in values.items()}
            model.announce(unit, rows)
            touched = model.touched_by(rows.values(), by_name.keys())
            announce_touched(unit, touched)
            count = 0
            # Expressions over annotations need the query that made them; else the keys alone say what is written.
            base = self.order_by() if self.query.annotations else model.rows.using(self.db)
            stamped = by_name | model.stamps_of_update(by_name, unit)
            for keys in chunks(rows):
                count += models.QuerySet.update(base.filter(pk__in=keys), **stamped)
            model.after_update(unit, rows, by_name.keys())
            model.announce_written(unit, dict.fromkeys(rows))
            touch(unit, touched)
            self._result_cache = None
            return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(self, objs: Iterable[M], fields: Iterable[str], batch_size: int | None = None) -> int:
        with part_of_unit():  # Django calls `update` for each batch; together they are one change
            return super().bulk_update(objs, fields, batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        with part_of_unit() as unit:
            rows = self._lock()
            if not rows:
                return 0, {}
            model = cast("type[Written]", self.model._meta.concrete_model)
            model.refuse_delete(rows)
            model.announce(unit, rows)
            touched = model.touched_by(rows.values(), None)
            announce_touched(unit, touched)
            deleted, by_model = 0, dict[str, int]()
            for keys in chunks(rows):
                part, names = models.QuerySet.delete(model.rows.using(self.db).filter(pk__in=keys))
                deleted += part
                for name, count in names.items():
                    by_model[name] = by_model.get(name, 0) + count
            model.announce_written(unit, dict.fromkeys(rows))
            touch(unit, touched)
            self._result_cache = None
            return deleted, by_model

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(
        self,
        objs: Iterable[M],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[M]:
        if ignore_conflicts:
            raise NotSupportedError("bulk_create(ignore_conflicts=True) does not tell which rows it wrote.")
        objs = list(objs)
        if not objs:
            return objs
        with part_of_unit() as unit:
            model = cast("type[Written]", self.model._meta.concrete_model)
            known: dict[tuple[Any, ...], Row] = {}
            if update_conflicts:
                known = self._lock_conflicting(objs, unique_fields or ())
                update_fields = {*(update_fields or ()), *model.stamp_fields}
            written = None if update_fields is None else set(update_fields)
            existing = [known.get(_key_of(obj, unique_fields or ())) for obj in objs]
            for obj, row in zip(objs, existing, strict=True):
                obj.prepare_write(row, unit, written if row else None)
            before = {row[model._meta.pk.attname]: row for row in existing if row}
            model.announce(unit, before)
            touched = model.touched_by((obj.as_row() for obj in objs), None)
            announce_touched(unit, touched)
            created = super().bulk_create(
                objs,
                batch_size,
                update_conflicts=update_conflicts,
                update_fields=update_fields,
                unique_fields=unique_fields,
            )
            model.announce_created(
                unit, [obj.pk for obj, row in zip(created, existing, strict=True) if row is None]
            )
            model.after_update(unit, before, update_fields or ())
            model.announce_written(unit, dict.fromkeys(obj.pk for obj in created))
            touch(unit, touched)
            return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def _lock(self) -> dict[int, Row]:
        """Locks the rows that this query set selects, and gives them as the database has them."""
        query = self.query
        if query.is_sliced or query.combinator:
            raise TypeError("Cannot write through a sliced or combined query set.")
        model = cast("type[Written]", self.model._meta.concrete_model)
        if query.distinct or query.group_by or query.select_related or len(query.alias_map) > 1:
            # A grouped or distinct query locks nothing, one with joins too much: find the rows, then lock those.
            plain = self.order_by().select_related(None)
            return read_locked(model.rows.using(self.db).filter(pk__in=plain.values("pk")))
        return read_locked(self.order_by())

    def _lock_conflicting(
        self, objs: Sequence[M], unique_fields: Collection[str]
    ) -> dict[tuple[Any, ...], Row]:
        model = cast("type[Written]", self.model._meta.concrete_model)
        if connection.vendor == "postgresql":
            # A rival's insert between this look and the upsert would be changed without a first picture.
            with connection.cursor() as cursor:
                table = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        names = [_attname(model, name) for name in unique_fields]
        found: dict[tuple[Any, ...], Row] = {}
        for start in range(0, len(objs), CHUNK):
            same = models.Q()
            for obj in objs[start : start + CHUNK]:
                same |= models.Q(**{name: getattr(obj, name) for name in names})
            for row in read_locked(model.rows.using(self.db).filter(same)).values():
                found[tuple(row[name] for name in names)] = row
        return found


def _key_of(obj: models.Model, unique_fields: Collection[str]) -> tuple[Any, ...]:
    return tuple(getattr(obj, _attname(type(obj), name)) for name in unique_fields)


def _attname(model: type[models.Model], name: str) -> str:
    field = cast("models.Field[Any, Any]", model._meta.get_field(name))
    return field.attname


class WrittenManager(models.Manager.from_queryset(WrittenQuerySet)):  # type: ignore[misc]
    """The manager whose query sets announce their writes."""


class Written(models.Model):
    """A row whose writes are announced; through rows are just this, resources are `Resource`."""

    objects: ClassVar[WrittenManager] = WrittenManager()
    rows: ClassVar[WrittenManager] = WrittenManager()  # every row, whatever `objects` hides

    stamp_fields: ClassVar[tuple[str, ...]] = ()  # what each write sets besides what it is told
    announced: ClassVar[bool] = False
    shown_by_others: ClassVar[bool] = False  # whether `touched_by` has an answer

    class Meta:
        abstract = True
        base_manager_name = "rows"  # so that SET_NULL, too, writes through it

    # ── what a model says of itself ─────────────────────────────────────────────────────────────────────
    @classmethod
    def touched_by(
        cls, rows: Iterable[Row], fields: Collection[str] | None
    ) -> "dict[type[Resource], set[int]]":
        """The rows of other models that show these rows and so change with them.

        `fields` are those that change; None: all, as the row is new or goes.
        """
        return {}

    @classmethod
    def refuse_delete(cls, rows: dict[int, Row]) -> None:
        """Raises a DomainError where one of the rows may never be deleted."""

    @classmethod
    def stamps_of_update(cls, values: dict[str, Any], unit: UnitOfWork) -> dict[str, Any]:
        """What an UPDATE that sets `values` sets besides them."""
        return {}

    @classmethod
    def after_update(cls, unit: UnitOfWork, rows: dict[int, Row], fields: Collection[str]) -> None:
        """Called when an UPDATE of `fields` has been written; `rows` are those before it."""

    def prepare_write(self, before: Row | None, unit: UnitOfWork, update_fields: set[str] | None) -> None:
        """Sets what the row derives from its own fields; names it in `update_fields`, where that is given."""

    # ── what all do ─────────────────────────────────────────────────────────────────────────────────────
    @classmethod
    def announce(cls, unit: UnitOfWork, rows: dict[int, Row]) -> None:
        """Tells that these locked rows are about to change."""
        if cls.announced and rows:
            rows_changing.send(sender=cls, unit=unit, rows=rows)

    @classmethod
    def announce_created(cls, unit: UnitOfWork, pks: Collection[int]) -> None:
        """Tells that these rows were inserted."""
        if cls.announced and pks:
            rows_created.send(sender=cls, unit=unit, pks=pks)

    @classmethod
    def announce_shown(cls, unit: UnitOfWork, rows: dict[int, Row]) -> None:
        """Tells that what these locked rows show of other rows is about to change."""

    @classmethod
    def announce_written(cls, unit: UnitOfWork, rows: dict[int, Row | None]) -> None:
        """Tells what rows are now; None where only the database knows."""
        if cls.announced and rows:
            rows_written.send(sender=cls, unit=unit, rows=rows)

    def written_row(self, before: Row | None, names: set[str] | None) -> Row | None:
        """The row after this save of the fields `names`; None where an expression leaves it to the database."""
        row = dict(before or {})
        own = self.__dict__
        for field in self._meta.concrete_fields:
            if field.attname in own and (names is None or field.name in names or field.attname in names):
                value = own[field.attname]
                if isinstance(value, BaseExpression | models.F):
                    return None
                row[field.attname] = field.to_python(value)
        return row

    def as_row(self) -> Row:
        """The instance's own values, in the form of a locked row."""
        return {name: getattr(self, name) for name in attnames(type(self))}

    def save(
        self,
        *,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        names = None if update_fields is None else set(update_fields)
        if names is not None and not names:
            return
        model = cast("type[Written]", self._meta.concrete_model)
        with part_of_unit() as unit:
            before = (
                None if self.pk is None or force_insert else lock_rows(model, [self.pk], unit).get(self.pk)
            )
            self.prepare_write(before, unit, names)
            if before is not None:
                model.announce(unit, {self.pk: before})
            touched = self._touched(before, names)
            announce_touched(unit, touched)
            if before is not None and names is None:
                # The row is locked, so what is equal need not be written: the statement is a fraction of the whole.
                names = self.changed_fields(before, None) or None
            super().save(
                force_insert=force_insert, force_update=force_update, using=using, update_fields=names
            )
            if before is None:
                model.announce_created(unit, [self.pk])
            else:
                model.after_update(unit, {self.pk: before}, names or _names(model))
            model.announce_written(unit, {self.pk: self.written_row(before, names)})
            touch(unit, touched)

    save.alters_data = True  # type: ignore[attr-defined]

    def delete(self, using: str | None = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        model = cast("type[Written]", self._meta.concrete_model)
        with part_of_unit() as unit:
            rows = lock_rows(model, [self.pk] if self.pk is not None else [], unit)
            model.refuse_delete(rows)
            model.announce(unit, rows)
            touched = model.touched_by(rows.values(), None)
            announce_touched(unit, touched)
            result = super().delete(using=using, keep_parents=keep_parents)
            model.announce_written(unit, dict.fromkeys(rows))
            touch(unit, touched)
            return result

    delete.alters_data = True  # type: ignore[attr-defined]

    def _touched(self, before: Row | None, names: set[str] | None) -> "dict[type[Resource], set[int]]":
        """Who shows this row before or after the write."""
        model = cast("type[Written]", self._meta.concrete_model)
        if not model.shown_by_others:
            return {}
        if before is None:
            return model.touched_by([self.as_row()], None)
        changed = self.changed_fields(before, names)
        return model.touched_by([before, self.as_row()], changed) if changed else {}

    def changed_fields(self, before: Row, names: set[str] | None) -> set[str]:
        """The names of the fields that this write makes differ from the locked row."""
        own = self.__dict__
        return {
            field.name
            for field in self._meta.concrete_fields
            if field.attname in own
            and (names is None or field.name in names or field.attname in names)
            and _differs(field, own[field.attname], before[field.attname])
        }


def _names(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.concrete_fields}


def _differs(field: "models.Field[Any, Any]", value: Any, stored: Any) -> bool:
    if value is stored:
        return False
    return isinstance(value, BaseExpression | models.F) or bool(field.to_python(value) != stored)


class Resource(Written):
    """A stored resource of the API: its version grows with each change, its times are whole milliseconds."""

    version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = MomentField(editable=False)
    updated_at = MomentField(editable=False)

    path: ClassVar[str]  # the resource's name in paths, scopes and deletions
    stamp_fields: ClassVar[tuple[str, ...]] = ("version", "updated_at")
    announced = True
    # Fields whose change is no change of the resource, such as a user's last login.
    unversioned: ClassVar[frozenset[str]] = frozenset()

    class Meta(Written.Meta):
        abstract = True

    @classmethod
    def stamps_of_update(cls, values: dict[str, Any], unit: UnitOfWork) -> dict[str, Any]:
        return {} if values.keys() <= cls.unversioned else moved(unit.stamp())

    def prepare_write(self, before: Row | None, unit: UnitOfWork, update_fields: set[str] | None) -> None:
        if before is None:
            self.version = 1
            self.updated_at = unit.stamp()
            self.created_at = self.created_at or self.updated_at
            return
        # What Calliyo stamps is not for a stale instance to say.
        self.created_at = self.created_at or before["created_at"]
        self.version, self.updated_at = before["version"], before["updated_at"]
        if self.changed_fields(before, update_fields) - self.unversioned:
            self.version += 1
            self.updated_at = max(before["updated_at"], unit.stamp())
        if update_fields is not None and not update_fields <= self.unversioned:
            update_fields.update(self.stamp_fields)


def moved(stamp: datetime) -> dict[str, Any]:
    """What an UPDATE sets on a changed resource: a later version, and a time that never goes back."""
    return {"version": F("version") + 1, "updated_at": Greatest(F("updated_at"), stamp)}


def announce_touched(unit: UnitOfWork, touched: dict[type[Resource], set[int]]) -> None:
    """Locks and announces the rows that change along with others."""
    for model, pks in touched.items():
        rows = lock_rows(model, pks, unit)
        model.announce(unit, rows)
        model.announce_shown(unit, rows)


def touch(unit: UnitOfWork, touched: dict[type[Resource], set[int]]) -> None:
    """Moves version and `updated_at` of the rows that changed along with others."""
    for model, pks in touched.items():
        for keys in chunks(pks):
            models.QuerySet.update(model.rows.filter(pk__in=keys), **moved(unit.stamp()))
        model.announce_written(unit, dict.fromkeys(pks))
