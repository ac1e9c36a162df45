"""`manage.py listen`: a local webhook receiver for developers."""

import json
import threading
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import CommandParser
from rich.console import Console
from rich.json import JSON
from rich.text import Text

from calliyo.command import CalliyoCommand, Refused, WrongUsage
from calliyo.errors import DomainError
from webhooks.listener import Arrival, Listener, Verdict
from webhooks.secrets import check_secret

_STYLES = {
    Verdict.VERIFIED: "green",
    Verdict.WRONG: "bold red",
    Verdict.MISSING: "yellow",
    Verdict.UNVERIFIED: "yellow",
}


class Command(CalliyoCommand):
    help = (
        "Receives webhooks on this machine: verifies each signature, prints event, id, lag and body. "
        "With --json one object a line. Ctrl-C ends it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9000, help="where to listen (9000)")
        parser.add_argument("--secret", help="the webhook's secret; without one, nothing is verified")
        parser.add_argument("--status", type=int, default=200, help="what to answer (200)")
        parser.add_argument("--delay", type=float, default=0.0, help="seconds to wait before answering (0)")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Listens until Ctrl-C."""
        if not 200 <= options["status"] <= 599:
            raise WrongUsage("--status is an HTTP status from 200 to 599.")
        if not 0 <= options["delay"] <= 600 or not 0 <= options["port"] <= 65535:
            raise WrongUsage("--delay is 0 to 600 seconds, --port 0 to 65535.")
        tell = self._as_line if options["json"] else self._for_people
        self._printing = threading.Lock()
        self._console = Console(file=cast(IO[str], self.stdout))
        with self._listener(options, tell) as listener:
            self._begin(listener, options)
            try:
                listener.serve_forever(poll_interval=0.1)
            except KeyboardInterrupt:
                if not options["json"]:
                    self._console.print("\nNo longer listening.")

    def _listener(self, options: dict[str, Any], tell: Any) -> Listener:
        secret = options["secret"]
        try:
            if secret is not None:
                check_secret(secret)
            return Listener(
                port=options["port"],
                secret=secret,
                status=options["status"],
                delay=options["delay"],
                tell=tell,
            )
        except DomainError as error:
            raise Refused(error.detail) from error
        except OSError as error:
            raise Refused(f"Port {options['port']} can't be listened on: {error.strerror}.") from error

    def _begin(self, listener: Listener, options: dict[str, Any]) -> None:
        address = f"http://127.0.0.1:{listener.server_address[1]}"
        if options["json"]:
            return
        answers = f"answers {options['status']}" + (
            f" after {options['delay']:g} s" if options["delay"] else ""
        )
        self._console.print(Text(f"Listening on {address}/ ({answers}). Ctrl-C ends it."))
        if options["secret"] is None:
            self._console.print(Text("No --secret: signatures are shown as unverified.", style="yellow"))

    def _as_line(self, arrival: Arrival) -> None:
        with self._printing:
            self.stdout.write(json.dumps(asdict(arrival) | {"trusted": arrival.trusted}))
            self.stdout.flush()

    def _for_people(self, arrival: Arrival) -> None:
        lag = "" if arrival.lag_ms is None else f"  {arrival.lag_ms} ms after it happened"
        number = f"  no. {arrival.sequence}" if arrival.sequence else ""
        with self._printing:
            self._console.print()
            self._console.print(
                Text.assemble((arrival.event or "(no event)", "bold"), f"  {arrival.id}{number}{lag}")
            )
            self._console.print(_signatures(arrival))
            self._console.print(
                JSON.from_data(arrival.body)
                if isinstance(arrival.body, dict | list)
                else Text(str(arrival.body))
            )


def _signatures(arrival: Arrival) -> Text:
    both = (arrival.calliyo_signature, arrival.standard_signature)
    if both == (Verdict.MISSING, Verdict.MISSING):
        return Text("unsigned: this webhook has no secret", style="yellow")
    return Text.assemble(
        "X-Calliyo-Signature ",
        (both[0].value, _STYLES[both[0]]),
        "  webhook-signature ",
        (both[1].value, _STYLES[both[1]]),
    )
