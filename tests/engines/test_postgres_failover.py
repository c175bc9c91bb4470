"""The database goes away and comes back, connections break: callers are told the truth each time.

An append that was acknowledged is in the log, once; one that was answered 503 is not, so that
whoever tries it again appends it once.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.errors import ServiceUnavailable
from eventuary.events import Appended, EventType
from tests.engines.contract import ORDER, creation, update
from tests.engines.waiting import until
from tests.postgres.process import PostgresProcess


class News:
    """What an engine tells: in order, and without a gap unless it says that there is one."""

    def __init__(self) -> None:
        self.head = 0
        self.entities: dict[int, str] = {}
        self.wrong: list[str] = []

    def __call__(self, committed: Committed) -> None:
        if committed.head <= self.head:
            self.wrong.append(f"{committed.head} is told behind {self.head}")
        if committed.events is not None:
            positions = [event.position for event in committed.events]
            if positions != list(range(self.head + 1, committed.head + 1)):
                self.wrong.append(f"{positions} are told behind {self.head}")
            self.entities.update((event.position, event.entity_id) for event in committed.events)
        self.head = committed.head


@contextlib.asynccontextmanager
async def started(*engines: Engine) -> AsyncIterator[list[News]]:
    told = [News() for _ in engines]
    for engine, each in zip(engines, told, strict=True):
        await engine.start(each)
        each.head = engine.head
    try:
        yield told
    finally:
        for engine in engines:
            await engine.stop()
    assert not [each.wrong for each in told if each.wrong]


class Writers:
    """Create entities through engines, as fast as they are answered, and keep the answers."""

    def __init__(self, engines: list[Engine], each: int) -> None:
        self.acknowledged: dict[str, Appended] = {}
        self.refused: list[str] = []
        self.reasons: set[str] = set()
        self._names = itertools.count()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        for engine in engines * each:
            self.add(engine)

    def add(self, engine: Engine) -> None:
        """Let one more create entities."""
        self._tasks.append(asyncio.create_task(self._write(engine)))

    async def _write(self, engine: Engine) -> None:
        while not self._stopping:
            name = f"e{next(self._names)}"
            try:
                self.acknowledged[name] = await engine.append(creation(entity_id=name))
            except ServiceUnavailable as error:
                self.refused.append(name)
                self.reasons.add(str(error))
                await asyncio.sleep(0.01)  # as a client that tries again

    async def more(self, number: int = 100) -> None:
        """Return when so many more are acknowledged."""
        wanted = len(self.acknowledged) + number
        await until(lambda: len(self.acknowledged) >= wanted, f"{number} more are acknowledged")

    async def more_refused(self, engine: Engine) -> None:
        """Return when an append is refused; if need be one of those that are added for that."""
        before = len(self.refused)

        def refused() -> bool:
            self.add(engine)
            return len(self.refused) > before

        await until(refused, "appends are refused")

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


async def _whole_log(engine: Engine) -> list[str]:
    entities: list[str] = []
    position = 0
    while position < engine.head:
        page = await engine.read_log(LogQuery("default", position, limit=5000, max_bytes=1 << 30))
        entities += [event.entity_id for event in page.events]
        position = page.position
    return entities


async def judge(writers: Writers, engines: list[Engine], told: list[News]) -> None:
    await until(lambda: len({engine.head for engine in engines}) == 1, "the heads are one")
    log = await _whole_log(engines[0])
    assert len(log) == len(set(log))
    assert set(log) == set(writers.acknowledged)
    assert not set(log) & set(writers.refused)
    assert all("nothing was written" in each for each in writers.reasons)
    for each in told:
        assert each.head == len(log)
        assert each.entities
        assert all(log[at - 1] == entity for at, entity in each.entities.items())


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
async def test_a_restart_loses_nothing_acknowledged(
    own_postgres: PostgresProcess, end: str
) -> None:
    engines = [open_engine(own_postgres.url) for _ in range(2)]
    async with started(*engines) as told:
        await engines[0].append(creation(entity_id="first"))
        writers = Writers(engines, 16)
        writers.acknowledged["first"] = Appended("first", "", [])
        for _ in range(2):
            await writers.more()
            await asyncio.to_thread(getattr(own_postgres, end))
            # Those that had sent an append wait for what has become of it; those that come now are
            # refused, as soon as the loss is noticed.
            await writers.more_refused(engines[0])
            await asyncio.to_thread(own_postgres.start)
        await writers.more()
        await writers.stop()
        await judge(writers, engines, told)


async def test_an_answer_that_is_lost_is_looked_for(postgres_url: str) -> None:
    """Sessions are ended again and again while they append: no caller is told what is not so."""
    dsn, _, schema = postgres_url.partition("?schema=")
    engines = [open_engine(postgres_url) for _ in range(2)]
    async with started(*engines) as told:
        await engines[0].append(creation(entity_id="first"))
        writers = Writers(engines, 16)
        writers.acknowledged["first"] = Appended("first", "", [])
        admin = await asyncpg.connect(dsn)
        for _ in range(25):
            await writers.more(40)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity, pg_namespace"
                " WHERE query LIKE '%append_group%' AND state = 'active'"
                " AND pid <> pg_backend_pid() AND nspname = $1",
                schema,
            )
        await admin.close()
        await writers.more()
        await writers.stop()
        await judge(writers, engines, told)


async def test_a_database_that_is_away_is_said_at_once(own_postgres: PostgresProcess) -> None:
    engine = open_engine(own_postgres.url)
    async with started(engine):
        first = await engine.append(creation())
        writer: Any = engine._writer  # type: ignore[attr-defined]  # PostgreSQL's own
        session = await writer._line.connection()
        await asyncio.to_thread(own_postgres.stop)
        # An append that had been sent by now would wait for the database: has it been done?
        await until(session.is_closed, "the end of the session is noticed")
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(20):
            for call in (
                engine.append(creation()),
                engine.append_all([creation()], atomic=True),
                engine.load("default", ORDER, first.entity_id, None),
                engine.history("default", ORDER, first.entity_id, first.entity_version),
                engine.read_log(LogQuery("default", 0)),
                engine.load_subscriptions(None),
                engine.probe(),
            ):
                with pytest.raises(ServiceUnavailable, match="storage"):
                    await call
        assert loop.time() - before < 60  # 140 calls, none of which waits a second for it
        assert engine.counts.waiting == 0
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: _succeeds(engine), "appends are taken again")
        assert (await engine.load("default", ORDER, first.entity_id, None)).events


_probes: dict[Engine, asyncio.Future[Appended]] = {}


def _succeeds(engine: Engine) -> bool:
    """Whether an append that was tried before this look has succeeded; tries one if there is none.

    A look waits for nothing.
    """
    probe = _probes.get(engine)
    if probe is None:
        _probes[engine] = engine.append(creation())
        return False
    if not probe.done():
        return False
    del _probes[engine]
    return probe.exception() is None


async def test_news_comes_by_notification(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody polls: what is told was heard. And again after the listening session was ended."""
    monkeypatch.setattr("eventuary.engines.postgres.following._POLL_EVERY", 3600.0)
    listening, writing = open_engine(postgres_url), open_engine(postgres_url)
    async with started(listening, writing):
        for _ in range(3):
            for _ in range(5):
                await _until_it_listens(listening)
                await writing.append(creation())
                await until(lambda: listening.head == writing.head, "the news is heard")
            await _end(await _until_it_listens(listening))


async def _end(session: Any) -> None:
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
        await session.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def _until_it_listens(engine: Engine) -> Any:
    line: Any = engine._follower._line  # type: ignore[attr-defined]  # PostgreSQL's own
    await until(
        lambda: (
            line._connection is not None
            and not line._connection.is_closed()
            and line._connection._listeners
        ),
        "it listens",
    )
    return line._connection


async def test_what_no_notification_tells_a_poll_finds(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventuary.engines.postgres.notifying._NOTIFY", "SELECT $1::text, $2::text")
    polling, writing = open_engine(postgres_url), open_engine(postgres_url)
    async with started(polling, writing):
        for _ in range(2):
            await writing.append(creation())
            await until(lambda: polling.head == writing.head, "the poll has found it")


async def test_connections_that_break_while_nobody_calls_are_replaced(postgres_url: str) -> None:
    dsn = postgres_url.partition("?")[0]
    engine = open_engine(postgres_url)
    async with started(engine):
        admin = await asyncpg.connect(dsn)
        first = await engine.append(creation())
        for _ in range(5):
            await engine.load("default", ORDER, first.entity_id, None)
            await engine.read_log(LogQuery("default", 0))
            await engine.probe()
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'eventuary' AND pid <> pg_backend_pid()"
            )
            await engine.load("default", ORDER, first.entity_id, None)
            await engine.read_log(LogQuery("default", 0))
            await engine.probe()
            # Its connection may have been found broken with the append on it: then it is looked
            # for, and not there.
            with contextlib.suppress(ServiceUnavailable):
                first = await engine.append(update(first))
        await admin.close()
        await engine.append(update(first))


async def test_a_database_that_has_lost_events_is_served_no_more(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a replica that had not received them was promoted."""
    dsn, _, schema = postgres_url.partition("?schema=")
    engine = open_engine(postgres_url)
    async with started(engine):
        for _ in range(3):
            await engine.append(creation())
        admin = await asyncpg.connect(dsn)
        await admin.execute(f"DELETE FROM {schema}.events WHERE position > 1")
        await _end(await _until_it_listens(engine))
        await until(lambda: "has lost events" in caplog.text, "it is noticed")
        for call in (engine.append(creation()), engine.read_log(LogQuery("default", 0))):
            with pytest.raises(ServiceUnavailable, match="position 3 is not there any more"):
                await call
        await admin.close()


async def test_a_names_table_that_has_lost_names_is_read_anew(postgres_url: str) -> None:
    """As after such a promotion, if no event was lost: no number is used that means nothing."""
    dsn, _, schema = postgres_url.partition("?schema=")
    engine = open_engine(postgres_url)
    async with started(engine):
        await engine.append(creation())
        writer: Any = engine._writer  # type: ignore[attr-defined]  # PostgreSQL's own
        connection = await writer._line.connection()
        await engine._catalogue.register(connection, [("new", EventType(ORDER, "Lost"))])  # type: ignore[attr-defined]
        admin = await asyncpg.connect(dsn)
        await admin.execute(
            f"SET search_path = {schema}; DELETE FROM event_types WHERE name = 'Lost';"
            "DELETE FROM entity_types WHERE space_no > 1; DELETE FROM spaces WHERE space_no > 1"
        )
        writer._line.drop()
        await engine.append(creation(space="new"))
        names = await admin.fetch(
            "SELECT s.name FROM events JOIN event_types USING (event_type_no)"
            " JOIN entity_types t ON t.entity_type_no = event_types.entity_type_no"
            " JOIN spaces s USING (space_no) ORDER BY position"
        )
        assert [row[0] for row in names] == ["default", "new"]
        await admin.close()
