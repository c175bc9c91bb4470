"""Log lines that say which event was being handled when they were written.

    for handler in logging.getLogger().handlers:
        handler.addFilter(EventIds())
    logging.Formatter("%(message)s [%(subscriber_id)s %(event_id)s]")

or, with structlog:

    structlog.configure(processors=[add_event_ids, structlog.processors.JSONRenderer()])

It holds for all lines that are written within a handler and by whatever it calls, in its task or in
tasks and threads that got its context (``asyncio.create_task``, ``asyncio.to_thread``).
"""

import logging
from collections.abc import MutableMapping
from typing import Any

from eventuary.framework.current_handling import current_handling

_NAMES = ("subscriber_id", "event_id", "event_type", "entity_type", "entity_id")


class EventIds(logging.Filter):
    """Gives records the ids of the event being handled. For handlers: a logger's filters see only
    what is logged to itself.

    The attributes are ``subscriber_id``, ``event_id``, ``event_type``, ``entity_type`` and
    ``entity_id``. Outside of handlers they are ``absent``, so that a format may always name them.
    What a line says by itself, with ``extra=``, stays.
    """

    def __init__(self, absent: str | None = "-") -> None:
        super().__init__()
        self._absent = absent

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with the ids."""
        ids = _ids()
        for name in _NAMES:
            if not hasattr(record, name):
                setattr(record, name, ids.get(name, self._absent))
        return True


def add_event_ids(
    logger: Any, method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the ids of the event being handled, if there is one: a processor for structlog."""
    del logger, method
    for name, value in _ids().items():
        event_dict.setdefault(name, value)
    return event_dict


def _ids() -> dict[str, str]:
    handling = current_handling.get()
    if handling is None:
        return {}
    event = handling.event
    return {
        "subscriber_id": handling.subscriber_id,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
    }
