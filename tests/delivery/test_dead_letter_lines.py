"""What the log says of dead letters: which, whose and why, and seldom."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.event_store import Durability
from eventuary.events import NewEvent
from eventuary.seldom import Seldom
from tests.event_store.recorder import PATIENCE, Recorder

GIVES_UP = DeliveryPolicy(max_attempts=1, first_pause=0.001, on_dead_letter=OnDeadLetter.CONTINUE)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedEventStore]:
    opened = EmbeddedEventStore(open_engine(f"sqlite:{tmp_path / 'e.db'}"), policy=GIVES_UP)
    await opened.start()
    yield opened
    await opened.stop()


class Refuser(Recorder):
    """Refuses whatever comes."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if self.consumer is not None:
                self.consumer.refuse(delivery.swimlane, delivery.offset, self._reason)


async def refuse_all(
    store: EmbeddedEventStore,
    number: int,
    *,
    event_type: str = "E",
    reason: str = "broken",
    durability: Durability = Durability.DURABLE,
) -> None:
    """Append so many events, and let a subscriber make dead letters of them."""
    before = store.statistics.dead_letters
    refuser = Refuser(reason)
    refuser.consumer = await store.subscribe(
        "s", f"view of {event_type}", {"T": [event_type]}, refuser, durability=durability
    )
    for each in range(number):
        event = NewEvent(event_type, "{}")
        await store.create("s", "T", [event], entity_id=f"{event_type}-{each}")
    async with asyncio.timeout(PATIENCE):
        while store.statistics.dead_letters < before + number:
            await asyncio.sleep(0.001)
    await refuser.consumer.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each for each in caplog.records if each.name == "eventuary.delivery"]
    assert all(each.levelno == logging.WARNING for each in found)
    return [each.getMessage() for each in found]


async def test_a_line_names_event_subscriber_and_reason(
    store: EmbeddedEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    await refuse_all(store, 1, reason="out of stock")
    [letter] = await store.subscriptions.dead_letters("s", "view of E")
    [line] = lines(caplog)
    assert line == (
        "an event became a dead letter: subscriber 'view of E' of space 's', event "
        f"{letter.event_id} ('E' of 'T' 'E-0'), attempts 1, reason 'out of stock'"
    )


async def test_one_line_in_ten_seconds_counts_the_others(
    store: EmbeddedEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    store._dispatcher.dead_letter_lines = Seldom(clock=lambda: now)
    await refuse_all(store, 5)
    now = 9.9
    await refuse_all(store, 2, event_type="F")
    assert len(lines(caplog)) == 1
    now = 10.1
    await refuse_all(store, 1, event_type="G")
    [_, second] = lines(caplog)
    assert second.endswith(", reason 'broken' (and 6 more since the last such line)")


async def test_a_reason_can_not_pretend_to_be_another_line(
    store: EmbeddedEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    await refuse_all(store, 1, reason="x\n2026-01-01 ERROR all is lost" + "y" * 900)
    [line] = lines(caplog)
    assert "\n" not in line
    assert re.search(r"reason 'x\\n2026-01-01 ERROR all is losty{50,}'$", line)
    assert len(line) < 500


async def test_of_a_transient_subscription_it_says_that_nothing_is_kept(
    store: EmbeddedEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    await refuse_all(store, 1, durability=Durability.TRANSIENT)
    [line] = lines(caplog)
    assert "subscriber 'view of E' of space 's' (transient: it is not kept), event " in line


async def test_an_event_that_fails_as_the_store_stops_is_not_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It became no dead letter, so it is delivered again."""
    url = f"sqlite:{tmp_path / 'stops.db'}"
    store = EmbeddedEventStore(open_engine(url), policy=GIVES_UP)
    await store.start()
    await store.create("s", "T", [NewEvent("E", "precious")])
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await store.subscribe("s", "view", {"T": ["E"]}, recorder)
    await recorder.until_events(1)
    [delivery] = recorder.events
    assert recorder.consumer.refuse(delivery.swimlane, delivery.offset, "broken")
    await store.stop()
    assert lines(caplog) == []
    again = EmbeddedEventStore(open_engine(url), policy=GIVES_UP)
    await again.start()
    recorder = Recorder()
    recorder.consumer = await again.subscribe("s", "view", {"T": ["E"]}, recorder)
    await recorder.until_events(1)
    assert recorder.data == ["precious"]
    await again.stop()
