"""What came of one attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from webhooks.delivery.failures import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds that each step took; `first_byte`: from the request's last byte to the answer's first.

    `dns`, `connect` and `tls` are null on a connection that was kept alive, and where it did not come so far.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of one attempt: the answer, if there was one, and why it counts as a failure, if it does.

    `body` is the answer's first 2 kB as they came, `address` what was connected to; a `status` may stand beside a
    failure (a body that never ended).
    """

    status: int | None = None
    address: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timings: Timings
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.failure is None
