"""What a SUBSCRIBE asks for, and the ways in which clients write it (rule 2)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventuary.errors import BadRequest
from eventuary.event_store import Durability, ReadFrom
from eventuary.server.stomp.destination import Destination, parse_destination
from tests.server.stomp.conftest import StompSide
from tests.server.stomp.wire import VERSIONS, Wire, escaped, frame

TYPES = {"Order": ["Ordered"]}

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
options: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {},
    optional={
        "durability": st.sampled_from(["DURABLE", "TRANSIENT"]) | anything,
        "readFrom": st.sampled_from(["BEGINNING", "END"]) | anything,
        "progressNotifications": anything,
    },
)


def expected(sent: dict[str, Any], meant: dict[str, Any]) -> Destination:
    return Destination(
        subscriber_id=sent["subscriberId"],
        space=sent.get("space", "default"),
        selection=sent["entityTypesAndEvents"],
        durability=Durability.TRANSIENT
        if meant.get("durability") == "TRANSIENT"
        else Durability.DURABLE,
        read_from=ReadFrom.END if meant.get("readFrom") == "END" else ReadFrom.BEGINNING,
        progress_notifications=meant.get("progressNotifications") is True,
    )


@given(
    st.fixed_dictionaries(
        {
            "subscriberId": names,
            "entityTypesAndEvents": st.dictionaries(names, st.lists(names, max_size=3), max_size=3),
        },
        optional={"space": names, "unknown": anything},
    ),
    options,
    st.booleans(),
    st.booleans(),
    st.sampled_from([*VERSIONS, "Node.js"]),
)
def test_any_destination_is_read_however_it_is_written(
    sent: dict[str, Any], meant: dict[str, Any], at_the_top: bool, ascii_only: bool, manner: str
) -> None:
    sent = {**sent, **meant} if at_the_top else {**sent, "options": meant}
    text = json.dumps(sent, ensure_ascii=ascii_only)
    # JSON has no line ends in it, so that 1.1 can say everything that 1.2 can.
    value = escaped(text, "1.2" if manner == "Node.js" else manner)
    assert parse_destination(value) == expected(sent, meant)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_destination_are_refused(value: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^destination: "):
        parse_destination(value)


LIKE = '{"subscriberId": …, "entityTypesAndEvents": {…}}'

REFUSED = [
    ("", "destination: expected JSON like"),
    ("/queue/orders", f"destination: expected JSON like {LIKE}, got '/queue/orders'"),
    ("x" * 1000, ", got '" + "x" * 80 + "'"),
    ("ä: b", ", got 'ä: b'"),
    ("[]", ", got '[]'"),
    ("null", ", got 'null'"),
    ("{", "destination: "),
    ("{subscriberId}", "destination: JSON is malformed"),
    ("{}", "subscriberId"),
    ('{"subscriberId": "s"}', "entityTypesAndEvents"),
    ('{"subscriberId": 1, "entityTypesAndEvents": {}}', "subscriberId"),
    ('{"subscriberId": "s", "entityTypesAndEvents": []}', "entityTypesAndEvents"),
    ('{"subscriberId": "s", "entityTypesAndEvents": {"A": "B"}}', "entityTypesAndEvents"),
    ('{"subscriberId": "s", "entityTypesAndEvents": {}}', "entityTypesAndEvents: {} names no"),
    (
        '{"subscriberId": "s", "entityTypesAndEvents": {"A": [], "B": []}}',
        "entityTypesAndEvents: {'A': [], 'B': []} names no event type; 1 at least is needed",
    ),
    ('{"subscriberId": "s", "entityTypesAndEvents": {"A": [1]}}', "entityTypesAndEvents"),
    ('{"subscriberId": "s", "entityTypesAndEvents": {"A": ["\\u0007"]}}', "entityTypesAndEvents"),
    ('{"subscriberId": "", "entityTypesAndEvents": {}}', "subscriberId"),
    ('{"subscriberId": "a\\"b", "entityTypesAndEvents": {}}', "subscriberId"),
    ('{"subscriberId": "a\\\\b", "entityTypesAndEvents": {}}', "subscriberId"),
    ('{"subscriberId": "a\\nb", "entityTypesAndEvents": {}}', "subscriberId"),
    ('{"subscriberId": "%s", "entityTypesAndEvents": {}}' % ("x" * 256), "255"),
    ('{"subscriberId": "s", "space": "a/b", "entityTypesAndEvents": {}}', "space"),
    ('{"subscriberId": "s", "space": 7, "entityTypesAndEvents": {}}', "space"),
]


@pytest.mark.parametrize(("text", "mention"), REFUSED)
async def test_refusals_say_why(stomp: StompSide, text: str, mention: str) -> None:
    for version in VERSIONS:
        wire = await stomp.connect()
        await wire.log_in(version)
        destination = escaped(text, version)
        await wire.send(frame("SUBSCRIBE", {"id": "1", "destination": destination, "receipt": "r"}))
        await wire.refused(mention, receipt="r")


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        b'{"subscriberId":"\xff","entityTypesAndEvents":{}}',
        b'{"subscriberId":"s","entityTypesAndEvents":{},"options":' + b"[" * 15_000,
        b'{"subscriberId":"s","entityTypesAndEvents":{},"options":'
        + b"[" * 7_000
        + b"]" * 7_000
        + b"}",
        b'{"subscriberId":"s","entityTypesAndEvents":{},"options":' + b"9" * 9_000 + b"}",
        b'{"subscriberId":"\\ud800","entityTypesAndEvents":{}}',
        b'{"subscriberId":"s","entityTypesAndEvents":{"\\udfff":[]}}',
    ],
    ids=["no UTF-8", "no UTF-8 within", "nested", "nested and whole", "huge", "half", "half type"],
)
async def test_rubbish_is_refused_as_politely(wire: Wire, value: bytes) -> None:
    await wire.log_in("1.0")
    await wire.send(frame("SUBSCRIBE", {"id": "1", "destination": value, "receipt": "r"}))
    message = await wire.refused(receipt="r")
    assert "an unexpected error" not in message


async def test_a_subscribe_without_a_destination(wire: Wire) -> None:
    await wire.log_in()
    await wire.send(frame("SUBSCRIBE", {"id": "1"}))
    await wire.refused("destination: is missing")


@pytest.mark.parametrize("place", ["options", "top"])
async def test_transient_ends_with_its_connection(stomp: StompSide, place: str) -> None:
    chosen = {"durability": "TRANSIENT"}
    asked: dict[str, Any] = {"options": chosen} if place == "options" else chosen
    [event_id] = await stomp.append("a", "{}")
    for number in (1, 2):  # acknowledged, and yet it comes again: nothing was kept
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES, **asked)
        message = await wire.message()
        assert message.body["id"] == event_id
        await wire.send(frame("ACK", {"id": message.ack}))
        await stomp.until_acknowledged(number)
        wire.abort()
        await stomp.until_alone()
    assert await stomp.store.subscriptions.list("default") == []


@pytest.mark.parametrize("place", ["options", "top"])
async def test_reading_from_the_end(stomp: StompSide, place: str) -> None:
    chosen = {"readFrom": "END"}
    asked: dict[str, Any] = {"options": chosen} if place == "options" else chosen
    for entity_id in "abcdefgh":
        await stomp.append(entity_id, "old")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, **asked)
    for entity_id in "abcdefgh":
        await stomp.append(entity_id, "new")
    assert {m.body["eventData"] for m in await wire.messages(8)} == {"new"}


async def test_values_of_no_meaning_mean_the_default(stomp: StompSide) -> None:
    """Durable, from the beginning, without notifications, as the Node.js client's need."""
    old = await stomp.append("a", "{}")
    wire = await stomp.connect()
    await wire.log_in()
    meaningless: dict[str, Any] = {
        "durability": 7,
        "readFrom": ["END"],
        "progressNotifications": "true",
        "options": "none",
    }
    await wire.subscribe("s", TYPES, **meaningless)
    messages = await wire.messages(1) + [
        await wire.message() for each in "bcdefghi" if await stomp.append(each, "{}")
    ]
    assert messages[0].body["id"] == old[0]
    assert {message.body["eventType"] for message in messages} == {"Ordered"}
    [status] = await stomp.store.subscriptions.list("default")
    assert status.durability == "DURABLE"
