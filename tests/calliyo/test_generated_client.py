"""A client that `openapi-python-client` makes of `docs/openapi.yaml`, installed and used as an integrator would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from leads.models import Lead
from tests.clients import public_client
from tests.processes import ROOT

CONFIG = """\
post_hooks: []
project_name_override: calliyo-client
package_name_override: calliyo_client
package_version_override: 1.0.0
"""
# What an integrator writes: create one, create it again, list all, follow the log, ask for what is not there.
SCRIPT = """\
import json, sys
from calliyo_client import AuthenticatedClient
from calliyo_client.api.events import list_events
from calliyo_client.api.leads import create_lead, get_lead, list_leads
from calliyo_client.models import Lead, LeadCreatedEvent, ListLeadsFieldsItem, NewLead, NewLeadForm, Problem

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
lead = create_lead.sync(client=client, body=NewLead(first_name="Asha", phone="98765 43210", tags=["hot"]))
assert isinstance(lead, Lead), lead
form = NewLeadForm.from_dict({"first_name": "Ravi", "phone": "98765 43211", "utm_source": "fair"})
other = create_lead.sync(client=client, body=form)
assert isinstance(other, Lead) and other.ignored_fields == ["utm_source"], other
again = create_lead.sync_detailed(client=client, body=NewLead(first_name="Asha", phone="+919876543210"))
assert isinstance(again.parsed, Problem), again
page = list_leads.sync(client=client, limit=50, search="Asha")
whole = page.results[0]
few = list_leads.sync(client=client, fields=[ListLeadsFieldsItem.ID, ListLeadsFieldsItem.PHONE])
gone = get_lead.sync_detailed(10**18, client=client)
[event, _] = list_events.sync(client=client).results
print(json.dumps({
    "created": lead.to_dict(),
    "again": [again.status_code, again.parsed.code, again.parsed.existing_id],
    "listed": [type(whole).__name__, whole.phone, whole.status.name, len(page.results)],
    "few": [one.to_dict() for one in few.results],
    "gone": [gone.status_code, gone.parsed.code],
    "event": [type(event).__name__, event.data.lead.id],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that the generated client is installed in."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text(CONFIG)
    run(
        str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--fail-on-warning",
        "--path", str(ROOT / "docs" / "openapi.yaml"), "--config", str(folder / "config.yaml"),
        "--output-path", str(folder / "source"),
    )  # fmt: skip
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
        "--no-build-isolation", "--target", str(folder / "installed"), str(folder / "source"),
    )  # fmt: skip
    return folder / "installed"


def run(*command: str, **environment: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment or None)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.django_db(transaction=True)
def test_a_generated_client_creates_lists_and_understands_refusals(installed, live_server):
    token = public_client("leads:read", "leads:write", "tags:write").token
    told = json.loads(run(sys.executable, "-c", SCRIPT, live_server.url, token, PYTHONPATH=str(installed)))
    lead = Lead.objects.get(first_name="Asha")
    assert (told["created"]["id"], told["created"]["phone"]) == (lead.pk, "+919876543210")
    assert told["created"]["tags"] == ["hot"]
    assert told["again"] == [409, "duplicate_phone", lead.pk]
    assert told["listed"] == ["Lead", "+919876543210", "Unassigned", 1]
    assert {"id": lead.pk, "phone": "+919876543210"} in told["few"]
    assert told["gone"] == [404, "not_found"]
    assert told["event"] == ["LeadCreatedEvent", lead.pk]
