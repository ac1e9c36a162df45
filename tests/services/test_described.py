"""schemathesis against the API's own description: whatever fits it or breaks it, nothing undescribed comes back."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apikeys.scopes import Scope
from leads.models import Call, CallStatus, Campaign, FollowUp, Lead, LeadStatus, Note, StatusRole, Tag
from tests.clients import PublicClient, public_client
from tests.leads.factories import LeadFactory, UserFactory, status_of
from tests.processes import ROOT
from webhooks.models import Event

# More of them by hand: make test-services CASES=1000 TEST_ARGS=tests/services/test_described.py
CASES = os.environ.get("CALLIYO_CASES") or "10"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def client(transactional_db: None) -> PublicClient:
    """A key that may do everything."""
    return public_client(*Scope, manage_webhooks=True)


@pytest.fixture
def rows(client: PublicClient) -> dict[str, int | str]:
    """One of each resource, by its path."""
    owner = UserFactory()
    campaign = Campaign.objects.create(name="Diwali", status="active")
    tag = Tag.objects.create(name="hot")
    lead: Lead = LeadFactory(owner=owner, campaign=campaign, tags=[tag])
    lead.status = status_of(StatusRole.CUSTOMER)
    lead.save()
    call = Call.objects.create(lead=lead, agent=owner, status=CallStatus.CALLED, started_at=NOW)
    follow_up = FollowUp.objects.create(lead=lead, owner=owner, due_at=NOW)
    note = Note.objects.create(lead=lead, text="Hello")
    hook = {"url": "http://127.0.0.1:9/hook", "events": ["lead.created"]}
    webhook = client.post("/public/webhooks", hook).json()
    return {
        "leads": lead.pk, "customers": lead.pk, "users": owner.pk, "campaigns": campaign.pk, "tags": tag.pk,
        "calls": call.pk, "follow-ups": follow_up.pk, "notes": note.pk, "webhooks": webhook["id"],
        "lead-statuses": LeadStatus.objects.latest("pk").pk, "events": Event.objects.latest("pk").public_id,
    }  # fmt: skip


@pytest.mark.parametrize("which", ["--include-method", "--exclude-method"], ids=["reading", "writing"])
def test_nothing_undescribed_comes_back(
    client: PublicClient, rows: dict[str, int | str], start_web, which: str
) -> None:
    web = start_web(CALLIYO_WEBHOOK_TIMEOUT="1")
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(ROOT / "tests" / "services" / "schemathesis.toml"),
        "run", f"{web.address}/public/openapi.json",
        "--header", f"Authorization: Bearer {client.token}",
        which, "GET", "--max-examples", CASES, "--no-color",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "CALLIYO_ROWS": json.dumps(rows),
        "SCHEMATHESIS_HOOKS": "tests.services.described_hooks",
    }
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2000:]
