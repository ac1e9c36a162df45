"""The ten stages of a fresh company (domain.md, *Lead status*)."""

from django.db import migrations
from django.utils import timezone

from calliyo.fields import whole_milliseconds
from leads.models.status import seed_statuses


def seed(apps, schema_editor):
    now = whole_milliseconds(timezone.now())
    seed_statuses(apps.get_model("leads", "LeadStatus"), stamps={"created_at": now, "updated_at": now})


class Migration(migrations.Migration):
    dependencies = [("leads", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
