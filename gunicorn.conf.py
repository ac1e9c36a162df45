"""What gunicorn does beside the Procfile's options: it finds this file by itself."""

import signal
from importlib import import_module
from typing import Any

limit_request_line = 8190  # the most that there is: a list may be asked for with every filter at once


def post_worker_init(worker: Any) -> None:
    """Has readers who wait for events answered at once when the worker is told to end.

    And has what gunicorn itself refuses answered in the API's form, and the garbage collector pass over what is loaded.
    """
    import_module("calliyo.garbage").pass_over_what_is_loaded()
    import_module("gunicorn.util").write_error = import_module("calliyo.api.unparsed").refuse_unparsed
    # By name: this file is read before the apps are known.
    watcher = import_module("webhooks.feed.waiting").WATCHER

    def leave(number: int, frame: Any) -> None:
        watcher.close()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, leave)
