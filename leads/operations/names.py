"""Names that are unique without regard to case: tags and statuses."""

from django.utils.translation import gettext

from leads.operations.errors import InvalidName

MAX_NAME = 100


def clean_name(name: str, *, field: str = "name") -> str:
    """The name with single spaces and none around it; refused when nothing is left, or too much."""
    cleaned = " ".join(name.split())
    if not cleaned:
        raise InvalidName(gettext("The name is empty."), field=field)
    if len(cleaned) > MAX_NAME:
        raise InvalidName(
            gettext("%(name)r… is too long: a name has at most %(most)d characters.")
            % {"name": cleaned[:30], "most": MAX_NAME},
            field=field,
        )
    if "\x00" in cleaned:
        raise InvalidName(gettext("A name can't hold a NUL character."), field=field)
    return cleaned
