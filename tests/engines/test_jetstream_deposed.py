"""What a leader says that was deposed and does not know it: that nothing was stored.

JetStream gives what is published to each node that takes itself for the leader. Here the first to
answer is such a one, by a wire that says what it would say; the other one has stored it.
"""

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from nats.aio.msg import Msg

from eventuary.engines.engine import Engine, SubscriptionRecord
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.api import SUBJECT_IN_PROCESS, WRONG_LAST_SEQUENCE
from eventuary.engines.jetstream.batches import INCOMPLETE
from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.publishing import Publisher
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Headers, Lost, Wire
from eventuary.errors import (
    Conflict,
    DuplicateEvent,
    EntityExists,
    OptimisticLockError,
    ServiceUnavailable,
)
from eventuary.events import Append, Appended, NewEvent
from tests.engines.contract import APPROVED, CREATED, ORDER, creation, update
from tests.nats.engines import started

TOKEN = "foreign-1"

Make = Callable[[Appended], Append]


class _Deposed(Wire):
    """Answers what is published next with these errors, whatever becomes of it.

    What is an event, or what has ``about`` in its subject.
    """

    refusals: list[int]
    about = ".ev."

    async def ask(self, subject: str, payload: bytes, headers: Headers | None = None) -> Msg:
        answer = await super().ask(subject, payload, headers)
        if self.about not in subject or subject.startswith("$JS") or not self.refusals:
            return answer
        error = {"code": 400, "err_code": self.refusals.pop(0), "description": "deposed"}
        return Msg(self._client, "", data=msgspec.json.encode({"error": error}))


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the deposed leader will say."""
    refusals: list[int] = []
    monkeypatch.setattr(_Deposed, "refusals", refusals, raising=False)
    monkeypatch.setattr("eventuary.engines.jetstream.engine.Wire", _Deposed)
    return refusals


@pytest.fixture
async def engine(refusals: list[int], nats_url: str) -> AsyncIterator[Engine]:
    async with started(nats_url) as engine:
        yield engine


async def _ids(engine: Engine, entity_id: str) -> list[str]:
    entity = await engine.load("default", ORDER, entity_id, None)
    return [event.id for event in entity.events]


@pytest.mark.parametrize(
    "codes",
    [
        [SUBJECT_IN_PROCESS],
        [WRONG_LAST_SEQUENCE],
        [INCOMPLETE, SUBJECT_IN_PROCESS],
    ],
    ids=lambda codes: " then ".join(map(str, codes)),
)
@pytest.mark.parametrize("events", [[APPROVED], [APPROVED] * 3], ids=["one", "a batch"])
@pytest.mark.parametrize(
    "make",
    [
        lambda _, events: creation(*events),
        lambda _, events: creation(*events, entity_id="chosen"),
        lambda made, events: update(made, *events),
        lambda made, events: update(made, *events, token=TOKEN),
    ],
    ids=["new", "chosen", "update", "trigger"],
)
async def test_what_was_stored_is_acknowledged(
    engine: Engine,
    refusals: list[int],
    codes: list[int],
    events: list[NewEvent],
    make: Callable[[Appended, list[NewEvent]], Append],
) -> None:
    made = await engine.append(creation(CREATED))
    refusals += codes
    outcome = await engine.append(make(made, events))
    assert not refusals
    before = made.event_ids if outcome.entity_id == made.entity_id else []
    assert await _ids(engine, outcome.entity_id) == [*before, *outcome.event_ids]
    again = await engine.append(update(outcome, APPROVED))
    assert await _ids(engine, outcome.entity_id) == [
        *before,
        *outcome.event_ids,
        *again.event_ids,
    ]
    assert await engine.newest_heads() == (1 + len(events) + 1,)


async def test_several_are_acknowledged_that_were_stored_in_one_step(
    engine: Engine, refusals: list[int]
) -> None:
    made = await engine.append(creation(CREATED))
    refusals.append(WRONG_LAST_SEQUENCE)
    outcomes = await engine.append_all(
        [update(made, APPROVED), creation(CREATED, CREATED, entity_id="other")], atomic=True
    )
    for outcome, before in zip(outcomes, (made.event_ids, []), strict=True):
        assert isinstance(outcome, Appended)
        assert await _ids(engine, outcome.entity_id) == [*before, *outcome.event_ids]


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda made: update(made, APPROVED), OptimisticLockError),
        (lambda made: update(made, APPROVED, token=TOKEN), DuplicateEvent),
        (lambda _: creation(entity_id="theirs"), EntityExists),
    ],
    ids=["version", "trigger", "existence"],
)
async def test_what_another_has_stored_is_not_taken_for_ours(
    engine: Engine,
    refusals: list[int],
    nats_url: str,
    make: Make,
    refusal: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else it may hear of what is stored there, and ask nobody.
    monkeypatch.setattr("eventuary.engines.jetstream.publishing.Publisher._announce", _say_nothing)
    monkeypatch.setattr("eventuary.engines.jetstream.publishing.last_sequence", _lose)
    made = await engine.append(creation(CREATED))
    async with started(nats_url) as other:
        await other.append(creation(CREATED, entity_id="theirs"))
        theirs = await other.append(update(made, APPROVED, token=TOKEN))
        refusals.append(SUBJECT_IN_PROCESS)
        with pytest.raises(refusal):
            await engine.append(make(made))
    assert not refusals
    assert await _ids(engine, made.entity_id) == [*made.event_ids, *theirs.event_ids]
    assert len(await _ids(engine, "theirs")) == 1


@pytest.mark.parametrize("code", [SUBJECT_IN_PROCESS, WRONG_LAST_SEQUENCE])
async def test_what_may_be_stored_is_not_said_to_be_not(
    engine: Engine, refusals: list[int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can be asked what has become of it: whoever appends anew may do it twice."""

    async def nobody(*_: object) -> None:
        raise ServiceUnavailable("storage: nobody leads")

    refusals.append(code)
    monkeypatch.setattr("eventuary.engines.jetstream.entities.Entities.last", nobody)
    with pytest.raises(ServiceUnavailable, match="nobody leads; it is not known whether this was"):
        await engine.append(creation(CREATED, entity_id="one"))


def _say_nothing(_: Publisher) -> None:
    return


async def _lose(*_: object) -> int:
    raise Lost("no answer in time")


async def test_a_request_to_forget_that_comes_late_does_no_harm(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited at a node that stood still; it was asked again, and the cell made anew."""
    monkeypatch.setattr("eventuary.engines.jetstream.wire._TIMEOUT", 30.0)

    purges: list[tuple[str, bytes]] = []

    class Recording(Wire):
        async def ask(self, subject: str, payload: bytes, headers: Headers | None = None) -> Msg:
            if ".PURGE." in subject:
                purges.append((subject, payload))
            return await super().ask(subject, payload, headers)

    async with started(nats_url):
        address = read_address(nats_url)
        wire = Recording(address)
        await wire.open()
        cells = Cells(wire, Subjects(address.name))
        await cells.prepare()
        cell = Subjects(address.name).cell("one")
        await cells.put(Change(cell, b"before", 0))
        await cells.forget(cell)
        assert await cells.get(cell) is None
        assert await cells.look([cell]) == {}
        await cells.put(Change(cell, b"anew", 0))
        for purge in purges.copy():  # asked again, they are recorded again
            await wire.ask(*purge)
        found = await cells.get(cell)
        assert found is not None
        assert found.data == b"anew"
        await wire.close()


async def test_a_subscription_that_was_made_is_not_there_already(
    engine: Engine, refusals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Deposed, "about", ".st.")
    await engine.append(creation(CREATED))
    record = SubscriptionRecord("default", "s", {}, (0,) * engine.swimlanes("default"))
    refusals.append(WRONG_LAST_SEQUENCE)
    await engine.create_subscription(record)
    assert not refusals
    with pytest.raises(Conflict, match="exists already"):
        await engine.create_subscription(record)


async def test_a_lease_that_was_renewed_is_held(
    engine: Engine, refusals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Deposed, "about", ".st.")
    assert engine.leasing is not None
    number = await engine.leasing.renew()
    for _ in range(2):
        refusals.append(WRONG_LAST_SEQUENCE)
        assert await engine.leasing.renew() == number
        assert not refusals
        assert await engine.leasing.renew() == number
