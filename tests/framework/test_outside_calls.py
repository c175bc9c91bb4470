"""Calls of outside systems: made once, under one key; retried in place; or refused for good."""

import logging
from collections.abc import AsyncIterator

import pytest

from eventuary import (
    Circuit,
    Context,
    DeliveryPolicy,
    DuplicateEvent,
    OnDeadLetter,
    OutsideSystem,
    OutsideSystemDown,
    Retries,
    Subscriber,
    running,
)
from eventuary.connecting import VanishingEventStore
from eventuary.events import EntityEvent
from eventuary.framework.trigger import Trigger
from eventuary.testing import eventually, memory_store
from eventuary.tokens import event_token
from tests.framework.post_office import Clerk, LetterWritten, PostOffice, write

QUICK = Retries(attempts=3, first_pause=0.001, longest_pause=0.002)
#: Never opens in these tests.
TOLERANT = Circuit(failures=1000)

RECORD = "eventuary.OutsideCall"


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with PostOffice() as office:
        yield office


@pytest.fixture
async def store() -> AsyncIterator[VanishingEventStore]:
    async with memory_store() as store:
        yield store


def system(timeout: float = 60.0) -> OutsideSystem:
    return OutsideSystem("post", timeout=timeout, retries=QUICK, circuit=TOLERANT)


async def token_of(store: VanishingEventStore, letter: str = "a", subscriber: str = "clerk") -> str:
    [written] = (await store.load("default", "Letter", letter)).events
    return event_token(subscriber, written.id)


async def record_of(store: VanishingEventStore, token: str, name: str = "") -> EntityEvent:
    """Return what is recorded of a call; and that the event's token went with it."""
    record = Trigger("", token, None).new_entity_id(f"{RECORD}\0post\0{name}")  # type: ignore[arg-type]  # of no interest
    [event] = await store.history("default", RECORD, record)
    with pytest.raises(DuplicateEvent):
        await store.load("default", RECORD, record, triggering_event_token=token)
    return event


async def test_a_call_has_the_events_token_as_its_key_and_is_recorded(
    store: VanishingEventStore, office: PostOffice
) -> None:
    clerk = Clerk(office, system())
    async with running(store, clerk.subscriber) as run:
        await write(store, "hello")
        await run.caught_up()
    token = await token_of(store)
    assert clerk.sent == [("a", "hello", "1", 1)]
    assert office.taken == [token]
    event = await record_of(store, token)
    assert event.event_type == "OutsideCallMade"
    assert event.event_data == f'{{"system":"post","key":"{token}","receipt":"1"}}'


async def test_an_event_that_comes_again_sends_nothing_and_gets_the_same_receipt(
    store: VanishingEventStore, office: PostOffice
) -> None:
    for _ in range(2):
        clerk = Clerk(office, system())
        async with running(store, clerk.subscriber) as run:
            if not office.asked:
                await write(store, "hello", "world")
            await run.caught_up()
        assert [receipt for _, _, receipt, _ in clerk.sent] == ["1", "2"]
        await store.subscriptions.reset("default", "clerk", {0: 0})
    assert len(office.asked) == 2


async def test_another_subscriber_sends_for_itself(
    store: VanishingEventStore, office: PostOffice
) -> None:
    first = Clerk(office, system())
    second = Clerk(office, system(), subscriber_id="other")
    async with running(store, first.subscriber, second.subscriber) as run:
        await write(store, "hello")
        await run.caught_up()
    assert set(office.taken) == {await token_of(store), await token_of(store, subscriber="other")}


async def test_several_calls_of_one_system_are_told_apart_by_names(
    store: VanishingEventStore, office: PostOffice
) -> None:
    subscriber = Subscriber("clerk")
    post = system()
    receipts: list[str | None] = []

    @subscriber.on(LetterWritten)
    async def send(_: LetterWritten, context: Context) -> None:
        receipts.append(await context.call(post, office.send))
        with pytest.raises(RuntimeError, match="'post' is called twice while one event is handled"):
            await context.call(post, office.send)
        with pytest.raises(ValueError, match=r"name: 'a copy' is not 1 to 100 letters, digits"):
            await context.call(post, office.send, name="a copy")
        receipts.append(await context.call(post, office.send, name="copy"))
        with pytest.raises(RuntimeError, match="give each a name of its own"):
            await context.call(post, office.send, name="copy")

    async with running(store, subscriber) as run:
        await write(store, "hello")
        await run.caught_up()
    token = await token_of(store)
    assert office.taken == [token, f"{token}.copy"]
    assert receipts == ["1", "2"]
    assert '"receipt":"2"' in (await record_of(store, token, "copy")).event_data


async def test_a_call_that_fails_is_repeated_in_place_under_the_same_key(
    store: VanishingEventStore, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.breaks = 2
    clerk = Clerk(office, system())
    with caplog.at_level(logging.INFO, "eventuary.outside"):
        async with running(store, clerk.subscriber) as run:
            await write(store, "hello")
            await run.caught_up()
    assert clerk.sent == [("a", "hello", "1", 1)]
    assert office.asked == [await token_of(store)] * 3
    assert [record.getMessage().split(", again in")[0] for record in caplog.records] == [
        "outside system 'post': a call failed"
    ] * 2


async def test_when_all_repetitions_fail_the_event_comes_again(
    store: VanishingEventStore, office: PostOffice
) -> None:
    office.breaks = 4
    clerk = Clerk(office, system())
    async with running(store, clerk.subscriber) as run:
        await write(store, "hello", "world")
        await run.caught_up()
    assert [(text, attempt) for _, text, _, attempt in clerk.sent] == [("hello", 2), ("world", 1)]
    assert len(office.asked) == 6


async def test_a_call_has_a_time_out(store: VanishingEventStore, office: PostOffice) -> None:
    office.answering.clear()
    clerk = Clerk(
        office,
        system(timeout=0.01),
        policy=DeliveryPolicy(max_attempts=1, on_dead_letter=OnDeadLetter.CONTINUE),
    )
    async with running(store, clerk.subscriber) as run:
        await write(store, "hello")
        await run.caught_up()
    [letter] = await store.subscriptions.dead_letters("default", "clerk")
    assert letter.reason == (
        "TimeoutError: outside system 'post' has not answered within 0.01 s, the limit timeout"
    )
    assert clerk.sent == []


async def test_a_time_out_of_the_calls_own_stays_what_it_is(
    store: VanishingEventStore,
) -> None:
    subscriber = Subscriber("clerk", policy=DeliveryPolicy(max_attempts=1))

    @subscriber.on(LetterWritten)
    async def send(_: LetterWritten, context: Context) -> None:
        async def call(_: str) -> str:
            raise TimeoutError("the driver's own")

        await context.call(system(), call)

    async with running(store, subscriber):
        await write(store, "hello")
        await eventually(lambda: store.statistics.dead_letters == 1)
    [letter] = await store.subscriptions.dead_letters("default", "clerk")
    assert letter.reason == "TimeoutError: the driver's own"


async def test_what_is_refused_for_good_is_a_dead_letter_at_once_and_may_be_replayed(
    store: VanishingEventStore, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.refusal = "there is no such address"
    clerk = Clerk(office, system())
    async with running(store, clerk.subscriber) as run:
        await write(store, "hello")
        await eventually(lambda: store.statistics.dead_letters == 1)
        [letter] = await store.subscriptions.dead_letters("default", "clerk")
        assert (letter.attempts, letter.reason) == (1, "Refused: there is no such address")
        assert len(office.asked) == 1
        office.refusal = None
        await store.subscriptions.replay("default", "clerk", letter.position)
        await run.caught_up()
        assert office.taken == [await token_of(store)]
        await eventually(lambda: no_dead_letters(store))
    assert "could not handle LetterWritten" in caplog.text
    assert "of Letter 'a', it is given up: Refused: there is no such address" in caplog.text


async def no_dead_letters(store: VanishingEventStore) -> bool:
    return not await store.subscriptions.dead_letters("default", "clerk")


async def test_a_handler_may_have_another_way_to_go(
    store: VanishingEventStore, office: PostOffice
) -> None:
    """A system that is down is an exception like any other: who catches it has dealt with it."""
    subscriber = Subscriber("clerk")
    fax = OutsideSystem("fax", circuit=Circuit(failures=1))
    post = system()
    ways: list[str] = []

    async def engaged(_: str) -> str:
        raise ConnectionError("engaged")

    @subscriber.on(LetterWritten)
    async def send(_: LetterWritten, context: Context) -> None:
        try:
            await context.call(fax, engaged)
            ways.append("fax")
        except OutsideSystemDown as down:
            ways.append(f"post, as {down}")
            await context.call(post, office.send)

    async with running(store, subscriber) as run:
        await write(store, "hello", "world")
        await run.caught_up()
        assert run[subscriber].waits_for is None
    assert ways == ["post, as outside system 'fax' is down"] * 2
    assert len(office.taken) == 2


async def test_a_receipt_is_text_of_bounded_length_or_nothing(store: VanishingEventStore) -> None:
    subscriber = Subscriber("clerk")
    receipts: list[str | None] = []

    @subscriber.on(LetterWritten)
    async def send(event: LetterWritten, context: Context) -> None:
        async def call(_: str) -> str | None:
            answers: dict[str, object] = {"none": None, "long": "x" * 5000, "number": 7}
            return answers[event.text]  # type: ignore[return-value]  # as untyped code may do

        receipts.append(await context.call(system(), call))

    async with running(store, subscriber) as run:
        await write(store, "none", "long", "number")
        await run.caught_up()
    assert receipts == [None, "x" * 1000, "7"]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda: OutsideSystem("a b"), "name: 'a b' is not 1 to 100 letters"),
        (lambda: OutsideSystem(""), "name: '' is not"),
        (lambda: OutsideSystem("s", timeout=0), "timeout: 0 is not above 0 seconds"),
        (lambda: Circuit(failures=0), "failures: 0 is below 1"),
        (lambda: Circuit(first_pause=0), "first_pause: 0 is not above 0 seconds"),
        (lambda: Circuit(first_pause=9, longest_pause=8), "longest_pause: 8 is below first_pause"),
    ],
)
def test_a_system_that_can_t_be_called_so_is_refused(mistake, said: str) -> None:  # type: ignore[no-untyped-def]  # lambdas
    with pytest.raises(ValueError, match=said):
        mistake()
