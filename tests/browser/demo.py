"""Keys as a company has them after a while: one of each state, for pictures."""

from datetime import timedelta

from django.utils import timezone

from apikeys.models import APIKey, CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.operations import create_api_key, deactivate_key
from apikeys.scopes import Scope
from apikeys.usage import quarter_of
from calliyo.actor import Actor, ActorType, acting_as
from leads.operations.company import company_zone
from webhooks.models import EndpointState, Health, OffReason, Webhook
from webhooks.operations import subscribe

NOT_SERVED = (
    ("POST", "/public/leads", 409, "duplicate_phone"),
    ("GET", "/public/customers", 403, "insufficient_scope"),
    ("POST", "/public/leads/batch", 400, "validation_failed"),
    (
        "GET",
        "/public/leads/an-address-that-is-so-long-that-it-would-tear-tables-apart-if-nobody-broke-it",
        404,
        "not_found",
    ),
    ("GET", "/public/leads", 429, "rate_limited"),
    ("GET", "/public/leads", 503, "database_unavailable"),
)
READS = [scope for scope in Scope if scope.endswith(":read")]


def seed() -> dict[str, APIKey]:
    """Four keys: in step with Zoho, a dashboard, a form whose receiver failed, and a paused old dialler."""
    in_step = ["leads:read", "leads:write", "tags:read", "notes:write"]
    zoho = _key("Zoho production", in_step, minutes=3, at="203.0.113.7")
    looker = _key("Internal Looker", READS, minutes=41, at="198.51.100.20")
    form = _key("Marketing form", ["leads:write", "notes:read"], minutes=1700, at="192.0.2.14")
    dialler = _key("Old dialler", ["calls:read"], minutes=60 * 24 * 43, at="192.0.2.80")
    subscribe(
        api_key=zoho,
        url="https://flow.zoho.example/calliyo",
        events=["lead.created", "lead.updated", "lead.status_changed", "lead.converted"],
        secret="generate",
    )
    subscribe(api_key=zoho, url="https://flow.zoho.example/calls", events=["lead.assigned"], skip_own=True)
    broken = subscribe(api_key=form, url="https://forms.example/thanks", events=["note.added"])
    Webhook.objects.filter(pk=broken.pk).update(active=False, off_reason=OffReason.FAILING)
    subscribe(api_key=dialler, url="https://dialler.example/hook", events=["call.completed"])
    EndpointState.objects.filter(webhook__api_key=looker).update(health=Health.HEALTHY)
    deactivate_key(key=dialler)
    by_hand = Actor(type=ActorType.API_KEY, id=zoho.pk, name=zoho.name)
    with acting_as(by_hand):
        subscribe(api_key=zoho, url="https://hooks.zapier.example/catch/77", events=["lead.created"])
    _use(zoho, [n * 7 % 41 + 20 * (8 < n < 20) for n in range(24)])
    _use(looker, [40 * (n % 6 == 2) for n in range(24)])
    return {"zoho": zoho, "looker": looker, "form": form, "dialler": dialler}


def _use(key: APIKey, hours: list[int]) -> None:
    """Thirty days of calls, the last of them as in `hours`, and a few that were not served."""
    now = timezone.now()
    quarter, today = quarter_of(now), now.astimezone(company_zone()).date()
    RecentCalls.objects.bulk_create(
        RecentCalls(api_key_id=key.pk, quarter=quarter - 4 * (23 - hour), calls=calls)
        for hour, calls in enumerate(hours)
    )
    APIKey.objects.filter(pk=key.pk).update(created_at=now - timedelta(days=90))
    for ago in range(30):
        busy = 900 - 37 * (ago * 11 % 19) if (today - timedelta(days=ago)).weekday() < 6 else 60
        for resource, access, result, calls in (
            ("leads", "read", CallResult.OK, busy),
            ("leads", "write", CallResult.OK, busy // 4),
            ("tags", "read", CallResult.OK, busy // 30),
            ("leads", "write", CallResult.INVALID, busy // 20 if ago % 5 == 0 else 0),
            ("customers", "read", CallResult.REFUSED, busy // 9 if ago in {3, 4} else 0),
            ("leads", "read", CallResult.FAILED, 30 if ago == 12 else 0),
        ):
            if calls:
                KeyUsage.objects.create(
                    api_key_id=key.pk,
                    day=today - timedelta(days=ago),
                    resource=resource,
                    access=access,
                    result=result,
                    calls=calls,
                )
    for number, (method, path, status, code) in enumerate(NOT_SERVED):
        RefusedCall.objects.create(
            api_key_id=key.pk,
            at=now - timedelta(minutes=7 + 190 * number),
            method=method,
            path=path,
            status=status,
            code=code,
            address="203.0.113.7",
            request_id=f"req_{'0123456789abcdef'[number] * 24}",
        )


def _key(name: str, scopes: list[str], *, minutes: int, at: str) -> APIKey:
    key = create_api_key(name=name, scopes=scopes).key
    used = timezone.now() - timedelta(minutes=minutes)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=used, last_used_address=at)
    key.refresh_from_db()
    return key
