"""What the JSON of a resource holds: for the API's description, for `fields=` and for CSV's columns."""

from typing import Any

from rest_framework import serializers


class Shape(serializers.Serializer[Any]):
    """Read only, and every field is always there; the values themselves are made elsewhere."""

    @classmethod
    def members(cls) -> dict[str, Any]:
        """Its fields by name."""
        return cls._declared_fields
