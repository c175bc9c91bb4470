"""Who leads a log's stream, as the nodes tell it; and reads with and without a tenure."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import Engine
from eventuary.engines.jetstream.leadership import (
    Belief,
    Leadership,
    Tenure,
    are_all,
    has_majority,
    is_confirmed,
    quiet,
)
from eventuary.engines.jetstream.raft_group import Peer, View, seconds
from eventuary.engines.opening import open_engine
from eventuary.errors import EntityExists, NotFound, OptimisticLockError
from eventuary.events import Appended, NewEvent
from tests.engines.contract import CREATED, ORDER, creation, update
from tests.engines.waiting import until
from tests.nats.cluster import NatsCluster
from tests.nats.engines import started

SINCE = "2026-11-28T02:02:08.6Z"
NODES = ["a", "b", "c"]


def view(
    node: str,
    state: str = "FOLLOWER",
    term: int = 7,
    leader: str = "a",
    heard: dict[str, str] | None = None,
    since: str = "",
    nodes: list[str] = NODES,
) -> View:
    known = {each: Peer((heard or {}).get(each, "")) for each in nodes if each != node}
    return View(
        node=f"node-{node}",
        id=node,
        state=state,
        term=term,
        size=len(nodes),
        leader=leader,
        leader_since=since,
        peers=known,
    )


LEADER = view("a", "LEADER", heard={"b": "1ms", "c": "30s"}, since=SINCE)
FOLLOWERS = [view("b", heard={"a": "812.5ms"}), view("c", heard={"a": "1.25s"})]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("5.594187ms", 0.005594187),
        ("350.1µs", 0.0003501),
        ("99ns", 99e-9),
        ("1.25s", 1.25),
        ("1m2.5s", 62.5),
        ("2h3m4s", 7384.0),
        ("0s", 0.0),
    ],
)
def test_durations_are_read_as_go_writes_them(duration: str, expected: float) -> None:
    assert seconds(duration) == pytest.approx(expected)


def test_all_nodes_of_one_term_are_quiet_since_the_last_of_them_heard_the_leader() -> None:
    assert quiet([LEADER, *FOLLOWERS]) == (7, 1.25)
    assert quiet([*FOLLOWERS[::-1], LEADER]) == (7, 1.25)


@pytest.mark.parametrize(
    "views",
    [
        [],
        [LEADER],
        [LEADER, FOLLOWERS[0]],
        FOLLOWERS,
        [LEADER, FOLLOWERS[0], view("c")],
        [LEADER, FOLLOWERS[0], view("c", heard={"a": "1ms"}, term=8)],
        [LEADER, FOLLOWERS[0], view("c", heard={"a": "1ms"}, term=6)],
        [LEADER, FOLLOWERS[0], view("c", "CANDIDATE", heard={"a": "1ms"})],
        [LEADER, FOLLOWERS[0], view("c", heard={"a": "1ms"}, leader="")],
        [LEADER, FOLLOWERS[0], view("c", heard={"a": "1ms"}, leader="b")],
        [LEADER, FOLLOWERS[0], view("c", "LEADER", leader="c", since=SINCE)],
        [LEADER, FOLLOWERS[0], view("d", heard={"a": "1ms"})],
    ],
    ids=[
        "nobody",
        "the leader alone",
        "a majority",
        "no leader",
        "one has not heard it",
        "one is ahead",
        "one is behind",
        "one stands for election",
        "one knows of no leader",
        "one follows another",
        "two lead",
        "one is not of the group",
    ],
)
def test_otherwise_nobody_is_known_to_be_quiet(views: list[View]) -> None:
    assert quiet(views) is None


def test_a_leader_is_confirmed_by_a_majority_of_its_term() -> None:
    assert is_confirmed([LEADER, FOLLOWERS[1]], "node-a", SINCE)
    assert is_confirmed([LEADER, *FOLLOWERS], "node-a", SINCE)
    five = ["a", "b", "c", "d", "e"]
    leader = view("a", "LEADER", since=SINCE, nodes=five)
    followers = [view(node, nodes=five) for node in "bcde"]
    assert not is_confirmed([leader, followers[0]], "node-a", SINCE)
    assert is_confirmed([leader, followers[0], followers[3]], "node-a", SINCE)


@pytest.mark.parametrize(
    ("views", "leader", "since"),
    [
        ([LEADER], "node-a", SINCE),
        (FOLLOWERS, "node-a", SINCE),
        ([LEADER, *FOLLOWERS], "node-b", ""),
        ([LEADER, *FOLLOWERS], "", ""),
        ([LEADER, *FOLLOWERS], "node-a", "2026-11-28T02:02:07Z"),
        ([view("a"), *FOLLOWERS], "node-a", ""),
        ([LEADER, view("b", term=8), view("c", term=8)], "node-a", SINCE),
        ([LEADER, view("b", term=6), view("c", term=8)], "node-a", SINCE),
        ([LEADER, view("d")], "node-a", SINCE),
    ],
    ids=[
        "it is alone",
        "it does not answer",
        "it follows",
        "nobody led",
        "it has led before, and not without a break",
        "it leads no more",
        "the others are ahead",
        "the others are elsewhere",
        "the other is not of the group",
    ],
)
def test_otherwise_it_is_not(views: list[View], leader: str, since: str) -> None:
    assert not is_confirmed(views, leader, since)


def test_no_more_answers_are_awaited_than_are_needed() -> None:
    assert not has_majority([])
    assert not has_majority([LEADER])
    assert not has_majority(FOLLOWERS)
    assert has_majority([LEADER, FOLLOWERS[0]])
    deposed = [LEADER, view("b", term=8), view("c", term=8)]
    assert not has_majority(deposed[:2])
    assert has_majority(deposed)
    assert are_all(deposed)
    assert not are_all(deposed[:2])


# ── With a cluster ────────────────────────────────────────────────────────────────────────────


def leadership_of(engine: Engine) -> Leadership:
    found = engine._leaders.each[0]  # type: ignore[attr-defined]  # JetStream's own
    assert isinstance(found, Leadership)
    return found


@pytest.fixture
async def engine(nats_url: str) -> AsyncIterator[Engine]:
    async with started(nats_url) as one:
        yield one


@pytest.fixture
async def confirming(engine: Engine) -> Engine:
    """An engine that never has a tenure: each read is confirmed."""
    leadership = leadership_of(engine)
    await leadership.stop()
    leadership._tenure = None
    return engine


async def test_a_tenure_goes_on_while_all_nodes_are_there(engine: Engine) -> None:
    leadership = leadership_of(engine)
    first: dict[int, float] = {}

    def is_extended() -> bool:
        tenure = leadership.tenure
        if tenure is None:
            return False
        # A leader that stood still is followed by another: then it is that one's.
        tenures.append(tenure)
        return tenure._until > first.setdefault(id(tenure), tenure._until) + 1.0

    tenures: list[Tenure] = []  # kept, so that no two have the same id
    await until(is_extended, "a tenure is extended")


async def test_a_tenure_ends_when_nothing_more_is_heard(engine: Engine) -> None:
    leadership = leadership_of(engine)
    await until(lambda: leadership.tenure is not None, "a tenure is known")
    await leadership.stop()
    await until(lambda: leadership.tenure is None, "it has ended")


async def test_what_was_confirmed_is_read_like_any(confirming: Engine) -> None:
    made = first = await confirming.append(creation(CREATED, entity_id="one"))
    for n in range(20):
        made = await confirming.append(update(made, NewEvent("N", str(n))))
        entity = await confirming.load("default", ORDER, "one", None)
        assert entity.events[-1].id == made.entity_version
    assert not (await confirming.load("default", ORDER, "another", None)).events
    assert (await confirming.newest_heads())[0] == 21
    with pytest.raises(EntityExists):
        await confirming.append(creation(entity_id="one"))
    with pytest.raises(NotFound):
        await confirming.append(update(Appended("another", made.entity_version, [])))
    with pytest.raises(OptimisticLockError):
        await confirming.append(update(made, CREATED, version=first.entity_version))


async def test_several_that_are_read_at_once_share_what_is_asked(
    confirming: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await confirming.append(creation(CREATED)) for _ in range(20)]
    group = leadership_of(confirming)._group
    views, asked = group.views, []

    async def counted(*arguments: object) -> list[View]:
        asked.append(arguments)
        return await views(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(group, "views", counted)
    entities = await asyncio.gather(
        *(confirming.load("default", ORDER, each.entity_id, None) for each in made * 10)
    )
    assert [entity.events[0].id for entity in entities] == [each.event_ids[0] for each in made * 10]
    assert 1 <= len(asked) < 200


@pytest.mark.parametrize(
    "parameters",
    [("replicas=3",), ("replicas=1", "system=system:secret")],
    ids=["nobody may ask the nodes", "there are no replicas"],
)
async def test_whoever_answers_is_believed_if(
    nats_cluster: NatsCluster, parameters: tuple[str, ...]
) -> None:
    url = nats_cluster.url_of(f"believed-{len(parameters)}", *parameters)
    engine = open_engine(url, accept_data_loss=True)
    await engine.start(lambda committed: None)
    try:
        assert isinstance(engine._leaders.each[0], Belief)  # type: ignore[attr-defined]
        made = await engine.append(creation(CREATED))
        assert (await engine.load("default", ORDER, made.entity_id, None)).events
        assert (await engine.newest_heads())[0] == 1
    finally:
        await engine.stop()
