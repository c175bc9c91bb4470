"""The end of a generation: nobody switches to it; its subscription goes, then what it held."""

import time
from typing import TypeVar

from eventuary.event_store import EventStore
from eventuary.views.declaration import Declaration
from eventuary.views.generation import Generation, GenerationState
from eventuary.views.storage import KeptView

_U = TypeVar("_U")

#: Seconds for which a retired generation is kept: whoever reads it has long noticed by then.
KEPT_FOR = 60.0


async def drop_generation(
    declaration: Declaration[_U], kept: KeptView[_U], store: EventStore, generation: Generation
) -> None:
    """Drop a generation that is not live. Interrupted, it is done again.

    Raises ValueError when another process has made it live meanwhile: then it is as it was.
    """
    await kept.retire(generation.number)
    await store.delete_subscription(declaration.space, declaration.subscriber_id(generation))
    await kept.drop(generation.number)


async def drop_retired(
    declaration: Declaration[_U],
    kept: KeptView[_U],
    store: EventStore,
    *,
    kept_for: float = KEPT_FOR,
) -> None:
    """Drop the generations that were retired so many seconds ago."""
    now = time.time_ns() // 1_000_000
    for each in await kept.generations():
        if each.state is GenerationState.RETIRED and now - each.since >= kept_for * 1000:
            await drop_generation(declaration, kept, store, each)
