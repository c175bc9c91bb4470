"""Running subscribers, and views, beside an application: from its start to its end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar, overload

from eventuary.event_store import EventStore
from eventuary.framework.handling import RunningSubscriber
from eventuary.framework.subscriber import Subscriber


class AtWork(Protocol):
    """What takes the events of one subscription: a subscriber's handlers, or a view."""

    @property
    def subscriber_id(self) -> str:
        """The subscription's subscriber id."""

    @property
    def trouble(self) -> str | None:
        """Why it does not run; None: it does."""

    async def start(self) -> None:
        """Subscribe."""

    async def stop(self, grace: float) -> None:
        """Finish what is under way, within so many seconds, and unsubscribe."""

    async def caught_up(self) -> None:
        """Return when all its events that are in the log by now are dealt with."""


_W_co = TypeVar("_W_co", bound=AtWork, covariant=True)
_W = TypeVar("_W", bound=AtWork)


class Works(Protocol[_W_co]):
    """What can be set to work over a store: a view. Of a subscriber ``running`` knows how."""

    def at_work(self, store: EventStore) -> _W_co:
        """Return it at work, not yet started."""


class Running:
    """The subscribers that run."""

    def __init__(self, started: dict[Subscriber | Works[Any], AtWork]) -> None:
        self._started = started

    @overload
    def __getitem__(self, subscriber: Subscriber) -> RunningSubscriber: ...
    @overload
    def __getitem__(self, subscriber: Works[_W]) -> _W: ...

    def __getitem__(self, subscriber: Subscriber | Works[Any]) -> Any:
        """Return a subscriber, or a view, at work."""
        return self._started[subscriber]

    def troubles(self) -> dict[str, str]:
        """Return the subscribers that do not run, by their ids, and why."""
        return {
            each.subscriber_id: trouble
            for each in self._started.values()
            if (trouble := each.trouble) is not None
        }

    def waits(self) -> dict[str, str]:
        """Return the subscribers that have paused, by their ids, and which system is down."""
        return {
            each.subscriber_id: system
            for each in self._started.values()
            if isinstance(each, RunningSubscriber) and (system := each.waits_for) is not None
        }

    async def caught_up(self) -> None:
        """Return when all have handled what was in the log when each was asked, one by one.

        What their handlers store meanwhile may be for others to handle: ask until it is quiet.
        """
        for each in self._started.values():
            await each.caught_up()


@asynccontextmanager
async def running(
    store: EventStore, *subscribers: Subscriber | Works[Any], grace: float = 10.0
) -> AsyncIterator[Running]:
    """Run subscribers and views within the block, over a store that is open.

    ``grace``: seconds that handlers have to finish at the end of it.
    """
    async with AsyncExitStack() as stack:
        started: dict[Subscriber | Works[Any], AtWork] = {}
        for subscriber in subscribers:
            each: AtWork = (
                RunningSubscriber(subscriber, store)
                if isinstance(subscriber, Subscriber)
                else subscriber.at_work(store)
            )
            await each.start()
            stack.push_async_callback(each.stop, grace)
            started[subscriber] = each
        yield Running(started)
