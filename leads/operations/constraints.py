"""Which named constraint the database refused a row by: the last word where two writers race."""

from django.db import IntegrityError


def breaks(error: IntegrityError, *, constraint: str, columns: str) -> bool:
    """Whether this constraint was broken: PostgreSQL says its name, SQLite its columns (`table.column`)."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == constraint)
    return constraint in str(error) or columns in str(error)
