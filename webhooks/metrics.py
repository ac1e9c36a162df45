"""`/metrics` for Prometheus, behind `CALLIYO_METRICS_TOKEN`. The numbers are the database's: any process has all.

What each means, and which to alert on: `docs/operations.md`.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import accumulate

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from webhooks import backlog
from webhooks.delivery.counts import DELIVERED
from webhooks.delivery.failures import FailureCode
from webhooks.tallies import ATTEMPTS, DELIVERY, LEASES, REQUEST, SUM, TAKEOVERS, Histogram, tallies


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """404 while there is no token to guard it, 401 without that token."""
    if not settings.CALLIYO_METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Compared as bytes: what is not ASCII is wrong, not an error.
    right = constant_time_compare(token.strip().encode(), settings.CALLIYO_METRICS_TOKEN.encode())
    if scheme.lower() != "bearer" or not right:
        challenge = {"WWW-Authenticate": 'Bearer realm="calliyo metrics"'}
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers=challenge)
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class DatabaseCollector(Collector):
    """The backlog's numbers, and what workers have counted, as metrics."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would collect everything once more, only to learn the names."""
        return []

    def collect(self) -> Iterable[Metric]:
        found = backlog.endpoints()
        waiting, _ = backlog.in_all(found)
        yield GaugeMetricFamily("calliyo_deliveries_waiting", "Deliveries that wait", waiting)
        yield _labelled(
            "calliyo_oldest_delivery_waiting_seconds",
            "For how long the oldest delivery has waited, by whether its key is active",
            "key",
            {name: backlog.in_all(which)[1] for name, which in backlog.by_key(found).items()},
        )
        yield _labelled(
            "calliyo_deliveries",
            "Deliveries that are kept, by state (many delivered ones: an estimate)",
            "state",
            backlog.by_state(waiting),
        )
        yield _labelled(
            "calliyo_endpoints",
            "Webhooks by the health of their endpoints",
            "health",
            backlog.by_health(found),
        )
        yield _counter("calliyo_events", "Events in the log, pruned ones too", backlog.events_so_far())
        yield from _counted(tallies())


def _counted(counted: Mapping[str, Mapping[str, float]]) -> Iterable[Metric]:
    """What workers have counted; what nobody has counted yet is 0, so that its first rise is one."""
    attempts = CounterMetricFamily("calliyo_attempts", "Attempts, by what came of them", labels=["outcome"])
    for outcome in (DELIVERED, *FailureCode):
        attempts.add_metric([outcome], counted.get(ATTEMPTS, {}).get(outcome, 0))
    yield attempts
    yield _histogram("calliyo_request_seconds", "How long an attempt took, in all", REQUEST, counted)
    yield _histogram(
        "calliyo_delivery_seconds", "From the commit to the answer that made it delivered", DELIVERY, counted
    )
    for name, documentation, of_it in (
        ("calliyo_leases_taken", "How often a worker took an endpoint", LEASES),
        ("calliyo_lease_takeovers", "How often one had to be taken from a worker that let it go", TAKEOVERS),
    ):
        yield _counter(name, documentation, counted.get(of_it, {}).get("", 0))


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value)


def _histogram(
    name: str, documentation: str, histogram: Histogram, counted: Mapping[str, Mapping[str, float]]
) -> Metric:
    counts = counted.get(histogram.name, {})
    so_far = accumulate(counts.get(label, 0) for label in histogram.labels)
    buckets = list(zip(histogram.labels, so_far, strict=True))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=counts.get(SUM, 0))


def _labelled(name: str, documentation: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family
