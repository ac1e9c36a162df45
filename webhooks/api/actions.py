"""What a key does with a webhook of its own: a test event now, and events again."""

from typing import Any, Final

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.callers import caller_of
from apikeys.permissions import ANY_KEY
from apikeys.slots import SLOTS
from calliyo.api.described import described
from calliyo.api.inputs import read_input
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import Refusal
from calliyo.api.views import ApiView
from webhooks import replay, resending
from webhooks.api.inputs import ReplayInput, TestInput
from webhooks.api.shapes import ReplayedShape, TestedShape
from webhooks.api.webhooks import OWN_WEBHOOKS, naming_the_scope, own_webhook
from webhooks.models import Webhook
from webhooks.operations import SentSample, run_test_event
from webhooks.secrets import UndecryptableSecret
from webhooks.signing import STANDARD_ID
from webhooks.validation import MissingEventScope

COST: Final = 10  # of the rate limit: each makes Calliyo work for others
TESTS_AT_ONCE: Final = 2  # of a key: each holds a thread while the endpoint is waited for


class WebhookTestView(ApiView):
    """One signed sample, sent now; the answer tells what came of it."""

    resource = ANY_KEY
    permission_classes = OWN_WEBHOOKS
    in_one_unit = False  # it waits for a stranger's server

    def rate_cost(self, request: Request) -> float:
        return COST

    @described(
        name="test_webhook",
        summary="Send a sample to a webhook",
        body=TestInput,
        answers={200: TestedShape},
        refusals=(MissingEventScope, UndecryptableSecret),
    )
    def post(self, request: Request, pk: str) -> Response:
        """200 whether the endpoint took it or not."""
        check_parameters(request.query_params, known=())
        webhook = own_webhook(caller_of(request), pk)
        values = read_input(request, TestInput).values
        event = values.get("event", webhook.events[0])
        seconds = settings.CALLIYO_WEBHOOK_TIMEOUT
        with SLOTS.held(f"test:{webhook.api_key_id}", most=TESTS_AT_ONCE, seconds=seconds) as free:
            if not free:
                raise _too_many()
            with naming_the_scope():
                sent = run_test_event(webhook=webhook, event_type=event)
        return Response(_tested(sent, event))


class WebhookReplayView(ApiView):
    """Queues deliveries of events again."""

    resource = ANY_KEY
    permission_classes = OWN_WEBHOOKS
    in_one_unit = False  # the engine's locks are held for no longer than a batch takes

    def rate_cost(self, request: Request) -> float:
        return COST

    @described(
        name="replay_webhook",
        summary="Send a webhook's events again",
        body=ReplayInput,
        answers={202: ReplayedShape},
        refusals=(
            MissingEventScope,
            replay.WebhookIsOff,
            replay.NothingToReplay,
            resending.AlreadyResending,
        ),
    )
    def post(self, request: Request, pk: str) -> Response:
        """202, with how many are queued; many are by a worker, in batches, after this answer."""
        check_parameters(request.query_params, known=())
        webhook = own_webhook(caller_of(request), pk)
        values = read_input(request, ReplayInput).values
        with naming_the_scope():
            choice = _choice(webhook, values)
        found = replay.count(choice)
        queued = resending.resend(choice, events=found.events)
        told = {"queued": queued, "out_of_scope": found.out_of_scope, "no_longer_kept": found.gone}
        return Response(told, status=202)


def _too_many() -> Refusal:
    detail = (
        f"{TESTS_AT_ONCE} tests of this API key wait for their endpoints; try again when one has its answer."
    )
    return Refusal(status=429, code="rate_limited", detail=detail, headers={"Retry-After": "1"})


def _tested(sent: SentSample, event: str) -> dict[str, Any]:
    result = sent.result
    failure = result.failure
    return {
        "event_id": sent.headers[STANDARD_ID],
        "type": event,
        "succeeded": result.succeeded,
        "status": result.status,
        # The endpoint's own words are left out: a key must not read through Calliyo what it can't reach itself.
        "error": {"code": failure.code.value, "detail": failure.words} if failure else None,
        "duration_ms": round(result.timings.total * 1000),
    }


def _choice(webhook: Webhook, values: dict[str, Any]) -> replay.Choice:
    if "event_id" in values:
        return replay.one_event(webhook, values["event_id"])
    if "delivery_ids" in values:
        return replay.deliveries(webhook, values["delivery_ids"])
    if values.get("missed"):
        return replay.missed(webhook)
    if values.get("failed"):
        return replay.failed(webhook, since=values.get("since"))
    return replay.everything_since(webhook, values["since"])
