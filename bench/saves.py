"""What `Lead.save()` costs beside a bare Django model's save with the same columns and indexes."""

import itertools
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connection, models

from apikeys.models import APIKey
from bench.timing import Figure, interleaved, ratios, seconds_each
from calliyo import publisher
from calliyo.publisher import Publisher, Sender
from leads.models import Lead, LeadStatus
from webhooks.catalogue import EventType
from webhooks.models import Delivery, Event, Webhook

ROUNDS = 31
SAVES = 30  # a rival's in one round: short turns, so that a busy machine is as busy for all
WEBHOOKS = (0, 1, 10)
_numbers = itertools.count(1)


def bare_model() -> type[models.Model]:
    """A model without any of Calliyo's behaviour, over a table shaped as the leads' one."""
    fields: dict[str, Any] = {}
    for field in Lead._meta.concrete_fields:
        if isinstance(field, models.ForeignKey):
            fields[field.name] = models.ForeignKey(
                field.related_model,
                on_delete=models.DO_NOTHING,
                null=field.null,
                related_name="+",
                db_index=False,
            )
        else:
            fields[field.name] = field.clone()
    indexes = []
    for index in Lead._meta.indexes:
        copy = index.clone()
        copy.name = f"bare_{index.name}"[:30]
        indexes.append(copy)
    unique = models.UniqueConstraint(fields=["phone"], name="bare_phone_unique")
    meta = type("Meta", (), {"app_label": "bench", "indexes": indexes, "constraints": [unique]})
    return type("BareLead", (models.Model,), {**fields, "__module__": __name__, "Meta": meta})


class Saves:
    """The rivals: the bare model, and leads with some webhooks subscribed to all events."""

    def __init__(self) -> None:
        self.bare = bare_model()
        with connection.schema_editor() as editor:
            editor.create_model(self.bare)
        self.statuses = list(LeadStatus.objects.order_by("position")[:2])
        self.moment = self.statuses[0].created_at
        self.key = APIKey.objects.create(name="Bench", digest="0" * 64, prefix="cly_live_0000", scopes=[])
        self.webhooks = [
            Webhook.objects.create(api_key=self.key, url=f"https://r{n}.example.com/", events=list(EventType))
            for n in range(max(WEBHOOKS))
        ]

    def subscribe(self, count: int) -> None:
        """Leaves so many webhooks on."""
        Webhook.objects.update(active=False, off_reason="by_hand")
        Webhook.objects.filter(pk__in=[webhook.pk for webhook in self.webhooks[:count]]).update(
            active=True, off_reason=""
        )

    def new(self, model: Any) -> Any:
        number = next(_numbers)
        stamps = {} if model is Lead else {"created_at": self.moment, "updated_at": self.moment}
        return model(
            first_name="Asha",
            last_name="Verma",
            phone=f"+9198{number:08d}",
            email=f"asha{number}@example.com",
            status=self.statuses[0],
            source="website",
            **stamps,
        )

    def creating(self, model: Any) -> float:
        made = iter([self.new(model) for _ in range(SAVES)])
        return seconds_each(lambda: next(made).save(), SAVES)

    def updating(self, model: Any) -> float:
        """Each save changes the name and the status."""
        lead = self.new(model)
        lead.save()

        def change() -> None:
            number = next(_numbers)
            lead.first_name = f"Asha {number}"
            lead.status = self.statuses[number % 2]
            lead.save()

        return seconds_each(change, SAVES)

    def beside_a_hanging_broker(self, work: Callable[[Any], float]) -> float:
        """With one webhook, while the broker takes connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            usual = publisher._publisher
            publisher._publisher = Publisher(Sender(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
            try:
                return self.with_webhooks(1, work)
            finally:
                publisher._publisher = usual

    def with_webhooks(self, count: int, work: Callable[[Any], float]) -> float:
        self.subscribe(count)
        try:
            return work(Lead)
        finally:
            Delivery.objects.all().delete()
            Event.objects.all().delete()


def measure() -> dict[str, Any]:
    """For creating and updating: each rival's milliseconds, beside bare, and what is added in bare saves."""
    # One that hangs is what one rival is about; it would be told of in each of his rounds.
    logging.getLogger(publisher.__name__).setLevel(logging.ERROR)
    saves = Saves()
    results: dict[str, Any] = {"rounds": ROUNDS, "saves_a_round": SAVES}
    for name, work in {"create": saves.creating, "update": saves.updating}.items():
        rivals: dict[str, Callable[[], float]] = {"bare": partial(work, saves.bare)}
        for count in WEBHOOKS:
            rivals[f"{count} webhooks"] = partial(saves.with_webhooks, count, work)
        rivals["1 webhook, broker hangs"] = partial(saves.beside_a_hanging_broker, work)
        said = interleaved(rivals, rounds=ROUNDS)
        results[name] = {
            rival: {
                "ms": Figure.of([value * 1000 for value in values]).as_dict(),
                "times_bare": ratios(values, said["bare"]).as_dict(),
                "added_in_bare_saves": ratios(
                    [value - bare for value, bare in zip(values, said["bare"], strict=True)], said["bare"]
                ).as_dict(),
            }
            for rival, values in said.items()
        }
    return results
