"""A replica is promoted in its primary's place: servers find it, and lose nothing unsaid.

Two engines, as two servers have them, over a URL that names both. The replica is synchronous: it
has all that was acknowledged. Then it is not, and what it lacks is noticed by every server that has
told of it, before anything is read or written there.
"""

import asyncio
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from eventuary.engines.engine import Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.address import read_address
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.engines.postgres.continuity import Continuity
from eventuary.errors import ServiceUnavailable
from eventuary.events import Append, Appended
from tests.engines.contract import ORDER, creation, update
from tests.engines.test_postgres_failover import Writers, judge, started
from tests.engines.waiting import DEADLINE, until
from tests.postgres.process import PostgresProcess
from tests.postgres.replica import PostgresReplica


@pytest.fixture
def replica(own_postgres: PostgresProcess) -> Iterator[PostgresReplica]:
    """Follows ``own_postgres``, not yet started."""
    replica = PostgresReplica(own_postgres)
    try:
        yield replica
    finally:
        replica.remove()


def _url(*servers: PostgresProcess) -> str:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/postgres"


async def _end_sessions(server: PostgresProcess) -> None:
    await asyncio.to_thread(
        server.execute,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'eventuary'",
    )


@pytest.mark.parametrize(
    "end", ["kill", *(pytest.param(end, marks=pytest.mark.torture) for end in ("stop", "pause"))]
)
async def test_a_promoted_replica_is_found_and_has_everything(
    own_postgres: PostgresProcess, replica: PostgresReplica, end: str
) -> None:
    """A killed primary refuses connections; a paused one, as a machine that is gone, is silent."""
    await asyncio.to_thread(replica.start_in_step)
    engines = [
        open_engine(_url(own_postgres, replica)),
        open_engine(_url(replica, own_postgres)),
    ]
    async with started(*engines) as told:
        first = await engines[0].append(creation(entity_id="first"))
        writers = Writers(engines, 16)
        writers.acknowledged["first"] = first
        await writers.more()
        await asyncio.to_thread(getattr(own_postgres, end))
        await asyncio.to_thread(replica.promote)
        await writers.more()
        # It comes back and takes itself for the primary; nobody else does.
        await asyncio.to_thread(own_postgres.resume if end == "pause" else own_postgres.start)
        for _ in range(3):
            await _end_sessions(replica)
            await writers.more()
        await writers.stop()
        await judge(writers, engines, told)
        versions = [first]
        for engine in engines:
            versions.append(await _done(engine, update(versions[-1])))
        found = await engines[0].load("default", ORDER, "first", None)
        assert [event.id for event in found.events] == [each.entity_version for each in versions]
        assert versions == sorted(versions, key=lambda each: each.entity_version)


async def _done(engine: Engine, append: Append) -> Appended:
    """Append as a client does that tries again when it is told to."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await engine.append(append)
            except ServiceUnavailable:
                await asyncio.sleep(0.01)


_HEAD = "SELECT max(position) FROM eventuary.events"


async def _let_it_fall_behind(primary: PostgresProcess, replica: PostgresReplica) -> int:
    """Append more than the replica receives; returns the position up to which it has the log."""
    await asyncio.to_thread(replica.start)
    engine = open_engine(primary.url)
    async with started(engine):
        for _ in range(10):
            await engine.append(creation())
        await asyncio.to_thread(replica.catch_up)
        received = engine.head
        await asyncio.to_thread(replica.fall_behind)
        for _ in range(10):
            await engine.append(creation())
    return received


async def _use_positions_again(replica: PostgresReplica, number: int) -> None:
    engine = open_engine(replica.url)
    async with started(engine):
        await engine.append_all([creation() for _ in range(number)], atomic=True)


def _losses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.levelno == logging.CRITICAL]


async def _refuses(engine: Engine) -> None:
    for call in (
        engine.append(creation()),
        engine.load("default", ORDER, "first", None),
        engine.read_log(LogQuery("default", 0)),
        engine.load_subscriptions(None),
        engine.probe(),
    ):
        with pytest.raises(ServiceUnavailable, match="the database has lost events: position"):
            await call


@pytest.mark.parametrize("used_again", [0, pytest.param(5000, marks=pytest.mark.torture)])
async def test_a_replica_that_lacks_events_is_refused(
    own_postgres: PostgresProcess,
    replica: PostgresReplica,
    caplog: pytest.LogCaptureFixture,
    used_again: int,
) -> None:
    """Whether or not another server has used their positions for others before it is noticed."""
    received = await _let_it_fall_behind(own_postgres, replica)
    url = _url(own_postgres, replica)
    engines = [open_engine(url) for _ in range(2)]
    async with started(*engines) as told:
        writers = Writers(engines, 8)
        await writers.more(50)
        await writers.stop()
        await until(lambda: engines[0].head == engines[1].head, "the heads are one")
        assert used_again == 0 or engines[0].head < received + used_again
        await asyncio.to_thread(replica.promote)
        if used_again:
            await _use_positions_again(replica, used_again)
        await asyncio.to_thread(own_postgres.kill)
        # They append at once, so that no look at the log comes before their appends.
        writers = Writers(engines, 8)
        await until(lambda: len(_losses(caplog)) == 2, "both notice it")
        heads = [engine.head for engine in engines]
        await writers.stop()
        for engine in engines:
            await _refuses(engine)
        assert [engine.head for engine in engines] == heads
        assert not writers.acknowledged
        assert all(len(each.entities) >= 50 for each in told)
    there = int(await asyncio.to_thread(replica.execute, _HEAD))
    assert there == received + used_again
    # A person has looked, and starts them again.
    engine = open_engine(url)
    async with started(engine):
        assert engine.head == there
        await engine.append(creation())


async def test_a_server_that_has_told_of_nothing_yet_notices_too(
    own_postgres: PostgresProcess, replica: PostgresReplica, caplog: pytest.LogCaptureFixture
) -> None:
    """It was started since, and knows of what is lost from its start alone."""
    await _let_it_fall_behind(own_postgres, replica)
    engine = open_engine(_url(own_postgres, replica))
    async with started(engine):
        await asyncio.to_thread(replica.promote)
        await _use_positions_again(replica, 1000)
        await asyncio.to_thread(own_postgres.kill)
        await until(lambda: _losses(caplog), "it is noticed")
        await _refuses(engine)


async def test_a_primary_that_was_replaced_is_not_used(
    own_postgres: PostgresProcess, replica: PostgresReplica
) -> None:
    """Nobody has ended it: two take themselves for the primary, and both answer."""
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(replica.promote)
    continuity = Continuity()
    promoted = await connect(read_address(replica.url), check=continuity.check)
    assert continuity.timeline == 2
    for hosts in ((own_postgres, replica), (replica, own_postgres)) * 3:
        connection = await connect(read_address(_url(*hosts)), check=continuity.check)
        assert await connection.fetchval("SHOW port") == str(replica.port)
        await disconnect(connection)
    with pytest.raises(ServiceUnavailable, match="on timeline 1, and another was promoted to 2"):
        await connect(read_address(own_postgres.url), check=continuity.check)
    assert not promoted.is_closed()
    await disconnect(promoted)


async def test_the_first_connection_to_a_promoted_server_ends_those_to_the_old_one(
    own_postgres: PostgresProcess, replica: PostgresReplica
) -> None:
    await asyncio.to_thread(replica.start)
    continuity = Continuity()
    old = await connect(read_address(own_postgres.url), check=continuity.check)
    answer = asyncio.create_task(old.fetchval("SELECT pg_sleep(60)"))
    await asyncio.to_thread(replica.promote)
    promoted = await connect(read_address(replica.url), check=continuity.check)
    with pytest.raises(asyncpg.PostgresConnectionError):
        await answer
    assert old.is_closed()
    await disconnect(promoted)
