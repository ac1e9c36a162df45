"""`/metrics` for Prometheus, behind `CALLIYO_METRICS_TOKEN`. The numbers are the database's: any process has all."""

from collections.abc import Iterable
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from webhooks import backlog


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
    """The backlog's numbers as metrics."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would collect everything once more, only to learn the names."""
        return []

    def collect(self) -> Iterable[Metric]:
        found = backlog.endpoints()
        waiting = sum(endpoint.waiting for endpoint in found)
        oldest = max((endpoint.oldest_waiting_seconds for endpoint in found), default=0.0)
        yield GaugeMetricFamily("calliyo_deliveries_waiting", "Deliveries that wait", waiting)
        yield GaugeMetricFamily(
            "calliyo_oldest_delivery_waiting_seconds", "For how long the oldest delivery has waited", oldest
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
        yield from _recent(backlog.recent())
        events, leases = (
            CounterMetricFamily("calliyo_events", "Events in the log, pruned ones too"),
            CounterMetricFamily("calliyo_endpoint_leases", "How often a worker took an endpoint"),
        )
        events.add_metric([], backlog.events_so_far())
        leases.add_metric([], backlog.leases_so_far())
        yield from (events, leases)


def _recent(recent: backlog.Recent) -> Iterable[Metric]:
    yield _labelled(
        "calliyo_attempts_per_second",
        "Attempts in the last minute, by what came of them",
        "outcome",
        {"delivered": recent.delivered_per_second, "failed": recent.failed_per_second},
    )
    if recent.median_ms is not None and recent.p95_ms is not None:
        yield _labelled(
            "calliyo_attempt_seconds",
            "How long attempts of the last minute took",
            "quantile",
            {"0.5": recent.median_ms / 1000, "0.95": recent.p95_ms / 1000},
        )


def _labelled(name: str, documentation: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family
