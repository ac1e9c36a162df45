"""Who does what is being done: a context variable, set by login, token, command or task."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class ActorType(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A user, an API key or the system itself, as plain values that outlive their subject.

    `id` is null for the system; `request_id` is that of the HTTP request, where there is one.
    """

    type: ActorType
    id: int | None = None
    name: str | None = None
    request_id: str | None = None


SYSTEM = Actor(type=ActorType.SYSTEM, name="Calliyo")
_actor: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def current_actor() -> Actor:
    """Who acts in this thread now; the system where nobody has been named."""
    return _actor.get()


@contextmanager
def acting_as(actor: Actor) -> Iterator[Actor]:
    """Names `actor` as the one who acts, until the block ends."""
    token = _actor.set(actor)
    try:
        yield actor
    finally:
        _actor.reset(token)
