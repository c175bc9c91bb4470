"""How a subscription, or a connection, ends: by its client or by the server (rule 9)."""

import asyncio

import pytest

from eventuary.errors import NotFound
from eventuary.server.stomp import connection, listener
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import DEADLINE, VERSIONS, Frame, Wire, destination_of, frame

TYPES = {"Order": ["Ordered"]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_unsubscribe_ends_delivery_and_keeps_the_subscription(
    stomp: StompSide, version: str
) -> None:
    await stomp.append("a", "1", "2")
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.subscribe("s", TYPES, name="x")
    first, second = await wire.messages(2)
    await wire.send(frame("ACK", {"id": first.ack}))
    await wire.confirmed("UNSUBSCRIBE", {"id": "x"})
    await stomp.append("a", "3")
    # The id is free again, and what was not acknowledged comes first.
    await wire.subscribe("s", TYPES, name="x")
    again = await wire.messages(2)
    assert again[0].body == second.body
    assert again[1].body["eventData"] == "3"
    assert {m.headers["message-id"] for m in again}.isdisjoint(
        {m.headers["message-id"] for m in (first, second)}
    )


async def test_unsubscribe_ends_one_of_several(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("one", TYPES, name="one")
    await wire.subscribe("two", TYPES, name="two")
    await wire.confirmed("UNSUBSCRIBE", {"id": "one"})
    await stomp.append("a", "{}")
    assert (await wire.message()).headers["subscription"] == b"two"
    assert stomp.store.statistics.deliveries == 1


async def test_unsubscribe_without_a_receipt(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    await wire.send(frame("UNSUBSCRIBE", {"id": "s"}))
    await wire.subscribe("s", TYPES)  # the next thing that comes is this one's receipt


@pytest.mark.parametrize("version", VERSIONS)
async def test_disconnect_is_answered_before_closing(stomp: StompSide, version: str) -> None:
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.subscribe("s", TYPES)
    await wire.send(frame("DISCONNECT", {"receipt": "bye: 1"}))
    assert await wire.rest() == [Frame("RECEIPT", {"receipt-id": b"bye: 1"}, b"")]
    assert stomp.store.consumers == 0


async def test_disconnect_without_a_receipt(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.send(frame("DISCONNECT", {}), frame("SEND", {}))  # nothing behind it counts
    assert await wire.rest() == []


async def test_the_receipt_of_disconnect_means_that_all_before_it_is_done(
    stomp: StompSide,
) -> None:
    """In one segment, even with the SUBSCRIBE before it."""
    await stomp.append("a", *(str(number) for number in range(100)))
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    messages = await wire.messages(100)
    swimlane = messages[0].body["swimlane"]
    await wire.send(
        *(frame("ACK", {"id": message.ack}) for message in messages),
        frame("DISCONNECT", {"receipt": "bye"}),
    )
    assert [each.command for each in await wire.rest()] == ["RECEIPT"]
    [stored] = await stomp.store.engine.load_subscriptions("default", "s")
    assert stored.positions[swimlane] == messages[-1].body["offset"]


async def test_a_conversation_in_one_segment_that_ends_with_it(stomp: StompSide) -> None:
    """A client that has closed its side still gets its answers."""
    wire = await stomp.connect()
    destination = destination_of("1.2", "s", TYPES)
    await wire.send(
        frame("CONNECT", {"accept-version": "1.2"}),
        frame("SUBSCRIBE", {"id": "1", "destination": destination, "receipt": "one"}),
        frame("UNSUBSCRIBE", {"id": "1", "receipt": "two"}),
        frame("DISCONNECT", {"receipt": "three"}),
    )
    wire.close_our_side()
    connected, *receipts = await wire.rest()
    assert connected.command == "CONNECTED"
    assert [each.headers["receipt-id"] for each in receipts] == [b"one", b"two", b"three"]
    await stomp.until_alone()


async def test_what_was_acknowledged_before_the_end_counts(stomp: StompSide) -> None:
    """Though the ACKs wait for a SUBSCRIBE before them, and the client is not there any more."""
    await stomp.append("a", *(str(number) for number in range(50)))
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    messages = await wire.messages(50)
    destination = destination_of("1.2", "t", TYPES)
    await wire.send(
        frame("SUBSCRIBE", {"id": "t", "destination": destination}),
        *(frame("ACK", {"id": message.ack}) for message in messages),
    )
    wire.close_our_side()
    await stomp.until_alone()
    assert stomp.store.statistics.acknowledgements == 50


@pytest.mark.parametrize("end", ["close", "abort", "half"])
async def test_swimlanes_move_to_others_when_a_peer_vanishes(stomp: StompSide, end: str) -> None:
    wires = [await stomp.connect() for _ in range(2)]
    for wire in wires:
        await wire.log_in()
        await wire.subscribe("s", TYPES)
    entity_ids = [f"e{number}" for number in range(16)]
    event_ids = [(await stomp.append(each, "{}"))[0] for each in entity_ids]
    await stomp.until(lambda: stomp.store.statistics.deliveries == 16)
    if end == "close":
        wires[0].writer.close()
    elif end == "abort":
        wires[0].abort()
    else:
        wires[0].close_our_side()
    # All of them: its own from the beginning on, and the other's, since none is acknowledged.
    assert {(await wires[1].message()).body["id"] for _ in range(16)} == set(event_ids)


@pytest.mark.parametrize("sent", [b"", b"\n", b"CONN", b"CONNECT\nlogin:a\n\n", b"CONNECT\n\n\0"])
async def test_peers_that_vanish_early(stomp: StompSide, sent: bytes) -> None:
    for end in (Wire.abort, Wire.close_our_side):
        wire = await stomp.connect()
        await wire.send(sent)
        await stomp.until(lambda: stomp.listener.connections == 1)
        end(wire)
        await stomp.until_alone()


async def test_a_peer_that_vanishes_while_it_subscribes(stomp: StompSide) -> None:
    """At whatever point that catches the server, nothing of it is left."""
    destination = destination_of("1.2", "s", TYPES)
    await stomp.append("a", "{}")
    for turns in range(40):
        wire = await stomp.connect()
        await wire.log_in()
        await wire.send(
            frame("SUBSCRIBE", {"id": "1", "destination": destination, "ack": "auto"}),
            frame("DISCONNECT", {}) if turns % 2 else b"",
        )
        for _ in range(turns // 2):
            await asyncio.sleep(0)
        wire.abort()
        await stomp.until_alone()
    await stomp.still_serves()


async def test_a_peer_that_does_not_wait_for_the_end(stomp: StompSide) -> None:
    """It has said DISCONNECT and is gone: each of its subscriptions is left, at whatever point
    that catches the server.
    """
    for turns in range(20):
        wire = await stomp.connect()
        await wire.log_in()
        for name in "abc":
            await wire.subscribe(name, TYPES, name=name)
        await stomp.append("a", "{}")
        acks = [frame("ACK", {"id": message.ack}) for message in await wire.messages(3)]
        await wire.send(*acks, frame("DISCONNECT", {}))
        for _ in range(turns):
            await asyncio.sleep(0)
        wire.abort()
        await stomp.until_alone()


async def test_a_subscription_that_is_deleted_ends_the_connection(stomp: StompSide) -> None:
    """There is no other frame in STOMP that could say it."""
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    await stomp.store.subscriptions.delete("default", "s")
    await wire.refused("'s' was deleted", code="not_found")
    with pytest.raises(NotFound):
        await stomp.store.subscriptions.inspect("default", "s")


async def test_a_server_that_stops_says_so(
    open_stomp: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_GRACE", 600.0)
    async with open_stomp() as stomp:
        wires = [await stomp.connect() for _ in range(3)]
        await wires[0].log_in()
        await wires[0].subscribe("s", TYPES)
        await wires[1].log_in()
        await stomp.until(lambda: stomp.listener.connections == 3)
        stopping = asyncio.create_task(stomp.listener.stop())
        for wire in wires:
            await wire.refused("shutting down", code="service_unavailable")
            wire.abort()
        async with asyncio.timeout(DEADLINE):  # it waits for nobody who has gone
            await stopping
        with pytest.raises(ConnectionRefusedError):
            await stomp.connect()


async def test_a_server_that_stops_waits_for_nobody_for_long(
    open_stomp: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LINGER", 600.0)  # it does not wait for that to pass
    monkeypatch.setattr(listener, "_GRACE", 0.2)
    async with open_stomp() as stomp:
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES)
        async with asyncio.timeout(DEADLINE):
            await stomp.listener.stop()
        assert stomp.listener.connections == 0
        await wire.refused("shutting down", code="service_unavailable")
