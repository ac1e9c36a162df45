"""Each index of what waits says so in words of its own, so that a statement is read by the one that it means.

One index fewer: what has no number yet is found by the one of sequences.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0010_asked_for_leases"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="delivery",
            name="delivery_waiting_has_next_attempt",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_due",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_unnumbered",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_in_sequence",
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", False)),
                fields=["webhook", "next_attempt_at", "id"],
                name="delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("finished_at", None)),
                fields=["webhook", "sequence", "id"],
                name="delivery_in_sequence",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("next_attempt_at__isnull", False), ("state", "waiting")),
                    models.Q(models.Q(("state", "waiting"), _negated=True), ("next_attempt_at", None)),
                    _connector="OR",
                ),
                name="delivery_next_attempt_while_waiting",
            ),
        ),
    ]
