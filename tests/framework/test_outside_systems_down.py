"""An outside system that is down: the subscription pauses, nothing is lost, nothing given up."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventuary import (
    Circuit,
    Context,
    DeliveryPolicy,
    Durability,
    Forbidden,
    OutsideSystem,
    Retries,
    ServiceUnavailable,
    Subscriber,
    running,
)
from eventuary.connecting import VanishingEventStore
from eventuary.delivery.consumer import Consumer
from eventuary.swimlanes import swimlane_of
from eventuary.testing import eventually, memory_store
from tests.framework.listener import Listener, tick
from tests.framework.post_office import Clerk, LetterWritten, PostOffice, write

#: A single failure that counted would make a dead letter.
STRICT = DeliveryPolicy(max_attempts=1)

#: Letters in several swimlanes.
LETTERS = [f"letter-{number}" for number in range(12)]


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with PostOffice() as office:
        yield office


@pytest.fixture
async def store() -> AsyncIterator[VanishingEventStore]:
    async with memory_store() as store:
        yield store


def system(
    *, failures: int = 3, first_pause: float = 0.01, longest_pause: float = 0.05
) -> OutsideSystem:
    return OutsideSystem(
        "post",
        timeout=60,
        retries=Retries(attempts=failures, first_pause=0.001, longest_pause=0.002),
        circuit=Circuit(failures, first_pause, longest_pause),
    )


async def test_while_it_is_down_the_subscription_is_left_and_afterwards_all_is_sent_once(
    store: VanishingEventStore, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    await office.close()
    clerk = Clerk(office, system(), policy=STRICT)
    async with running(store, clerk.subscriber) as run:
        for letter in LETTERS:
            await write(store, "1", "2", "3", letter=letter)
        await eventually(lambda: run[clerk.subscriber].waits_for == "post")
        await eventually(lambda: store.consumers == 0)
        assert run.troubles() == {}
        assert run.waits() == {"clerk": "post"}
        await write(store, "4", letter=LETTERS[0])
        await office.open()
        await run.caught_up()
        assert run[clerk.subscriber].waits_for is None
        assert run.waits() == {}
        assert store.consumers == 1
    assert clerk.texts(LETTERS[0]) == ["1", "2", "3", "4"]
    assert [clerk.texts(each) for each in LETTERS[1:]] == [["1", "2", "3"]] * 11
    assert len(office.taken) == len(set(office.taken)) == 37
    assert await store.subscriptions.dead_letters("default", "clerk") == []
    told = [record.getMessage() for record in caplog.records if record.name == "eventuary.outside"]
    assert len(told) == 2
    assert told[0].startswith("outside system 'post' is down, what needs it waits: ")
    assert "Connect call failed" in told[0]
    assert told[1].startswith("outside system 'post' answers again, after ")


async def test_one_call_at_a_time_is_tried_after_ever_longer_pauses(
    store: VanishingEventStore, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.breaks = 10**6
    clerk = Clerk(office, system(failures=1, first_pause=0.1, longest_pause=0.2), policy=STRICT)
    with caplog.at_level(logging.INFO, "eventuary.outside"):
        async with running(store, clerk.subscriber) as run:
            await write(store, "1")
            await eventually(lambda: run[clerk.subscriber].waits_for == "post")
            for letter in LETTERS:
                await write(store, "1", letter=letter)
            asked = len(office.asked)
            await eventually(lambda: len(office.asked) >= asked + 4)
            office.breaks = 0
            await run.caught_up()
    trials = [
        record.getMessage() for record in caplog.records if "is still down" in record.getMessage()
    ]
    pauses = [each.split("tried again in ")[1].split(" s")[0] for each in trials]
    assert pauses == ["0.2"] * len(pauses)
    # The first call, each trial that failed, and those that were taken: one after the other.
    assert len(office.asked) == 1 + len(trials) + 13
    assert len(office.taken) == 13


async def test_other_subscribers_of_the_process_go_on(
    store: VanishingEventStore, office: PostOffice
) -> None:
    await office.close()
    clerk, listener = Clerk(office, system(first_pause=600, longest_pause=600)), Listener()
    async with running(store, clerk.subscriber, listener.subscriber) as run:
        await write(store, "1")
        await eventually(lambda: run[clerk.subscriber].waits_for == "post")
        await tick(store, 1, 2, 3)
        await run[listener.subscriber].caught_up()
        assert listener.heard == [1, 2, 3]


async def test_handlers_that_are_under_way_finish_and_are_not_run_again(
    store: VanishingEventStore, office: PostOffice
) -> None:
    """The one that waits for a slow answer, while another finds the system down."""
    clerk = Clerk(office, system(failures=1), policy=STRICT)
    office.answering.clear()
    async with running(store, clerk.subscriber) as run:
        await write(store, "slow", letter="letter-0")
        await eventually(lambda: len(office.asked) == 1)
        slow = office.asked[0]
        await write(store, "other", letter="letter-1")
        await eventually(lambda: len(office.asked) == 2)
        other = office.asked[1]
        office.breaks_key[other] = 1
        office.answering.set()
        await run.caught_up()
    assert office.asked.count(slow) == 1
    assert sorted(office.taken) == sorted([slow, other])
    assert min(clerk.sent) == ("letter-0", "slow", "1", 1)


async def test_caught_up_waits_for_the_return(
    store: VanishingEventStore, office: PostOffice
) -> None:
    await office.close()
    clerk = Clerk(office, system(first_pause=0.05))
    async with running(store, clerk.subscriber) as run:
        await write(store, "1")
        waiting = asyncio.ensure_future(run.caught_up())  # asked before, and during, the pause
        await eventually(lambda: run[clerk.subscriber].waits_for == "post")
        await eventually(lambda: store.consumers == 0)
        late = asyncio.ensure_future(run.caught_up())
        await asyncio.wait([waiting, late], timeout=0.2)
        assert not waiting.done()
        assert not late.done()
        await office.open()
        await waiting
        await late
        assert clerk.texts() == ["1"]


async def test_a_paused_subscriber_stops_at_once_and_goes_on_when_it_is_started(
    store: VanishingEventStore, office: PostOffice
) -> None:
    await office.close()
    clerk = Clerk(office, system(first_pause=600, longest_pause=600), policy=STRICT)
    async with asyncio.timeout(60):  # less than the grace that handlers have
        async with running(store, clerk.subscriber, grace=600) as run:
            await write(store, "1")
            await eventually(lambda: run[clerk.subscriber].waits_for == "post")
            await eventually(lambda: store.consumers == 0)
            waiting = asyncio.ensure_future(run.caught_up())
            await asyncio.sleep(0)
        with pytest.raises(ServiceUnavailable, match="'clerk' has ended"):
            await waiting
    await office.open()
    clerk = Clerk(office, system(), policy=STRICT)
    async with running(store, clerk.subscriber) as run:
        await run.caught_up()
    assert clerk.texts() == ["1"]


async def test_what_always_fails_is_a_dead_letter_in_the_end_and_holds_nobody_up(
    store: VanishingEventStore, office: PostOffice
) -> None:
    """The other side stumbles over one letter, and is well."""
    bad_lane = swimlane_of("Letter", "bad", 8)
    clerk = Clerk(office, system(), policy=DeliveryPolicy(max_attempts=2, first_pause=0.001))
    async with running(store, clerk.subscriber) as run:
        office.answering.clear()
        await write(store, "bad", letter="bad")
        await eventually(lambda: len(office.asked) == 1)
        bad = office.asked[0]
        office.breaks_key[bad] = 10**6
        office.answering.set()
        await eventually(lambda: run[clerk.subscriber].waits_for == "post")
        apart = [each for each in LETTERS if swimlane_of("Letter", each, 8) != bad_lane]
        for number, letter in enumerate(apart):
            await write(store, "1", letter=letter)
            # Whatever the circuit does on account of the bad one, the others get through.
            await eventually(lambda: len(clerk.sent) == number + 1)  # noqa: B023
        await eventually(lambda: store.statistics.dead_letters == 1)
        assert store.consumers == 1
    [dead] = await store.subscriptions.dead_letters("default", "clerk")
    assert (dead.entity_id, dead.attempts) == ("bad", 2)
    assert dead.reason == "ConnectionError: the post office has broken off"


async def test_a_transient_subscription_is_not_left_as_it_would_be_gone(
    store: VanishingEventStore, office: PostOffice
) -> None:
    await office.close()
    post = system(first_pause=0.001, longest_pause=0.01)
    subscriber = Subscriber(
        "clerk",
        durability=Durability.TRANSIENT,
        policy=DeliveryPolicy(max_attempts=10**6, first_pause=0.001, longest_pause=0.01),
    )
    attempts: list[int] = []

    @subscriber.on(LetterWritten)
    async def send(_: LetterWritten, context: Context) -> None:
        attempts.append(context.attempt)
        await context.call(post, office.send)

    async with running(store, subscriber) as run:
        await write(store, "1")
        await eventually(lambda: len(attempts) > 3)
        assert run[subscriber].waits_for is None
        assert store.consumers == 1
        await office.open()
        await run.caught_up()
    assert len(office.taken) == 1


class Leaving(VanishingEventStore):
    """A store that lets nobody come back."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error
        self._come = False

    async def subscribe(self, *arguments: Any, **options: Any) -> Consumer:
        """Let one come."""
        if self._come:
            raise self._error
        self._come = True
        return await super().subscribe(*arguments, **options)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (Forbidden("key 'clerk' is read-only"), "key 'clerk' is read-only"),
        (RuntimeError("odd"), "its pause failed unexpectedly: odd"),
    ],
)
async def test_one_that_may_not_come_back_has_ended_and_says_why(
    office: PostOffice, error: Exception, trouble: str
) -> None:
    await office.close()
    clerk = Clerk(office, system())
    async with Leaving(error) as store, running(store, clerk.subscriber) as run:
        await write(store, "1")
        assert await run[clerk.subscriber].ended() == trouble
        assert run.troubles() == {"clerk": trouble}
        with pytest.raises(ServiceUnavailable, match="'clerk' has ended"):
            await run.caught_up()
