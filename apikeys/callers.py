"""Who calls: the key that a token opened, and what it may do. `request.auth` under `/public/`."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from rest_framework.request import Request

from apikeys.scopes import Scope
from calliyo.actor import Actor

if TYPE_CHECKING:  # permissions and checks are read before Django's models are
    from apikeys.models import APIKey

# In a request's META: the number of the key whose token came with it, whether it was let in or not.
CALLED_BY: Final = "calliyo.api_key"
# There, too: as which resource the call is counted, where that is not the first part of its path.
COUNTED_AS: Final = "calliyo.counted_as"
# The parameter of statements that stands for the calling key's id.
API_KEY: Final = "api_key"


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that proved itself for this one request.

    `horizon`: how far a list that is read from here on is complete (`calliyo.api.sync`), where that was asked at once.
    """

    key: "APIKey"
    actor: Actor
    scopes: frozenset[str]
    horizon: datetime | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the key holds `scope`."""
        return scope in self.scopes


def caller_of(request: Request) -> Caller:
    """The caller of an authenticated request."""
    return cast("Caller", request.auth)
