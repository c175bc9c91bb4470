"""ACK and NACK in the forms that clients use, and what each mode makes of them (rules 4 and 6)."""

import json
from collections.abc import Callable

import pytest

from eventuary.delivery.policy import DeliveryPolicy
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import VERSIONS, Message, Wire, frame, unescaped

#: Names that stand in the ack header.
SUBSCRIBER_ID = "ü: 100%, {it's}"

TYPES = {"Order": ["Ordered"]}


def as_it_came(message: Message, version: str) -> bytes:
    return message.ack


def unescaped_ack(message: Message, version: str) -> bytes:
    return unescaped(message.ack, version).encode()


def with_colons_escaped(message: Message, version: str) -> bytes:
    return unescaped(message.ack, version).replace(":", "\\c").encode()


def written_anew(message: Message, version: str) -> bytes:
    """As a client does that parses it and writes it again."""
    ack = json.loads(unescaped(message.ack, version))
    return json.dumps(dict(reversed(ack.items())), indent=None).replace(":", "\\c").encode()


def the_message_id(message: Message, version: str) -> bytes:
    return message.headers["message-id"]


FORMS = [as_it_came, unescaped_ack, with_colons_escaped, written_anew, the_message_id]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("header", ["id", "message-id"])
async def test_every_form_of_ack(stomp: StompSide, version: str, header: str) -> None:
    await stomp.append("a", *(form.__name__ for form in FORMS))
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.subscribe(SUBSCRIBER_ID, TYPES)
    for number, form in enumerate(FORMS, 1):
        message = await wire.message()
        await wire.send(frame("ACK", {header: form(message, version), "subscription": "s"}))
        await stomp.until_acknowledged(number)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("header", ["id", "message-id"])
async def test_every_form_of_nack(open_stomp: Opening, version: str, header: str) -> None:
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.001)) as stomp:
        wire = await stomp.connect()
        await wire.log_in(version)
        await wire.subscribe(SUBSCRIBER_ID, TYPES)
        for number, form in enumerate(FORMS, 1):
            await stomp.append("a", form.__name__)
            first = await wire.message()
            await wire.send(frame("NACK", {header: form(first, version), "message": "not now"}))
            again = await wire.message()
            assert again.body == first.body
            assert again.headers["message-id"] != first.headers["message-id"]
            await wire.send(frame("ACK", {header: form(again, version)}))
            await stomp.until_acknowledged(number)


async def test_what_is_refused_comes_again_in_order(open_stomp: Opening) -> None:
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.05)) as stomp:
        await stomp.append("a", "1", "2", "3")
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES)
        first, second, third = await wire.messages(3)
        await wire.send(frame("ACK", {"id": first.ack}))
        await wire.confirmed("NACK", {"id": second.ack, "message": "no\\cwhy"})
        await wire.send(frame("ACK", {"id": (await expect(wire, second)).ack}))
        await wire.send(frame("ACK", {"id": (await expect(wire, third)).ack}))
        await stomp.until_acknowledged(3)


async def expect(wire: Wire, before: Message) -> Message:
    message = await wire.message()
    assert message.body == before.body
    return message


async def test_after_too_many_refusals_an_event_is_parked_with_the_reason(
    open_stomp: Opening,
) -> None:
    async with open_stomp(policy=DeliveryPolicy(first_pause=0.001, max_attempts=3)) as stomp:
        await stomp.append("a", "1")
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", TYPES)
        for _ in range(3):
            message = await wire.message()
            await wire.confirmed("NACK", {"id": message.ack, "message": "because\\c ü"})
        await stomp.until(lambda: stomp.store.statistics.dead_letters == 1)
        [letter] = await stomp.store.subscriptions.dead_letters("default", "s")
        assert letter.attempts == 3
        assert letter.reason == "because: ü"


async def come_back(stomp: StompSide, wire: Wire, number: int, ack: str | None) -> list[str]:
    """Cut the connection and return what is then delivered: its data, in order.

    ``number``: of messages; all are in one swimlane, so that nothing can come behind the last.
    """
    wire.abort()
    await stomp.until_alone()
    await stomp.append("a", "last")
    again = await stomp.connect()
    await again.log_in()
    await again.subscribe("s", TYPES, ack=ack)
    found = [message.body["eventData"] for message in await again.messages(number)]
    assert found[-1] == "last"
    return found


@pytest.mark.parametrize("ack", [None, "client-individual", "client", "auto"])
async def test_what_is_acknowledged_depends_on_the_mode(stomp: StompSide, ack: str | None) -> None:
    await stomp.append("a", "1", "2", "3", "4", "5", "6")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, ack=ack)
    messages = await wire.messages(6)
    if ack == "auto":  # what was written is acknowledged; an ACK is not needed, and does no harm
        await stomp.until_acknowledged(6)
        await wire.confirmed("ACK", {"id": messages[3].ack})
        assert await come_back(stomp, wire, 1, ack) == ["last"]
    elif ack == "client":  # with one, all before it
        await wire.send(frame("ACK", {"id": messages[3].ack}))
        await stomp.until_acknowledged(4)
        assert await come_back(stomp, wire, 3, ack) == ["5", "6", "last"]
    else:  # each by itself; those behind a gap come again
        await wire.send(*(frame("ACK", {"id": messages[each].ack}) for each in (0, 1, 3)))
        await stomp.until_acknowledged(3)
        found = await come_back(stomp, wire, 5, ack)
        assert found == ["3", "4", "5", "6", "last"]


async def test_cumulative_means_all_of_the_subscription_and_no_other(stomp: StompSide) -> None:
    """Whatever swimlane it is in."""
    for entity_id in "abcdefghij":
        await stomp.append(entity_id, "1", "2")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("one", TYPES, name="one", ack="client")
    one = await wire.messages(20)
    assert len({message.body["swimlane"] for message in one}) > 1
    await wire.subscribe("two", TYPES, name="two", ack="client")
    await wire.messages(20)
    await wire.send(frame("ACK", {"id": one[15].ack}))
    await stomp.until_acknowledged(16)
    await wire.send(frame("ACK", {"id": one[3].ack}))  # nothing is left of it
    await wire.send(frame("ACK", {"id": one[19].ack}))
    await stomp.until_acknowledged(20)


async def test_late_unknown_and_repeated_acknowledgements_do_nothing(stomp: StompSide) -> None:
    await stomp.append("a", "1", "2")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, name="one")
    first, second = await wire.messages(2)
    for _ in range(2):
        await wire.confirmed("ACK", {"id": first.ack})
    number, swimlane, offset, sent = second.headers["message-id"].decode().split("-")
    for handle in (
        f'"swimlane":999,"offset":{offset},"consumer":{number}',
        f'"swimlane":-1,"offset":{offset},"consumer":{number}',
        f'"swimlane":{swimlane},"offset":-1,"consumer":{number}',
        f'"swimlane":{swimlane},"offset":18446744073709551615,"consumer":{number}',
        f'"swimlane":{swimlane},"offset":{offset},"consumer":77',
        f'"swimlane":{swimlane},"offset":{offset},"consumer":{number},"subscriberId":"t"',
        f'"subscriberId":"t","swimlane":{swimlane},"offset":{offset},"consumer":{number}',
    ):
        ack = f'{{"id":"x","receiptHandle":{{{handle}}}}}'.replace(":", "\\c")
        await wire.confirmed("ACK", {"id": ack})
        await wire.confirmed("NACK", {"id": ack})
    for message_id in (f"{number}-{swimlane}-12345-{sent}", f"77-{swimlane}-{offset}-{sent}"):
        await wire.confirmed("ACK", {"id": message_id})
        await wire.confirmed("NACK", {"id": message_id})
    await wire.confirmed("UNSUBSCRIBE", {"id": "one"})
    await wire.confirmed("ACK", {"id": second.ack})
    await wire.confirmed("NACK", {"id": second.ack})
    assert stomp.store.statistics.acknowledgements == 1
    await wire.subscribe("s", TYPES, name="one")
    assert (await wire.message()).body == second.body


async def test_a_late_refusal_has_what_is_behind_it_sent_again(stomp: StompSide) -> None:
    """Its client has dropped that; a receipt comes in front of it, as with any refusal."""
    await stomp.append("a", "1", "2", "3")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES, name="one")
    first, second, third = await wire.messages(3)
    await wire.confirmed("ACK", {"id": first.ack})
    await wire.confirmed("NACK", {"id": first.ack})
    again = await wire.messages(2)
    assert [each.body for each in again] == [second.body, third.body]
    await wire.confirmed("ACK", {"id": second.ack})
    await wire.confirmed("ACK", {"id": third.ack})
    await wire.confirmed("NACK", {"id": third.ack})
    await stomp.append("a", "4")
    fourth = await wire.message()
    assert fourth.body["eventData"] == "4"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["ACK", "NACK"])
async def test_what_another_connection_was_sent_is_not_answered(
    stomp: StompSide, command: str, form: Callable[[Message, str], bytes]
) -> None:
    """Not even where two subscribers have subscribed in another order since."""
    await stomp.append("a", "1")
    found: list[Message] = []
    for subscriber_ids in (("slow", "quick"), ("quick", "slow")):
        wire = await stomp.connect()
        await wire.log_in()
        for subscriber_id in subscriber_ids:
            await wire.subscribe(subscriber_id, TYPES, name=subscriber_id)
            found.append(await wire.message())
        if len(found) == 2:
            wire.abort()
            await stomp.until_alone()
    for late in found[:2]:
        await wire.confirmed(command, {"id": form(late, "1.2")})
    assert stomp.store.statistics.acknowledgements == 0
    for subscriber_id in ("slow", "quick"):
        status = await stomp.store.subscriptions.inspect("default", subscriber_id)
        assert {each.state for each in status.swimlanes} <= {"live", "behind"}
    for message in found[2:]:
        await wire.send(frame("ACK", {"id": form(message, "1.2")}))
    await stomp.until_acknowledged(2)


async def test_what_was_sent_before_a_restart_is_not_answered(open_stomp: Opening) -> None:
    async with open_stomp() as stomp:
        await stomp.append("a", "1")
        late = await first_message(await stomp.connect())
    async with open_stomp() as stomp:
        wire = await stomp.connect()
        message = await first_message(wire)
        for form in FORMS:
            await wire.confirmed("ACK", {"id": form(late, "1.2")})
        assert stomp.store.statistics.acknowledgements == 0
        await wire.confirmed("ACK", {"id": message.ack})
        assert stomp.store.statistics.acknowledgements == 1


async def first_message(wire: Wire) -> Message:
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    return await wire.message()


async def test_the_receipt_of_an_ack_means_that_it_is_on_disk(stomp: StompSide) -> None:
    event_ids = await stomp.append("a", "1", "2", "3")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    messages = await wire.messages(3)
    swimlane = messages[0].body["swimlane"]
    for message, event_id in zip(messages, event_ids, strict=True):
        assert message.body["id"] == event_id
        await wire.confirmed("ACK", {"id": message.ack})
        [stored] = await stomp.store.engine.load_subscriptions("default", "s")
        assert stored.positions[swimlane] == message.body["offset"]


async def test_receipts_of_many_acknowledgements_come_in_their_order(stomp: StompSide) -> None:
    await stomp.append("a", *(str(number) for number in range(100)))
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", TYPES)
    messages = await wire.messages(100)
    await wire.send(
        *(
            frame("ACK", {"id": message.ack, "receipt": f"r{number}"})
            for number, message in enumerate(messages)
        ),
        frame("DISCONNECT", {"receipt": "bye"}),
    )
    receipts = [answer.headers["receipt-id"].decode() for answer in await wire.rest()]
    assert receipts == [*(f"r{number}" for number in range(100)), "bye"]
