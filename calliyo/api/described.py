"""What the API's description says of an operation beside what its view's classes tell (shape, filters, inputs)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from django import forms

from calliyo.api.inputs import Input
from calliyo.api.shapes import Shape
from calliyo.errors import DomainError

Handler = TypeVar("Handler", bound=Callable[..., Any])
Parameters = Mapping[str, forms.Field]
_ATTRIBUTE: Final = "described"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One operation. What is left out is told by the view: its shape, its input, its parameters as a list.

    `name` is the operation's id for generated clients; `answers` are the shapes by status; `refusals` the rules that
    it may break; `parameters` what its query string takes, as `check_parameters` knows it.
    """

    name: str | None = None
    summary: str | None = None
    parameters: Parameters = field(default_factory=dict)
    body: type[Input] | None = None
    answers: Mapping[int, type[Shape]] = field(default_factory=dict)
    refusals: tuple[type[DomainError], ...] = ()
    also_needs: tuple[str, ...] = ()


def described(**told: Any) -> Callable[[Handler], Handler]:
    """Marks a view's handler with a `Described` of these words."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _ATTRIBUTE, Described(**told))
        return handler

    return mark


def description_of(handler: Any) -> Described:
    """What the handler was marked with; an empty one where it was not."""
    found = getattr(handler, _ATTRIBUTE, None)
    return found if isinstance(found, Described) else Described()
