"""`/public/leads`, seen from outside."""

import pytest

from leads.models import Lead, LeadStatus


@pytest.fixture
def lead_json():
    return {"first_name": "Asha", "phone": "98765 43210"}


def test_a_lead_is_created_and_read_back(client_with, lead_json):
    client = client_with("leads:read", "leads:write", "tags:write")
    answer = client.post("/public/leads", lead_json | {"tags": ["Hot", "diwali"], "external_id": "Z-1"})
    assert answer.status_code == 201, answer.content
    lead = answer.json()
    assert answer["Location"] == f"/public/leads/{lead['id']}"
    unassigned = LeadStatus.objects.get(name="Unassigned")
    assert lead == {
        "id": lead["id"],
        "version": lead["version"],
        "first_name": "Asha",
        "last_name": "",
        "phone": "+919876543210",
        "email": "",
        "status": {"id": unassigned.pk, "name": "Unassigned"},
        "owner_id": None,
        "campaign_id": None,
        "source": "",
        "tags": ["diwali", "Hot"],
        "external_id": "Z-1",
        "created_at": lead["created_at"],
        "updated_at": lead["updated_at"],
        "converted_at": None,
    }
    again = client.get(f"/public/leads/{lead['id']}")
    assert again.json() == lead
    assert again["ETag"] == answer["ETag"]
    assert client.get("/public/leads").json()["results"] == [lead]
    assert Lead.objects.get().created_by_key_id == client.key.pk
