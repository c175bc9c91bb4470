"""MESSAGE frames: headers, bodies, and names that need care (rules 3, 4 and 5)."""

import json
from collections import defaultdict

import pytest

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.events import LogEvent
from eventuary.server.stomp.messages import MessageWriter
from eventuary.stomp_frames import Version
from eventuary.tokens import event_token
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import VERSIONS, destination_of, frame, unescaped

TYPES = {"Order": ["Ordered"]}

#: Acceptable subscriber ids that could be mistaken for something else on their way.
SUBSCRIBER_IDS = [
    "plain",
    "ümläut 漢字 🐘",
    "a:b::c",
    "100%",
    "%s %d %b %% %(x)s",
    "it's",
    " spaces around ",
    "{}[],:;",
    "?a=b&c#d/e",
    "x" * 255,
]

#: Acceptable entity ids and types that need escaping, in JSON or in headers.
ODD_NAMES = [*SUBSCRIBER_IDS, '"quoted"', "back\\slash", "\\c\\n\\", "\u2028\ufeff\ufffd"]

DATA = [
    "",
    "{}",
    '{"total": "12.34"}',
    "no JSON",
    "a\nb\r\n\n\nc",
    "NUL \0 and \x01\x1f\x7f",
    'quotes " and \\ and %s',
    "ümläut 漢字 🐘 \u2028\u2029",
    "MESSAGE\ndestination:x\n\n\0",
    "x" * 100_000,
]


@pytest.mark.parametrize("version", VERSIONS)
async def test_headers(stomp: StompSide, version: str) -> None:
    [event_id] = await stomp.append("a", '{"total": 1}')
    wire = await stomp.connect()
    await wire.log_in(version)
    destination = await wire.subscribe("sub: 1", TYPES, name="my-id")
    message = await wire.message()
    assert list(message.headers) == [
        "destination",
        "subscription",
        "content-type",
        "message-id",
        "ack",
        "content-length",
    ]
    assert message.headers["destination"] == destination
    assert message.headers["subscription"] == b"my-id"
    ack = json.loads(unescaped(message.ack, version))
    assert ack["id"] == event_id
    assert ack["receiptHandle"]["subscriberId"] == "sub: 1"
    assert message.body == {
        "id": event_id,
        "entityId": "a",
        "entityType": "Order",
        "eventType": "Ordered",
        "eventData": '{"total": 1}',
        "eventToken": event_token("sub: 1", event_id),
        "swimlane": message.body["swimlane"],
        "offset": message.body["offset"],
    }


async def test_metadata_only_where_there_is_some(stomp: StompSide) -> None:
    await stomp.append("a", "1")
    await stomp.append("a", "2", metadata='{"by": "me"}')
    await stomp.append("a", "3", metadata="")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    found = [message.body.get("eventMetadata") for message in await wire.messages(3)]
    assert found == [None, '{"by": "me"}', ""]


#: Header values as a client may send them, which must come back as they are.
ECHOED = [
    ('{"subscriberId"\\c"s","entityTypesAndEvents"\\c{"Order"\\c["Ordered"]}}', "1"),
    (' { "entityTypesAndEvents" : { "Order":["Ordered"]} ,"subscriberId": "s"} ', "a b "),
    ('{"subscriberId":"s","\\u00fc%d":0,"entityTypesAndEvents":{"Order":["Ordered"]}}', " ü"),
    ('\\n{\\r"subscriberId"\\c"s","entityTypesAndEvents"\\c{"Order":["Ordered"]}}', "\\c%s"),
]


@pytest.mark.parametrize("version", VERSIONS)
async def test_destination_and_id_come_back_byte_for_byte(stomp: StompSide, version: str) -> None:
    """One client finds its subscription by the exact text of the destination."""
    await stomp.append("a", "{}")
    for destination, name in ECHOED:
        wire = await stomp.connect()
        await wire.log_in(version)
        await wire.confirmed("SUBSCRIBE", {"id": name, "destination": destination})
        message = await wire.message()
        assert message.headers["destination"] == destination.encode()
        assert message.headers["subscription"] == name.encode()
        wire.abort()
        await stomp.until_alone()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("space", [None, "shop: 1"])
async def test_a_destination_that_clients_could_not_read_is_shortened(
    stomp: StompSide, version: str, space: str | None
) -> None:
    """But in 1.0, whose clients find their subscription by it."""
    await stomp.append("a", "{}", space=space or "default")
    more = {} if space is None else {"space": space}
    bare = len(destination_of(version, "ü: 1", TYPES, filler="", **more))
    for length in (10_000, 10_001):
        wire = await stomp.connect()
        await wire.log_in(version)
        filler = "x" * (length - bare)
        destination = await wire.subscribe("ü: 1", TYPES, filler=filler, **more)
        assert len(destination) == length
        message = await wire.message()
        if length == 10_000 or version == "1.0":
            assert message.headers["destination"] == destination
        else:
            short = json.loads(unescaped(message.headers["destination"], version))
            assert short == {"subscriberId": "ü: 1", "space": space or "default"}
        assert message.headers["subscription"] == b"s"
        wire.abort()
        await stomp.until_alone()


async def test_in_1_0_no_id_is_needed(stomp: StompSide) -> None:
    await stomp.append("a", "{}")
    wire = await stomp.connect()
    await wire.log_in("1.0")
    destination = '{"subscriberId":"s","entityTypesAndEvents":{"Order":["Ordered"]}}'
    await wire.confirmed("SUBSCRIBE", {"destination": destination})
    message = await wire.message()
    assert message.headers["destination"] == destination.encode()
    assert "subscription" not in message.headers
    await wire.send(frame("ACK", {"message-id": message.headers["message-id"]}))
    await stomp.until_acknowledged(1)
    await wire.confirmed("UNSUBSCRIBE", {"destination": destination})


@pytest.mark.parametrize("version", VERSIONS)
async def test_odd_subscriber_ids(stomp: StompSide, version: str) -> None:
    """Each is named in ``ack`` without a backslash, once unescaped, and in the token."""
    [event_id] = await stomp.append("a", "{}")
    wire = await stomp.connect()
    await wire.log_in(version)
    for number, subscriber_id in enumerate(SUBSCRIBER_IDS):
        await wire.subscribe(subscriber_id, TYPES, name=f"s{number}")
        message = await wire.message()
        ack = unescaped(message.ack, version)
        assert "\\" not in ack
        assert json.loads(ack)["receiptHandle"]["subscriberId"] == subscriber_id
        token = message.body["eventToken"]
        assert token == event_token(subscriber_id, event_id)
        assert token.replace("-", "").replace(".", "").replace("_", "").isalnum()
        assert token.isascii()
        await wire.send(frame("ACK", {"id": message.ack}))
        await stomp.until_acknowledged(number + 1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_odd_names_of_entities_and_events(stomp: StompSide, version: str) -> None:
    wire = await stomp.connect()
    await wire.log_in(version)
    for number, name in enumerate(ODD_NAMES):
        entity_id = name.replace("/", "_")
        [event_id] = await stomp.append(entity_id, name, entity_type=name, event_type=name)
        await wire.subscribe(f"s{number}", {name: [name]}, name=f"s{number}")
        message = await wire.message()
        assert message.body["id"] == event_id
        assert message.body["entityId"] == entity_id
        assert message.body["entityType"] == name
        assert message.body["eventType"] == name
        assert message.body["eventData"] == name


@pytest.mark.parametrize("version", VERSIONS)
async def test_any_data_is_one_line_without_nul(stomp: StompSide, version: str) -> None:
    await stomp.append("a", *DATA)
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.subscribe("s", TYPES)
    found = await wire.messages(len(DATA))  # which looks at each body's form
    assert [message.body["eventData"] for message in found] == DATA


@pytest.mark.parametrize("version", VERSIONS)
async def test_bodies_are_utf_8_but_in_1_0_ascii(stomp: StompSide, version: str) -> None:
    """Its clients may decode each read for itself, and lose a character that comes in two."""
    names = {"entityId": "ä", "entityType": "漢字", "eventType": "🐘", "eventMetadata": "\u2028\0é"}
    await stomp.append(
        "ä", "".join(DATA), entity_type="漢字", event_type="🐘", metadata="\u2028\0é"
    )
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.subscribe("s", {"漢字": ["🐘"]})
    message = await wire.frame()
    body = json.loads(message.body)
    assert {name: body[name] for name in names} == names
    assert body["eventData"] == "".join(DATA)
    assert message.body.isascii() == (version == "1.0")


def test_an_event_is_encoded_once_in_each_way() -> None:
    plain, rich = (
        LogEvent(1, "id", "default", "Order", "a", "Ordered", data, None, 0, None)
        for data in ("plain", "ümläut")
    )
    deliveries = [Delivery(event, 0, 1, 1) for event in (plain, rich)]

    def write(version: Version) -> list[bytes | None]:
        MessageWriter(version, b"{}", b"1", "s", 1).write(deliveries)
        return [each for event in (plain, rich) for each in (event.encoded, event.encoded_in_ascii)]

    later = write(Version.V12)
    assert [each is None for each in later] == [False, True, False, True]
    both = write(Version.V10)
    assert both[:3] == later[:3], "what is ASCII is not encoded again"
    assert both[3] is not None
    assert all(one is two for one, two in zip(both, write(Version.V10), strict=True))


@pytest.mark.parametrize("version", VERSIONS)
async def test_message_ids_are_unique_on_a_connection(open_stomp: Opening, version: str) -> None:
    """Whichever subscription, swimlane or attempt it is."""
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.001, max_attempts=100)) as stomp:
        for entity_id in "abcdefghij":
            await stomp.append(entity_id, "1", "2")
        wire = await stomp.connect()
        await wire.log_in(version)
        for number in range(3):
            name = f"s{number}"
            options = {"progressNotifications": True}
            destination = destination_of(version, name, TYPES, options=options)
            await wire.send(frame("SUBSCRIBE", {"id": name, "destination": destination}))
        message_ids: list[bytes] = []
        refused: set[tuple[bytes, str]] = set()
        accepted: set[tuple[bytes, str]] = set()
        while len(accepted) < 3 * 20:
            message = await wire.message()
            message_ids.append(message.headers["message-id"])
            what = (message.headers["subscription"], message.body["id"])
            is_event = message.body["eventType"] == "Ordered"
            if is_event and what not in refused:
                refused.add(what)
                await wire.send(frame("NACK", {"id": message.ack}))
            else:
                accepted.update([what] if is_event else [])
                await wire.send(frame("ACK", {"id": message.ack}))
        assert len(message_ids) >= 2 * 3 * 20
        assert len(set(message_ids)) == len(message_ids)


async def test_offsets_grow_within_a_swimlane(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    for number in range(40):
        await stomp.append(f"e{number % 20}", "{}")
    await wire.subscribe("s", TYPES)
    for number in range(40):
        await stomp.append(f"e{number % 20}", "{}")
    offsets = defaultdict(list)
    swimlanes = defaultdict(set)
    for message in await wire.messages(80):
        offsets[message.body["swimlane"]].append(message.body["offset"])
        swimlanes[message.body["entityId"]].add(message.body["swimlane"])
    assert len(offsets) > 1
    for each in offsets.values():
        assert each == sorted(set(each))
    assert all(len(each) == 1 for each in swimlanes.values()), "an entity has one swimlane"
