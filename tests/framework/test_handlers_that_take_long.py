"""A handler that takes longer than the store waits for an answer: order is kept all the same."""

import asyncio

from eventuary import (
    Aggregate,
    Context,
    DeliveryPolicy,
    Event,
    Repository,
    Subscriber,
    apply,
    running,
)
from eventuary.testing import eventually, memory_store


class Counted(Event, entity="Count"):
    number: int


class Count(Aggregate):
    @apply
    def _counted(self, event: Counted) -> None: ...


async def test_what_comes_again_while_it_is_handled_is_not_handled_after_what_follows_it() -> None:
    impatient = DeliveryPolicy(ack_timeout=0.05, first_pause=0.001, longest_pause=0.001)
    subscriber = Subscriber("slow", policy=impatient)
    begun: list[int] = []
    come_again = asyncio.Event()

    @subscriber.on(Counted)
    async def count(event: Counted, _: Context) -> None:
        begun.append(event.number)
        if begun == [0]:
            await come_again.wait()

    async with memory_store() as store, running(store, subscriber) as run:
        await Repository(store, Count).save([Counted(number) for number in range(3)])
        await eventually(lambda: store.statistics.redeliveries >= 1)
        come_again.set()
        await run.caught_up()
        status = await store.subscriptions.inspect("default", "slow")
        assert status.lag == 0
    # What follows may come twice, but nothing comes again without all that follows it.
    assert begun[:2] == [0, 1]
    assert begun.count(0) == 1
    assert begun[-1] == 2
    assert begun in ([0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 1, 2])
