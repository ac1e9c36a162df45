"""Each earlier secret signs until its own end: a list takes the place of the one."""

from django.db import migrations, models

import calliyo.fields


def into_a_list(apps, schema_editor):
    for webhook in apps.get_model("webhooks", "Webhook").objects.exclude(previous_secret=""):
        if webhook.previous_secret_until is not None:
            until = webhook.previous_secret_until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            webhook.previous_secrets = [{"secret": webhook.previous_secret, "until": until}]
            webhook.save(update_fields=["previous_secrets"])


def back_to_one(apps, schema_editor):
    """The newest; the others end."""
    for webhook in apps.get_model("webhooks", "Webhook").objects.exclude(previous_secret_until=None):
        if webhook.previous_secrets:
            webhook.previous_secret = webhook.previous_secrets[0]["secret"]
            webhook.save(update_fields=["previous_secret"])


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0005_tallies")]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="previous_secrets",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="those that sign too, the newest first: secret (encrypted), until",
            ),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="previous_secret_until",
            field=calliyo.fields.MomentField(
                blank=True, editable=False, help_text="when the last of them ends", null=True
            ),
        ),
        migrations.RunPython(into_a_list, back_to_one, elidable=True),
        migrations.RemoveField(model_name="webhook", name="previous_secret"),
    ]
