"""Model fields that all apps use."""

from datetime import datetime
from typing import Any

import orjson
from django.db import models


def whole_milliseconds(moment: datetime) -> datetime:
    """`moment` cut (not rounded) to the millisecond: what JSON shows is what is stored."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class MomentField(models.DateTimeField):  # type: ignore[type-arg]  # no generic class when it runs
    """A time in UTC in whole milliseconds (contract, *Words*), by whichever way it is written."""

    def to_python(self, value: Any) -> Any:
        moment = super().to_python(value)
        return whole_milliseconds(moment) if isinstance(moment, datetime) else moment

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        moment = super().pre_save(model_instance, add)
        if isinstance(moment, datetime):
            moment = whole_milliseconds(moment)
            setattr(model_instance, self.attname, moment)
        return moment


class NumbersField(models.Field):  # type: ignore[type-arg]  # no generic class when it runs
    """Numbers as one parameter of a statement, which is the same for three of them and three hundred; no column."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """An array on PostgreSQL, JSON elsewhere."""
        return list(value) if connection.vendor == "postgresql" else orjson.dumps(list(value)).decode()


class ActorTypeField(models.CharField):  # type: ignore[type-arg]  # no generic class when it runs
    """The kind of an actor or author: `user`, `api_key` or `system`, kept as a plain value beside its id and name."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 7)
        options.setdefault("default", "system")
        super().__init__(**options)
