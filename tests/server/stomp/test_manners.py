"""The published clients' conversations, from beginning to end, however their bytes are cut."""

import json

import jsonschema
import pytest

from tests.server.stomp.conftest import StompSide
from tests.server.stomp.manners import CLIENTS, Client
from tests.server.stomp.wire import SCHEMAS, Frame, Wire

TYPES = {"net.example.Order": ["net.example.OrderCreated", "net.example/OrderCancelled"]}

#: How a client's frames reach the server.
WHOLE, BYTEWISE, TOGETHER = "each frame in one piece", "byte by byte", "glued to heart-beats"


class Conversation:
    """A client at one end of a connection."""

    def __init__(self, client: Client, wire: Wire, how: str) -> None:
        self.client = client
        self.wire = wire
        self._how = how

    async def say(self, *frames: bytes) -> None:
        """Send frames, in the way that is being tried."""
        if self._how == TOGETHER:
            await self.wire.send(b"\n\n", *(each + b"\n\r\n\n" for each in frames))
            return
        for each in frames:
            if self._how == BYTEWISE:
                await self.wire.send_bytewise(each)
            else:
                await self.wire.send(each)

    async def open(self) -> None:
        """Connect and subscribe: in one breath where frames come together."""
        client = self.client
        if self._how == TOGETHER:
            await self.say(client.connect(), client.subscribe())
            client.connected(await self.wire.frame())
        else:
            await self.say(client.connect())
            client.connected(await self.wire.frame())
            await self.say(client.subscribe())
        if client.asks_receipt:
            receipt = await self.wire.frame()  # before any message
            assert receipt == Frame("RECEIPT", {"receipt-id": client.receipt() or b""}, b"")

    async def take(self, number: int) -> dict[str, bytes]:
        """Read so many messages; their event ids, in order, with what acknowledges each."""
        found = {}
        for _ in range(number):
            frame = await self.wire.frame()
            assert frame.command == "MESSAGE", frame
            event_id, ack = self.client.event_of(frame)
            assert event_id not in found
            found[event_id] = ack
        return found

    async def acknowledge(self, acks: dict[str, bytes], *event_ids: str) -> None:
        """Acknowledge these events."""
        await self.say(*(self.client.ack(acks[each]) for each in event_ids))


async def create(stomp: StompSide, entity_id: str, event_type: str, *data: str) -> list[str]:
    [entity_type] = TYPES
    return await stomp.append(
        entity_id, *data, entity_type=entity_type, event_type=event_type, space="shop"
    )


@pytest.mark.parametrize("how", [WHOLE, BYTEWISE, TOGETHER])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_conversation(stomp: StompSide, kind: type[Client], how: str) -> None:
    created, cancelled = TYPES["net.example.Order"]
    client = kind("order service: ümlaut", "shop", TYPES)
    first = await create(stomp, "a", created, '{"total": 1}', '{"total": "\\u0000 \\n\\n"}')
    second = await create(stomp, "b", created, '{"text": "a: b\\\\c"}', "not JSON\n\nat all\0")
    await stomp.append("c", "{}", space="shop", entity_type="net.example.Order", event_type="Other")

    here = Conversation(client, await stomp.connect(), how)
    await here.open()
    acks = await here.take(4)
    assert set(acks) == {*first, *second}
    assert [each for each in acks if each in first] == first
    assert [each for each in acks if each in second] == second
    await here.acknowledge(acks, *first)
    third = await create(stomp, "a", cancelled, "{}")
    acks |= await here.take(1)
    await here.acknowledge(acks, *third)
    await stomp.until_acknowledged(3)
    await client.leave(here.wire)
    await stomp.until_alone()

    # What it had not acknowledged comes again, before what happened meanwhile; the rest does not.
    fourth = await create(stomp, "b", cancelled, "{}")
    fifth = await create(stomp, "a", cancelled, "{}")
    here = Conversation(client, await stomp.connect(), how)
    await here.open()
    acks = await here.take(4)
    assert [each for each in acks if each not in fifth] == second + fourth
    assert set(fifth) < set(acks)
    await here.acknowledge(acks, *acks)
    await stomp.until_acknowledged(7)
    await client.leave(here.wire)
    await stomp.until_alone()

    here = Conversation(client, await stomp.connect(), how)
    await here.open()
    last = [(await create(stomp, each, cancelled, "{}"))[0] for each in ("a", "b", "d")]
    assert sorted(await here.take(3)) == sorted(last)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_two_subscriptions_of_one_connection(stomp: StompSide, kind: type[Client]) -> None:
    """Each client tells its subscriptions apart in its own way."""
    clients = [kind(name, "shop", TYPES) for name in ("first", "second")]
    wire = await stomp.connect()
    conversations = [Conversation(client, wire, WHOLE) for client in clients]
    await conversations[0].open()
    await wire.send(clients[1].subscribe())
    if clients[1].asks_receipt:
        assert (await wire.frame()).command == "RECEIPT"
    event_ids = await create(stomp, "a", TYPES["net.example.Order"][0], "{}", "{}")
    remaining = {(client, event_id) for client in clients for event_id in event_ids}
    while remaining:
        frame = await wire.frame()
        [client] = [each for each in clients if is_for(each, frame)]
        event_id, ack = client.event_of(frame)
        remaining.remove((client, event_id))
        await wire.send(client.ack(ack))
    await stomp.until_acknowledged(4)


def is_for(client: Client, frame: Frame) -> bool:
    try:
        client.event_of(frame)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("kind", CLIENTS)
def test_what_clients_ask_for_is_what_they_were_told(kind: type[Client]) -> None:
    """The clients played here send destinations of the published form, but for the one that
    is known not to.
    """
    client = kind("s", "shop", TYPES)
    text = (
        client.destination.replace(b"\\c", b":").replace(b"\\\\", b"\\")  # no others in it
    )
    schema = json.loads((SCHEMAS / "destination-header.json").read_text("utf-8"))
    fits = jsonschema.Draft4Validator(schema).is_valid(json.loads(text))
    assert fits == client.keeps_schema
