"""Names that are unique without regard to case: tags and statuses."""

from leads.operations.errors import InvalidName

MAX_NAME = 100


def clean_name(name: str, *, field: str = "name") -> str:
    """The name with single spaces and none around it; refused when nothing is left, or too much."""
    cleaned = " ".join(name.split())
    if not cleaned:
        raise InvalidName("The name is empty.", field=field)
    if len(cleaned) > MAX_NAME:
        raise InvalidName(
            f"{cleaned[:30]!r}… is too long: a name has at most {MAX_NAME} characters.", field=field
        )
    if "\x00" in cleaned:
        raise InvalidName("A name can't hold a NUL character.", field=field)
    return cleaned
