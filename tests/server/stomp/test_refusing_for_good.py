"""The header ``dead-letter`` of NACK: of ours."""

import pytest

from eventuary.delivery.policy import DeliveryPolicy
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import VERSIONS, frame

TYPES = {"Order": ["Ordered"]}

#: What is not given up at once would not come again within a test's patience.
PATIENT = DeliveryPolicy(first_pause=600, longest_pause=600)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_nack_for_good_makes_a_dead_letter_at_once(
    open_stomp: Opening, version: str
) -> None:
    async with open_stomp(policy=PATIENT) as stomp:
        await stomp.append("a", "1")
        wire = await stomp.connect()
        await wire.log_in(version)
        await wire.subscribe("s", TYPES)
        message = await wire.message()
        await wire.confirmed(
            "NACK", {"id": message.ack, "message": "no such address", "dead-letter": "true"}
        )
        await stomp.until(lambda: stomp.store.statistics.dead_letters == 1)
        [letter] = await stomp.store.subscriptions.dead_letters("default", "s")
        assert (letter.attempts, letter.reason) == (1, "no such address")


async def test_a_nack_that_says_no_is_an_ordinary_one(open_stomp: Opening) -> None:
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.001)) as stomp:
        await stomp.append("a", "1")
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES)
        first = await wire.message()
        await wire.confirmed("NACK", {"id": first.ack, "dead-letter": "false"})
        assert (await wire.message()).body == first.body
        assert stomp.store.statistics.dead_letters == 0


async def test_an_ack_takes_no_notice_of_it(stomp: StompSide) -> None:
    await stomp.append("a", "1")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    message = await wire.message()
    await wire.send(frame("ACK", {"id": message.ack, "dead-letter": "true"}))
    await stomp.until_acknowledged(1)


@pytest.mark.parametrize("value", ["yes", "TRUE", ""])
async def test_anything_else_is_refused(stomp: StompSide, value: str) -> None:
    await stomp.append("a", "1")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    message = await wire.message()
    await wire.send(frame("NACK", {"id": message.ack, "dead-letter": value}))
    await wire.refused(f"dead-letter: '{value}' is neither true nor false")
    assert stomp.store.statistics.redeliveries == 0
