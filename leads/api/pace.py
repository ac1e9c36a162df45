"""When a key that may only write gets its answer: after a time that tells nothing of how much there was to do.

A new number takes more work than a known one (events, deliveries, tags), which one request could measure. So the answer
waits, outside of the transaction, for the end of a span that does not depend on what was found.
"""

from time import monotonic, sleep
from typing import Any, Final

from django.http.response import HttpResponseBase

from calliyo.api.views import ApiView

# Far more than the work takes, so that the first span is enough on a busy machine as well.
SPAN_SECONDS: Final = 0.1
SECONDS_AN_ITEM: Final = 0.004


class Paced(ApiView):
    """A view whose answers to a silent key come at the end of a span, or of the next one where that is over."""

    _span: float | None = None

    def answer_in_pace(self, items: int = 1) -> None:
        """From here on the answer waits for its moment; `items` leads are looked up."""
        self._span = SPAN_SECONDS + SECONDS_AN_ITEM * (items - 1)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As ever; then the wait, when everything is committed."""
        begun = monotonic()
        answer = super().dispatch(request, *args, **kwargs)
        if self._span is not None:
            sleep(seconds_left(monotonic() - begun, self._span))
        return answer


def seconds_left(elapsed: float, span: float) -> float:
    """How long it is from `elapsed` to the end of the span in which it lies."""
    return span - elapsed % span
