"""What an engine holds: a worker's memory over a hundred thousand deliveries."""

import os
from typing import Any

from bench.backlog import carried_out, new_webhooks, wait_for_receiver
from bench.processes import memory_of, process, workers
from tests.servers import free_port

STEP, STEPS = (2000, 5) if "BENCH_QUICK" in os.environ else (20_000, 5)


def measure() -> dict[str, Any]:
    address = f"http://127.0.0.1:{free_port()}"
    with process("bench.fast_receiver", address.rpartition(":")[2]), workers() as [worker]:
        wait_for_receiver(address)
        webhooks = new_webhooks(address, "fast", 1)
        carried_out(webhooks, STEP)  # connections, plans
        memory = [memory_of(worker)]
        for _ in range(STEPS):
            carried_out(webhooks, STEP)
            memory.append(memory_of(worker))
    return {"memory_mb": memory, "memory_step": STEP}
