"""Keys as a company has them after a while: one of each state, for pictures."""

from datetime import timedelta

from django.utils import timezone

from apikeys.models import APIKey
from apikeys.operations import create_api_key, deactivate_key
from apikeys.scopes import Scope
from webhooks.models import EndpointState, Health, OffReason, Webhook
from webhooks.operations import subscribe

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
    return {"zoho": zoho, "looker": looker, "form": form, "dialler": dialler}


def _key(name: str, scopes: list[str], *, minutes: int, at: str) -> APIKey:
    key = create_api_key(name=name, scopes=scopes).key
    used = timezone.now() - timedelta(minutes=minutes)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=used, last_used_address=at)
    key.refresh_from_db()
    return key
