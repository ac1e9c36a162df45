"""`as_of`: up to which moment a list is complete, and so where the next `updated_after` begins.

A write is stamped with the database's clock after its transaction has an id, but seen only when it commits.
So on PostgreSQL the horizon is the start of the oldest open transaction that has an id, else now, read in a
statement before that of the page (or in its own, where that can be told: `HorizonHere`): every later commit bears a
stamp at or after it. Autovacuum writes none of our rows, but keeps an id for seconds while it waits to give back a
table's end, so it does not count. On SQLite writers come one after the other, so the newest committed stamp is the
horizon; rows with that very stamp may still come.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.db import connection, models
from django.db.models.expressions import Expression
from django.db.models.sql.compiler import SQLCompiler

from calliyo.fields import MomentField
from calliyo.prepared import fetch
from calliyo.statements import Parameter

# The statement's own start, not the clock: a writer that got its id while we looked stamps later than that.
_OLDEST_OPEN_WRITER: Final = """
    SELECT date_trunc('milliseconds', least(min(xact_start), statement_timestamp()))
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    AND datname = current_database() AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
"""


class Horizon(Expression):
    """The horizon as a column of another statement, which is then the one before the page; on PostgreSQL alone."""

    output_field: ClassVar["models.Field[Any, Any]"] = MomentField()
    asked: ClassVar[str] = _OLDEST_OPEN_WRITER

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        """A subquery that refers to nothing around it, so that it is answered once."""
        return f"({self.asked})", ()


class HorizonHere(Horizon):
    """The horizon of the very statement that it is a column of, or null where it can't be told; on PostgreSQL alone.

    A statement sees what had committed when its snapshot was taken. Mostly nobody was writing then: no id had been
    given that the snapshot does not know to have ended, whose age would be at least 1. Who was writing and has ended
    since left no trace of when he began. So each id that the snapshot holds for open must still be there when we look:
    those that it names, and from its `xmax` on all that were given until now (the function of migration 0003). Time
    counts up to the transaction's start, which is before the snapshot: the statement's own can be after it. For a
    statement that is a transaction by itself.
    """

    output_field = models.CharField()  # as `spelled` has it
    asked = """
        SELECT to_char(
            CASE WHEN age(pg_snapshot_xmin(pg_current_snapshot())::xid) = 0
            THEN transaction_timestamp() ELSE calliyo_horizon_here() END AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
        )
    """


_BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)


def horizon(model: type[models.Model], field: str = "updated_at") -> datetime:
    """The moment up to which every row of `model` that was ever stamped in `field` can be seen now."""
    if connection.vendor == "postgresql":
        ((moment,),) = fetch(_OLDEST_OPEN_WRITER, ())
        return moment  # type: ignore[no-any-return]
    newest: datetime | None = model._base_manager.aggregate(newest=models.Max(field))["newest"]
    return newest or _BEFORE_ALL


def up_to(as_of: Parameter, field: str = "updated_at") -> models.Q:
    """The rows of a list that ends at `as_of`: before it on PostgreSQL, with it on SQLite."""
    lookup = "lt" if connection.vendor == "postgresql" else "lte"
    return models.Q(**{f"{field}__{lookup}": as_of})


def spelled(moment: datetime) -> str:
    """`moment` as the contract spells times: UTC, milliseconds, `Z`."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
