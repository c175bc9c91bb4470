"""The notification that everything up to the present has been delivered (section 3, its end)."""

import json

import pytest

from eventuary.delivery.policy import DeliveryPolicy
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import VERSIONS, Message, Wire, frame, unescaped

TYPES = {"Order": ["Ordered"]}

REACHED = "net.chrisrichardson.eventstore.subscriptions.EndOfCurrentEventsReachedEvent"

SWIMLANES = set(range(8))


async def take(wire: Wire, number: int) -> list[Message]:
    """Read and acknowledge so many messages."""
    found = []
    for _ in range(number):
        message = await wire.message()
        await wire.send(frame("ACK", {"id": message.ack}))
        found.append(message)
    return found


def notified(messages: list[Message]) -> list[int]:
    """Return the swimlanes whose arrival at the present was told."""
    return [m.body["swimlane"] for m in messages if m.body["eventType"] == REACHED]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", ["options", "top"])
async def test_one_for_each_swimlane_behind_its_events(
    stomp: StompSide, version: str, place: str
) -> None:
    for number in range(60):
        await stomp.append(f"e{number % 20}", "{}")
    wire = await stomp.connect()
    await wire.log_in(version)
    if place == "options":
        options = {"progressNotifications": True}
        destination = await wire.subscribe("s: 1", TYPES, name="x", options=options)
    else:
        destination = await wire.subscribe("s: 1", TYPES, name="x", progressNotifications=True)
    found = await take(wire, 60 + 8)
    assert sorted(notified(found)) == sorted(SWIMLANES)
    present = set()
    for message in found:
        swimlane = message.body["swimlane"]
        if message.body["eventType"] == REACHED:
            present.add(swimlane)
            assert message.headers["destination"] == destination
            assert message.headers["subscription"] == b"x"
            assert message.body["eventData"] == "{}"
            ack = json.loads(unescaped(message.ack, version))
            assert ack["receiptHandle"]["subscriberId"] == "s: 1"
        else:
            assert swimlane not in present, "all that was there comes before it"
    # It is said once; what happens from now on is just delivered.
    for entity_id in "abcdefghij":
        await stomp.append(entity_id, "{}")
    assert notified(await take(wire, 10)) == []
    await stomp.until_acknowledged(70)


@pytest.mark.parametrize("ack", ["client-individual", "client", "auto"])
async def test_acknowledging_it_acknowledges_no_event(stomp: StompSide, ack: str) -> None:
    """Nor does it disturb the acknowledgement of those around it."""
    [event_id] = await stomp.append("a", "{}")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, ack=ack, options={"progressNotifications": True})
    found = await wire.messages(9)
    [event] = [each for each in found if each.body["id"] == event_id]
    [same_swimlane] = [
        each
        for each in found
        if each.body["swimlane"] == event.body["swimlane"] and each is not event
    ]
    if ack == "client":  # cumulative: what came before it too
        await wire.confirmed("ACK", {"id": found[-1].ack})
        await stomp.until_acknowledged(1)
    elif ack == "auto":
        await stomp.until_acknowledged(1)
    else:
        await wire.confirmed("ACK", {"id": same_swimlane.ack})
        assert stomp.store.statistics.acknowledgements == 0
        await wire.confirmed("ACK", {"id": event.ack})
        await stomp.until_acknowledged(1)


async def test_one_that_is_refused_does_no_harm(open_stomp: Opening) -> None:
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.001, max_attempts=2)) as stomp:
        [event_id] = await stomp.append("a", "{}")
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES, options={"progressNotifications": True})
        for message in await wire.messages(9):
            if message.body["eventType"] == REACHED:
                await wire.confirmed("NACK", {"id": message.ack})
            else:
                assert message.body["id"] == event_id
                event = message
        await wire.send(frame("ACK", {"id": event.ack}))
        await stomp.until_acknowledged(1)
        assert stomp.store.statistics.dead_letters == 0


async def test_who_asks_again_is_told_again(stomp: StompSide) -> None:
    await stomp.append("a", "{}")
    for expected in (9, 8):
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES, options={"progressNotifications": True})
        assert sorted(notified(await take(wire, expected))) == sorted(SWIMLANES)
        await wire.send(frame("DISCONNECT", {"receipt": "bye"}))
        assert [each.command for each in await wire.rest()] == ["RECEIPT"]


async def test_nobody_else_is_told(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, options={"progressNotifications": False}, name="one")
    await wire.subscribe("t", TYPES, name="two")
    for entity_id in "abcdefghij":
        await stomp.append(entity_id, "{}")
    assert notified(await take(wire, 20)) == []
