"""Which event is being handled here and now, for whoever is deep down and was not told: logging."""

from contextvars import ContextVar
from typing import NamedTuple

from eventuary.events import LogEvent


class Handling(NamedTuple):
    """An event in the hands of a subscriber."""

    subscriber_id: str
    event: LogEvent


#: Set while a handler runs, for it and whatever it calls or starts. None outside.
current_handling: ContextVar[Handling | None] = ContextVar("eventuary-handling", default=None)
