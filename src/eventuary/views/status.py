"""Where a view stands, as far as its storage and the event store together can tell."""

from typing import TypeVar

from eventuary.delivery.status import SubscriptionStatus
from eventuary.errors import NotFound
from eventuary.event_store import EventStore
from eventuary.views.declaration import Declaration, ViewStatus
from eventuary.views.generation import Generation, building, live
from eventuary.views.storage import KeptView

_U = TypeVar("_U")


async def status_of(
    declaration: Declaration[_U], kept: KeptView[_U], store: EventStore
) -> ViewStatus:
    """Return a view's status; generation 0: it was never opened. Raises ServiceUnavailable."""
    generations = await kept.generations()
    read, built = live(generations), building(generations)
    fed = await _subscription(declaration, read, store)
    filled = await _subscription(declaration, built, store)
    return ViewStatus(
        view=declaration.name,
        generation=read.number if read else 0,
        lag=fed.lag if fed else 0,
        dead_letters=fed.dead_letters if fed else 0,
        processes=fed.consumers if fed else 0,
        building=built.number if built else None,
        building_lag=filled.lag if filled else None,
    )


async def _subscription(
    declaration: Declaration[_U], generation: Generation | None, store: EventStore
) -> SubscriptionStatus | None:
    if generation is None:
        return None
    try:
        return await store.inspect(declaration.space, declaration.subscriber_id(generation))
    except NotFound:
        return None
