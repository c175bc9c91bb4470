"""A connection breaks in the middle of a call: the call succeeds, and nothing is done twice."""

from collections.abc import Awaitable, Callable

import pytest

from eventuary.errors import (
    DuplicateEvent,
    EntityExists,
    OptimisticLockError,
    ServiceUnavailable,
)
from eventuary.events import Appended, NewEvent, NewSnapshot
from eventuary.remote import RemoteEventStore
from eventuary.tokens import event_token
from tests.remote.conftest import Ports
from tests.remote.proxy import Fault, Proxy

TYPE = "orders.Order"
EVENTS = [NewEvent("Changed", '{"by": "é"}'), NewEvent("Changed", "{}", "metadata")]
TOKEN = event_token("view", "0000000000000001-0000000000000002")

#: Nothing of the request, a part of it, all of it and nothing of the answer, a part of the answer.
FAULTS = [
    pytest.param(Fault(of_request=True, passing=0), id="no-request"),
    pytest.param(Fault(of_request=True, passing=100, reset=True), id="part-of-request"),
    pytest.param(Fault(of_request=False, passing=0), id="no-answer"),
    pytest.param(Fault(of_request=False, passing=0, reset=True), id="reset"),
    pytest.param(Fault(of_request=False, passing=150), id="part-of-answer"),
]

Write = Callable[[RemoteEventStore, Appended], Awaitable[Appended]]


async def create(store: RemoteEventStore, _: Appended) -> Appended:
    return await store.create("default", TYPE, EVENTS)


async def create_by_id(store: RemoteEventStore, _: Appended) -> Appended:
    return await store.create("default", TYPE, EVENTS, entity_id="a b/c".replace("/", "ü"))


async def create_triggered(store: RemoteEventStore, _: Appended) -> Appended:
    return await store.create("default", TYPE, EVENTS, triggering_event_token=TOKEN)


async def append(store: RemoteEventStore, one: Appended) -> Appended:
    return await store.append("default", TYPE, one.entity_id, one.entity_version, EVENTS)


async def append_triggered(store: RemoteEventStore, one: Appended) -> Appended:
    return await store.append(
        "default", TYPE, one.entity_id, one.entity_version, EVENTS, triggering_event_token=TOKEN
    )


async def append_with_snapshot(store: RemoteEventStore, one: Appended) -> Appended:
    return await store.append(
        "default",
        TYPE,
        one.entity_id,
        one.entity_version,
        EVENTS,
        snapshot=NewSnapshot("State", "{}"),
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "write",
    [create, create_by_id, create_triggered, append, append_triggered, append_with_snapshot],
)
async def test_a_write_is_done_once(
    store: RemoteEventStore,
    direct: RemoteEventStore,
    http_proxy: Proxy,
    write: Write,
    fault: Fault,
) -> None:
    one = await direct.create("default", TYPE, [NewEvent("Created", "")])
    # Its retry breaks as well, and what finds out whose it is.
    http_proxy.faults += [fault, Fault(of_request=False, passing=10)]
    outcome = await write(store, one)
    assert http_proxy.exchanges >= 3
    assert not http_proxy.faults
    before = one.entity_version if outcome.entity_id == one.entity_id else None
    stored = await direct.history("default", TYPE, outcome.entity_id, after=before)
    assert [event.id for event in stored] == outcome.event_ids
    assert outcome.entity_version == outcome.event_ids[-1]
    assert [NewEvent(e.event_type, e.event_data, e.metadata) for e in stored] == EVENTS
    # What is returned is the version to go on from.
    await store.append("default", TYPE, outcome.entity_id, outcome.entity_version, EVENTS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_reading_is_repeated(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy, fault: Fault
) -> None:
    one = await direct.create("default", TYPE, EVENTS)
    http_proxy.faults += [fault] * 3
    entity = await store.load("default", TYPE, one.entity_id)
    assert [event.id for event in entity.events] == one.event_ids
    http_proxy.faults += [fault]
    assert await store.history("default", TYPE, one.entity_id) == entity.events
    http_proxy.faults += [fault]
    await store.store_snapshot(
        "default", TYPE, one.entity_id, one.entity_version, NewSnapshot("S", "1")
    )
    assert (await direct.load("default", TYPE, one.entity_id)).events == []
    assert not http_proxy.faults


def overtaken(by: Callable[[], Awaitable[object]], *, of_request: bool = True) -> Fault:
    """Return the fault of a request that is lost, while another writer succeeds."""
    return Fault(of_request=of_request, passing=0, first=by)


async def test_what_another_has_appended_meanwhile_is_not_taken_for_ours(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy
) -> None:
    one = await direct.create("default", TYPE, EVENTS)
    theirs = [EVENTS[0], NewEvent("Changed", "{}", "other metadata")]
    http_proxy.faults.append(
        overtaken(lambda: direct.append("default", TYPE, one.entity_id, one.entity_version, theirs))
    )
    with pytest.raises(OptimisticLockError):
        await append(store, one)
    assert len(await direct.history("default", TYPE, one.entity_id)) == 4


async def test_fewer_events_than_ours_are_not_ours(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy
) -> None:
    one = await direct.create("default", TYPE, EVENTS)
    http_proxy.faults.append(
        overtaken(
            lambda: direct.append("default", TYPE, one.entity_id, one.entity_version, EVENTS[:1])
        )
    )
    with pytest.raises(OptimisticLockError):
        await append(store, one)


async def test_what_others_appended_after_ours_does_not_hide_it(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy
) -> None:
    one = await direct.create("default", TYPE, EVENTS)

    async def another() -> None:
        version = (await direct.history("default", TYPE, one.entity_id))[-1].id
        await direct.append("default", TYPE, one.entity_id, version, [NewEvent("Theirs", "")])

    http_proxy.faults.append(overtaken(another, of_request=False))
    outcome = await append(store, one)
    history = await direct.history("default", TYPE, one.entity_id)
    assert [event.id for event in history[2:4]] == outcome.event_ids
    assert [event.event_type for event in history[4:]] == ["Theirs"]


async def test_an_entity_that_another_has_created_is_not_taken_for_ours(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy
) -> None:
    http_proxy.faults.append(
        overtaken(lambda: direct.create("default", TYPE, EVENTS[:1], entity_id="one"))
    )
    with pytest.raises(EntityExists):
        await store.create("default", TYPE, EVENTS, entity_id="one")


async def test_a_trigger_that_another_has_applied_is_told(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy
) -> None:
    one = await direct.create("default", TYPE, EVENTS)

    async def another() -> None:
        await direct.append(
            "default", TYPE, one.entity_id, one.entity_version, EVENTS[:1],
            triggering_event_token=TOKEN,
        )  # fmt: skip

    http_proxy.faults.append(overtaken(another))
    with pytest.raises(DuplicateEvent):
        await append_triggered(store, one)


async def test_without_a_doubt_a_conflict_is_told_at_once(
    store: RemoteEventStore, http_proxy: Proxy
) -> None:
    await store.create("default", TYPE, EVENTS, entity_id="one")
    before = http_proxy.exchanges
    with pytest.raises(EntityExists):
        await store.create("default", TYPE, EVENTS, entity_id="one")
    assert http_proxy.exchanges == before + 1


async def test_giving_up_says_what_is_known(server: Ports) -> None:
    async with Proxy(server.http) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with RemoteEventStore(url, retry_for=0.3) as store:
            proxy.faults += [Fault(of_request=False, passing=0)] * 20
            with pytest.raises(ServiceUnavailable, match="whether it was written is not known"):
                await store.create("default", TYPE, EVENTS)
            with pytest.raises(ServiceUnavailable, match=r"retry_for is 0\.3 seconds$"):
                await store.load("default", TYPE, "one")
    async with RemoteEventStore(url, retry_for=0.3) as store:
        with pytest.raises(ServiceUnavailable, match="nothing was written"):
            await store.create("default", TYPE, EVENTS)


def answered(explanation: str) -> bytes:
    """Return a server's answer of 503."""
    body = f'{{"error":"service_unavailable","explanation":"{explanation}"}}'
    return (
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


@pytest.mark.parametrize(
    "write",
    [create, create_by_id, create_triggered, append, append_triggered, append_with_snapshot],
)
async def test_what_a_server_does_not_know_may_have_been_done(
    store: RemoteEventStore, direct: RemoteEventStore, http_proxy: Proxy, write: Write
) -> None:
    """Over storage that several servers share: then a conflict with itself is no answer."""
    one = await direct.create("default", TYPE, [NewEvent("Created", "")])
    unknown = answered("storage: no answer in time; it is not known whether this was written")
    http_proxy.faults.append(Fault(of_request=False, passing=0, instead=unknown))
    outcome = await write(store, one)
    assert not http_proxy.faults
    before = one.entity_version if outcome.entity_id == one.entity_id else None
    stored = await direct.history("default", TYPE, outcome.entity_id, after=before)
    assert [event.id for event in stored] == outcome.event_ids


@pytest.mark.parametrize(
    ("explanation", "said"),
    [
        ("storage: no answer; it is not known whether this was written", "is not known"),
        ("overload: 9 appends wait; nothing was written, try again", "; nothing was written"),
    ],
)
async def test_given_up_it_says_what_the_server_knew(
    http_proxy: Proxy, server: Ports, explanation: str, said: str
) -> None:
    http_proxy.faults.append(Fault(of_request=False, passing=0, instead=answered(explanation)))
    url = Ports(http_proxy.port, server.stomp).url
    async with RemoteEventStore(url, retry_for=0.0) as store:
        with pytest.raises(ServiceUnavailable, match=f"{said}$"):
            await store.create("default", TYPE, EVENTS)
    assert not http_proxy.faults
