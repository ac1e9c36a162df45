"""What a thread of the engine outlives."""

import logging
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection

logger = logging.getLogger(__name__)


def outlived(step: Callable[[], None]) -> bool:
    """Whether `step` was done; a database that is away is waited for, a fault of ours is told, neither ends us."""
    try:
        connection.close_if_unusable_or_obsolete()
        step()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("The engine lost its database and tries again: %s", str(error).strip() or repr(error))
        connection.close()
        return False
    except Exception:
        logger.exception("A fault in the engine; what it was about stays due")
        return False
    return True
