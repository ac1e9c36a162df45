"""`manage.py delivery_status`."""

from dataclasses import asdict
from typing import Any

from calliyo.command import CalliyoCommand
from leads.pictures import moment
from webhooks import backlog


class Command(CalliyoCommand):
    help = "The numbers that an on-call person wants: backlog, oldest waiting, rate, health of each endpoint."

    def work(self, **_: Any) -> dict[str, Any]:
        """The numbers as of now."""
        endpoints = backlog.endpoints()
        waiting, oldest = backlog.in_all(endpoints)
        return {
            "backlog": waiting,
            "oldest_waiting_seconds": round(oldest, 3),
            "rate": asdict(backlog.recent()),
            "deliveries": backlog.by_state(waiting),
            "endpoints": backlog.by_health(endpoints),
            "webhooks": [_shown(endpoint) for endpoint in endpoints],
        }

    def told(self, result: dict[str, Any]) -> str:
        """A few lines, then one for each webhook."""
        rate = result["rate"]
        lines = [
            f"{result['backlog']:,} deliveries wait, the oldest for {result['oldest_waiting_seconds']:,.0f} s.",
            f"Last minute: {_rate(rate)}.",
            _counts("Deliveries", result["deliveries"]),
            _counts("Endpoints", result["endpoints"]),
        ]
        return "\n".join([*lines, *(_line(webhook) for webhook in result["webhooks"])])


def _shown(endpoint: backlog.Endpoint) -> dict[str, Any]:
    times = ("failing_since", "last_success_at", "down_since", "paused_until", "held_until")
    return {
        **asdict(endpoint),
        "oldest_waiting_seconds": round(endpoint.oldest_waiting_seconds, 3),
        **{name: moment(getattr(endpoint, name)) for name in times},
    }


def _rate(rate: dict[str, Any]) -> str:
    if rate["median_ms"] is None:
        return "no attempts"
    return (
        f"{rate['delivered_per_second']:.1f} delivered and {rate['failed_per_second']:.1f} failed attempts a second, "
        f"{rate['median_ms']:.0f} ms in the middle, {rate['p95_ms']:.0f} ms at the 95th percentile"
    )


def _counts(title: str, counts: dict[str, int]) -> str:
    return f"{title}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + "."


def _line(webhook: dict[str, Any]) -> str:
    health = webhook["health"] + (f" ({webhook['off_reason']})" if webhook["off_reason"] else "")
    paused = "" if webhook["key_active"] else ", its key is not active"
    failing = f", failing since {webhook['failing_since']}" if webhook["failing_since"] else ""
    last = webhook["last_success_at"] or "never"
    return (
        f"  webhook {webhook['id']} {webhook['host']}: {health}{paused}, {webhook['waiting']:,} wait "
        f"({webhook['oldest_waiting_seconds']:,.0f} s), last success {last}{failing}"
    )
