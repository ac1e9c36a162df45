"""Any other address below `/public/`: nothing is there, and a valid token is told what is left of its limit."""

from typing import Any

from rest_framework.request import Request

from apikeys.callers import COUNTED_AS
from apikeys.permissions import ANY_KEY
from calliyo.api.problems import no_such_address
from calliyo.api.views import ApiView


class ElsewhereView(ApiView):
    """404 for every method; who sends a token that is not valid is told that first, as everywhere."""

    resource = ANY_KEY
    schema = None  # no operation of the API

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuses with 404, and without a token with nothing else: a typing error needs no key to be told."""
        # Names that callers make up must not fill the counts.
        request.META[COUNTED_AS] = "…"
        if "HTTP_AUTHORIZATION" in request.META:
            super().initial(request, *args, **kwargs)
        raise no_such_address()
