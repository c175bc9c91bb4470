"""Running subscribers beside an application: from its start to its end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from eventuary.event_store import EventStore
from eventuary.framework.handling import RunningSubscriber
from eventuary.framework.subscriber import Subscriber


class Running:
    """The subscribers that run."""

    def __init__(self, subscribers: dict[Subscriber, RunningSubscriber]) -> None:
        self._subscribers = subscribers

    def __getitem__(self, subscriber: Subscriber) -> RunningSubscriber:
        """Return a subscriber at work."""
        return self._subscribers[subscriber]

    def troubles(self) -> dict[str, str]:
        """Return the subscribers that do not run, by their ids, and why."""
        return {
            each.subscriber_id: trouble
            for each in self._subscribers.values()
            if (trouble := each.trouble) is not None
        }

    def waits(self) -> dict[str, str]:
        """Return the subscribers that have paused, by their ids, and which system is down."""
        return {
            each.subscriber_id: system
            for each in self._subscribers.values()
            if (system := each.waits_for) is not None
        }

    async def caught_up(self) -> None:
        """Return when all have handled what was in the log when each was asked, one by one.

        What their handlers store meanwhile may be for others to handle: ask until it is quiet.
        """
        for each in self._subscribers.values():
            await each.caught_up()


@asynccontextmanager
async def running(
    store: EventStore, *subscribers: Subscriber, grace: float = 10.0
) -> AsyncIterator[Running]:
    """Run subscribers within the block, over a store that is open.

    ``grace``: seconds that handlers have to finish at the end of it.
    """
    async with AsyncExitStack() as stack:
        started: dict[Subscriber, RunningSubscriber] = {}
        for subscriber in subscribers:
            each = RunningSubscriber(subscriber, store)
            await each.start()
            stack.push_async_callback(each.stop, grace)
            started[subscriber] = each
        yield Running(started)
