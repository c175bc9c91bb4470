"""Spaces and keys on STOMP: who may connect, and what a key lets its holder see."""

import asyncio

import pytest

from eventuary.engines.engine import KeyRecord
from eventuary.limits import Limits
from eventuary.server.auth import ApiKey, KeyAuthenticator, hash_secret
from eventuary.server.stomp import listener, session
from eventuary.server.stomp.session import State
from tests.server.sending import sending
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import DEADLINE, VERSIONS, destination_of, escaped, frame

TYPES = {"Order": ["Ordered"]}


def key(key_id: str, *spaces: str, read_only: bool = False, secret: str = "s3cret") -> KeyRecord:
    return KeyRecord(key_id, hash_secret(secret), spaces or ("*",), read_only, 0)


BAD_CREDENTIALS: list[dict[str, str | bytes]] = [
    {},
    {"login": "root"},
    {"passcode": "root"},
    {"login": "root", "passcode": ""},
    {"login": "root", "passcode": "toor"},
    {"login": "toor", "passcode": "root"},
    {"login": "root", "passcode": "root "},
    {"login": "ROOT", "passcode": "root"},
    {"login": b"\xff", "passcode": b"\xfe"},
    {"login": "root\\croot", "passcode": "root"},
    {"login": "root", "passcode": "root\\"},
    {"login": "root", "passcode": "\\\\root"},
]


async def refused_login(stomp: StompSide, version: str, credentials: dict[str, str | bytes]) -> str:
    """Return what the ERROR says that answers a bad login."""
    wire = await stomp.connect()
    await wire.send(
        frame("CONNECT", {"accept-version": version, **credentials}),
        # It does not wait for the answer, and gets nothing all the same.
        frame("SUBSCRIBE", {"id": "1", "destination": destination_of("1.2", "s", TYPES)}),
    )
    async with sending(wire.send, b"and so on" * 100_000):
        return await wire.refused("no key", code="unauthorized")


async def test_a_bad_login_gets_an_error_never_silence(open_stomp: Opening) -> None:
    async with open_stomp(authenticator=KeyAuthenticator([ApiKey("root", "root")])) as stomp:
        messages = await asyncio.gather(
            *(
                refused_login(stomp, version, credentials)
                for version in VERSIONS
                for credentials in BAD_CREDENTIALS
            )
        )
        assert not any("root" in message for message in messages)
        assert await stomp.store.subscriptions.list("default") == []


async def test_a_bad_login_is_answered_after_a_second(open_stomp: Opening) -> None:
    """Also where its client has closed its side meanwhile."""
    async with open_stomp(authenticator=KeyAuthenticator([ApiKey("root", "root")])) as stomp:
        loop = asyncio.get_running_loop()
        wire = await stomp.connect()
        began = loop.time()
        await wire.send(frame("CONNECT", {"login": "root", "passcode": "guess"}))
        wire.close_our_side()
        await wire.refused("no key", code="unauthorized")
        assert loop.time() - began > 0.99


async def test_a_bad_login_that_waits_for_its_answer_holds_up_nobody(
    open_stomp: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a place among the connections until it ends; a server that stops does not wait."""
    monkeypatch.setattr(session, "_REFUSAL_PAUSE", 600.0)
    monkeypatch.setattr(listener, "_GRACE", 600.0)
    authenticator = KeyAuthenticator([ApiKey("root", "root")])
    async with open_stomp(Limits(connections=2), authenticator) as stomp:
        waiting = await stomp.connect()
        await waiting.send(frame("CONNECT", {"login": "root", "passcode": "guess"}))
        await stomp.until(lambda: [each.state for each in stomp.sessions] == [State.REFUSED])
        other = await stomp.connect()
        await other.log_in(login="root", passcode="root")
        await other.subscribe("s", TYPES)
        await (await stomp.connect()).refused("2 connections are open", code="service_unavailable")

        stopping = asyncio.create_task(stomp.listener.stop())
        for wire in (waiting, other):
            await wire.refused("shutting down", code="service_unavailable")
            wire.abort()
        stomp.close_wires()
        async with asyncio.timeout(DEADLINE):
            await stopping


async def test_a_login_whose_backslashes_are_doubled(open_stomp: Opening) -> None:
    """One client escapes them in CONNECT, where nothing is to be escaped."""
    authenticator = KeyAuthenticator([ApiKey("i\\d", "a\\nd:\\\\"), ApiKey("i\\\\d", "other")])
    async with open_stomp(authenticator=authenticator) as stomp:
        for version in VERSIONS:
            await (await stomp.connect()).log_in(version, login="i\\d", passcode="a\\nd:\\\\")
            await (await stomp.connect()).log_in(
                version, login="i\\\\d", passcode="a\\\\nd:\\\\\\\\"
            )
            await (await stomp.connect()).log_in(version, login="i\\\\d", passcode="other")


async def test_a_good_login(open_stomp: Opening) -> None:
    """Given keys and stored ones; a secret may hold what would be escaped elsewhere."""
    authenticator = KeyAuthenticator(
        [ApiKey("given", "a:b\\c ü")], [key("stored", secret="x\\y:z")]
    )
    async with open_stomp(authenticator=authenticator) as stomp:
        for version in VERSIONS:
            await (await stomp.connect()).log_in(version, login="given", passcode="a:b\\c ü")
            await (await stomp.connect()).log_in(version, login="stored", passcode="x\\y:z")


async def test_open_access_takes_anybody(open_stomp: Opening) -> None:
    async with open_stomp() as stomp:
        wire = await stomp.connect()
        await wire.send(frame("CONNECT", {"accept-version": "1.2"}))
        assert (await wire.frame()).command == "CONNECTED"
        await (await stomp.connect()).log_in(login="any", passcode="thing")


async def test_a_key_without_the_space(open_stomp: Opening) -> None:
    async with open_stomp(authenticator=KeyAuthenticator([], [key("k", "mine")])) as stomp:
        await stomp.append("a", "{}", space="theirs")
        for space in ("theirs", "default", None, "MINE", "mine "):
            wire = await stomp.connect()
            await wire.log_in(login="k", passcode="s3cret")
            more = {} if space is None else {"space": space}
            destination = destination_of("1.2", "s", TYPES, **more)
            await wire.send(
                frame("SUBSCRIBE", {"id": "1", "destination": destination, "receipt": "r"})
            )
            await wire.refused("'k'", f"{space or 'default'!r}", code="forbidden", receipt="r")
        for space in ("theirs", "default"):
            assert await stomp.store.subscriptions.list(space) == []


async def test_a_key_that_only_reads_may_subscribe(open_stomp: Opening) -> None:
    authenticator = KeyAuthenticator([], [key("k", "mine", read_only=True)])
    async with open_stomp(authenticator=authenticator) as stomp:
        await stomp.append("a", "{}", space="mine")
        wire = await stomp.connect()
        await wire.log_in(login="k", passcode="s3cret")
        await wire.subscribe("s", TYPES, space="mine")
        await wire.send(frame("ACK", {"id": (await wire.message()).ack}))
        await stomp.until_acknowledged(1)


async def test_nothing_of_a_space_is_seen_from_another(open_stomp: Opening) -> None:
    """The same subscriber id, entity types and ids: two subscriptions that know no other."""
    async with open_stomp() as stomp:
        wires = {}
        for space in ("one", "two"):
            wires[space] = await stomp.connect()
            await wires[space].log_in()
            await wires[space].subscribe("s", TYPES, space=space)
        for number in range(20):
            for space in ("two", "one"):
                await stomp.append(f"e{number}", f"{space} {number}", space=space)
        for space, wire in wires.items():
            found = [message.body["eventData"] for message in await wire.messages(20)]
            assert sorted(found) == sorted(f"{space} {number}" for number in range(20))
        # What one acknowledges, the other has still to do.
        wires["one"].abort()
        await stomp.until(lambda: stomp.store.consumers == 1)
        again = await stomp.connect()
        await again.log_in()
        await again.subscribe("s", TYPES, space="one")
        for message in await again.messages(20):
            await again.send(frame("ACK", {"id": message.ack}))
        await stomp.until_acknowledged(20)
        for space, lag in (("one", 0), ("two", 20)):
            assert (await stomp.store.subscriptions.inspect(space, "s")).lag == lag


async def test_an_ack_of_another_space_does_nothing(open_stomp: Opening) -> None:
    async with open_stomp() as stomp:
        await stomp.append("a", "{}", space="one")
        owner, thief = await stomp.connect(), await stomp.connect()
        await owner.log_in()
        await owner.subscribe("s", TYPES, space="one")
        message = await owner.message()
        await thief.log_in()
        await thief.subscribe("s", TYPES, space="two")
        for command in ("ACK", "NACK"):
            await thief.confirmed(command, {"id": message.ack})
            await thief.confirmed(command, {"id": message.headers["message-id"]})
        assert stomp.store.statistics.acknowledgements == 0
        await owner.send(frame("ACK", {"id": message.ack}))
        await stomp.until_acknowledged(1)


@pytest.mark.parametrize("change", ["revoked", "changed"])
async def test_a_key_that_is_revoked_ends_its_sessions(open_stomp: Opening, change: str) -> None:
    """Within seconds, whether they are just connected or subscribed; others go on."""
    authenticator = KeyAuthenticator([ApiKey("root", "root")], [key("k"), key("other")])
    async with open_stomp(authenticator=authenticator) as stomp:
        idle, subscribed, other = [await stomp.connect() for _ in range(3)]
        await idle.log_in(login="k", passcode="s3cret")
        await subscribed.log_in(login="k", passcode="s3cret")
        await subscribed.subscribe("s", TYPES)
        await other.log_in(login="other", passcode="s3cret")
        await other.subscribe("s", TYPES)

        authenticator.replace_stored(
            [key("other")] if change == "revoked" else [key("other"), key("k", "mine")]
        )
        await idle.refused("'k'", "revoked", code="unauthorized")
        await subscribed.refused("'k'", "revoked", code="unauthorized")
        await stomp.append("a", "{}")  # all swimlanes are the other's now
        assert (await other.message()).body["entityId"] == "a"
        late = await stomp.connect()
        await late.send(
            frame("CONNECT", {"accept-version": "1.2", "login": "k", "passcode": "s3cret"})
        )
        answer = await late.frame()
        assert answer.command == ("ERROR" if change == "revoked" else "CONNECTED")


async def test_the_first_key_ends_the_sessions_of_open_access(stomp: StompSide) -> None:
    """Within seconds, whether they are just connected or subscribed."""
    idle, subscribed = [await stomp.connect() for _ in range(2)]
    await idle.log_in()
    await subscribed.log_in()
    await subscribed.subscribe("s", TYPES)

    stomp.authenticator.replace_stored([key("k")])
    for wire in (idle, subscribed):
        await wire.refused("open access has ended: there are API keys now", code="unauthorized")
    holder = await stomp.connect()
    await holder.log_in(login="k", passcode="s3cret")
    await holder.subscribe("s", TYPES)
    await stomp.append("a", "{}")
    assert (await holder.message()).body["entityId"] == "a"  # all swimlanes are its own


async def test_open_access_that_has_ended_subscribes_to_nothing_more(stomp: StompSide) -> None:
    """Not even in the second before its session ends."""
    wire = await stomp.connect()
    await wire.log_in()
    stomp.authenticator.replace_stored([key("k")])
    await wire.send(
        frame("SUBSCRIBE", {"id": "1", "destination": destination_of("1.2", "s", TYPES)})
    )
    await wire.refused("open access has ended", code="unauthorized")
    assert await stomp.store.subscriptions.list("default") == []


async def test_a_key_that_is_revoked_subscribes_to_nothing_more(open_stomp: Opening) -> None:
    """Not even in the second before its session ends."""
    authenticator = KeyAuthenticator([], [key("k")])
    async with open_stomp(authenticator=authenticator) as stomp:
        wire = await stomp.connect()
        await wire.log_in(login="k", passcode="s3cret")
        authenticator.replace_stored([])
        await wire.send(
            frame("SUBSCRIBE", {"id": "1", "destination": destination_of("1.2", "s", TYPES)})
        )
        await wire.refused("'k'", "revoked", code="unauthorized")
        assert await stomp.store.subscriptions.list("default") == []


async def test_what_is_said_of_a_key_is_escaped(open_stomp: Opening) -> None:
    authenticator = KeyAuthenticator([], [key("a:ü", "mine")])
    async with open_stomp(authenticator=authenticator) as stomp:
        for version in VERSIONS:
            wire = await stomp.connect()
            await wire.log_in(version, login="a:ü", passcode="s3cret")
            destination = destination_of(version, "s", TYPES)
            await wire.send(
                frame("SUBSCRIBE", {"id": escaped("1", version), "destination": destination})
            )
            await wire.refused("'a:ü'", "'default'", code="forbidden")
