"""The PostgreSQL engine: the contract, and what is its own: settings, roles, addresses."""

import asyncio
from typing import Any

import asyncpg
import pytest

from eventuary.engines.engine import Engine, KeyRecord, LogQuery, SubscriptionRecord
from eventuary.engines.opening import open_engine, shown
from eventuary.engines.postgres.event_ids import MOST_AHEAD, EventIds
from eventuary.engines.postgres.script import grants, migrations, schema_script
from eventuary.errors import BadRequest, ConfigurationError, NotFound, OptimisticLockError
from eventuary.events import Append, Appended, EventType, NewEvent
from tests.engines.contract import APPROVED, ORDER, EngineContract, creation, update
from tests.ports import free_port
from tests.postgres.process import PostgresProcess


class TestPostgresEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _storage(self, postgres_url: str) -> None:
        self.url = postgres_url

    def make(self) -> Engine:
        return open_engine(self.url)

    async def test_swimlanes_stay_as_a_space_began(self) -> None:
        async with self.started() as engine:
            await engine.append(creation())
        later = open_engine(self.url, swimlanes=3)
        await later.start(lambda committed: None)
        try:
            assert (later.swimlanes("default"), later.swimlanes("new")) == (8, 3)
        finally:
            await later.stop()

    async def test_appends_that_wait_share_a_commit(self) -> None:
        async with self.started() as engine:
            await asyncio.gather(*(engine.append(creation()) for _ in range(500)))
            assert engine.counts.appends == engine.counts.appended_events == 500
            assert engine.counts.groups < 100
            assert engine.counts.waiting == engine.counts.waiting_characters == 0

    async def test_stopping_finishes_what_was_begun(self) -> None:
        async with self.started() as engine:
            futures = [engine.append(creation()) for _ in range(200)]
        assert all(isinstance(future.result(), Appended) for future in futures)
        async with self.started() as engine:
            assert engine.head == 200

    async def test_a_caller_that_goes_away_disturbs_nobody(self) -> None:
        async with self.started() as engine:
            gone = engine.append(creation(entity_id="gone"))
            gone.cancel()
            await engine.append(creation(entity_id="stays"))
            assert (await engine.load("default", ORDER, "gone", None)).events
            engine.load("default", ORDER, "gone", None).cancel()
            assert (await engine.load("default", ORDER, "stays", None)).events

    async def test_event_types_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eventuary.engines.postgres.catalogue.MOST_EVENT_TYPES", 2)
        async with self.started() as engine:
            await engine.append(creation(NewEvent("A", ""), NewEvent("B", "")))
            outcomes = await asyncio.gather(
                engine.append(creation(NewEvent("C", ""))),
                engine.append(creation(NewEvent("A", ""))),
                return_exceptions=True,
            )
            assert isinstance(outcomes[0], BadRequest)
            assert "2 event types already" in str(outcomes[0])
            assert isinstance(outcomes[1], Appended)
            assert engine.head == 3

    async def test_a_type_occurs_from_its_first_event_on(self) -> None:
        async with self.started() as engine:
            await engine.append(creation(entity_id="one"))
            with pytest.raises(Exception, match="exists"):
                await engine.append(creation(NewEvent("Refused", "{}"), entity_id="one"))
            assert engine.event_types("default") == [EventType(ORDER, "OrderCreated")]
        async with self.started() as engine:
            assert engine.event_types("default") == [EventType(ORDER, "OrderCreated")]

    async def test_atomic_calls_and_single_appends_share_groups(self) -> None:
        """Whatever the mixture, each atomic call is done whole or not at all."""
        async with self.started() as engine:
            calls = [
                engine.append_all(
                    [creation(entity_id=f"a{n}"), creation(), creation(entity_id=f"b{n % 7}")],
                    atomic=True,
                )
                for n in range(40)
            ]
            singles = [engine.append(creation(entity_id=f"a{n}")) for n in range(0, 80, 2)]
            outcomes = await asyncio.gather(*calls)
            await asyncio.gather(*singles, return_exceptions=True)
            done = [
                n
                for n, each in enumerate(outcomes)
                if all(isinstance(one, Appended) for one in each)
            ]
            assert len(done) == 7  # one for each b
            for n, each in enumerate(outcomes):
                assert n in done or not any(isinstance(one, Appended) for one in each)
            # What was written is what was answered: two entities of the calls' own, and the b's.
            assert engine.head == 3 * 7 + sum(single.exception() is None for single in singles)
            page = await engine.read_log(LogQuery("default", 0))
            ids = [event.entity_id for event in page.events]
            assert len(ids) == len(set(ids)) == engine.head

    async def test_ids_follow_a_clock_that_is_ahead(self) -> None:
        """An entity whose last writer's clock is two minutes ahead can be appended to."""
        async with self.started() as engine:
            first = await engine.append(creation(entity_id="one"))
            # The newest event stays as it is: the engine would notice that it is another one.
            await engine.append(creation(entity_id="two"))
            ahead = f"{int(first.entity_version[:16], 16) + 120_000:016x}-{'0' * 16}"
            connection = await asyncpg.connect(self.url.partition("?")[0])
            schema = self.url.rpartition("=")[2]
            await connection.execute(
                f"UPDATE {schema}.events SET event_id = $1 WHERE position = 1", ahead
            )
            await connection.close()
            second = await engine.append(update(first, version=ahead))
            assert second.entity_version > ahead

    async def test_a_version_that_a_client_invents_drives_no_ids(self) -> None:
        async with self.started() as engine:
            first = await engine.append(creation())
            with pytest.raises(OptimisticLockError):
                await engine.append(update(first, version="f" * 16 + "-" + "f" * 16))
            second = await engine.append(update(first))
            assert second.entity_version[:8] == first.entity_version[:8]

    async def test_a_subscription_of_another_number_of_swimlanes_is_refused(self) -> None:
        async with self.started() as engine:
            await engine.append(creation())
            record = SubscriptionRecord("default", "view", {}, (0,) * 3)
            with pytest.raises(Exception, match="8 swimlanes, and not 3"):
                await engine.store_subscription(record)
            assert await engine.load_subscriptions("default") == []

    async def test_keys_need_no_running_engine(self) -> None:
        engine = self.make()
        assert not await asyncio.to_thread(lambda: engine.exists)
        async with self.started():
            pass
        assert await asyncio.to_thread(lambda: engine.exists)
        key = KeyRecord("ops", "ab" * 32, ("*",), False, 5)
        await asyncio.to_thread(engine.keys.add_key, key)
        assert await asyncio.to_thread(engine.keys.list_keys) == [key]

    async def test_commits_are_durable_whatever_the_role_is_set_to(
        self, postgres: PostgresProcess
    ) -> None:
        connection = await asyncpg.connect(postgres.url)
        await connection.execute("CREATE ROLE careless LOGIN SUPERUSER")
        await connection.execute("ALTER ROLE careless SET synchronous_commit = off")
        try:
            engine = open_engine(self.url.replace("postgres@", "careless@"))
            await engine.start(lambda committed: None)
            try:
                await engine.append(creation())
                writer: Any = engine._writer  # type: ignore[attr-defined]  # PostgreSQL's own
                session = await writer._line.connection()
                assert await session.fetchval("SHOW synchronous_commit") == "on"
            finally:
                await engine.stop()
        finally:
            await connection.execute("REASSIGN OWNED BY careless TO postgres; DROP ROLE careless")
            await connection.close()

    async def test_a_role_without_ddl_serves(self, postgres: PostgresProcess) -> None:
        schema = self.url.rpartition("=")[2]
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(f"CREATE ROLE {schema}_server LOGIN")
        serving = open_engine(self.url.replace("postgres@", f"{schema}_server@"))
        try:
            with pytest.raises(ConfigurationError, match="eventuary schema postgresql --schema"):
                await serving.start(lambda committed: None)
            script = schema_script(schema)
            await connection.execute(script)
            await connection.execute(script)  # it may be run again
            given = grants(schema).replace("-- GRANT", "GRANT")
            await connection.execute(given.replace("eventuary_server", f"{schema}_server"))
            await serving.start(lambda committed: None)
            try:
                await self._do_everything(serving)
            finally:
                await serving.stop()
            as_server = await asyncpg.connect(postgres.url_of(f"{schema}_server"))
            for statement in ("DELETE FROM", "TRUNCATE"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await as_server.execute(f"{statement} {schema}.events")
            await as_server.close()
        finally:
            await connection.execute(f"DROP OWNED BY {schema}_server; DROP ROLE {schema}_server")
            await connection.close()

    async def _do_everything(self, engine: Engine) -> None:
        """Call what the contract calls: each kind of statement once."""
        first = await engine.append(creation(token="t"))
        await engine.append(update(first))
        await self.test_with_a_snapshot_only_later_events_are_loaded(engine)
        await self.test_dead_letters_are_kept_listed_and_deleted(engine)
        await self.test_keys_are_stored_and_revoked(engine)
        await engine.probe()
        with pytest.raises(NotFound):
            await engine.append(Append("default", ORDER, "no", first.entity_version, [APPROVED]))

    async def test_an_older_schema_is_brought_up_to_date(
        self, postgres: PostgresProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With what is in it: as after an upgrade of Eventuary, and once whoever starts first."""
        newest = migrations()
        assert len(newest) > 1
        schema = self.url.rpartition("=")[2]
        connection = await asyncpg.connect(postgres.url)
        with monkeypatch.context() as older:
            older.setattr("eventuary.engines.postgres.script.migrations", lambda: newest[:1])
            await connection.execute(schema_script(schema))
        count = f"SELECT max(version) FROM {schema}.schema_version"
        assert await connection.fetchval(count) == 1
        engines = [self.make() for _ in range(3)]
        await asyncio.gather(*(engine.start(lambda _: None) for engine in engines))
        await asyncio.gather(*(engine.append(creation()) for engine in engines))
        await asyncio.gather(*(engine.stop() for engine in engines))
        assert await connection.fetchval(count) == len(newest)
        await connection.close()

    async def test_a_newer_schema_is_refused(self, postgres: PostgresProcess) -> None:
        async with self.started():
            pass
        schema = self.url.rpartition("=")[2]
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(f"INSERT INTO {schema}.schema_version VALUES (1000)")
        await connection.close()
        with pytest.raises(ConfigurationError, match=r"has version 1000.*upgrade"):
            await self.make().start(lambda committed: None)


async def test_servers_that_start_at_once_make_one_schema(postgres_url: str) -> None:
    engines = [open_engine(postgres_url) for _ in range(5)]
    await asyncio.gather(*(engine.start(lambda committed: None) for engine in engines))
    await asyncio.gather(*(engine.append(creation()) for engine in engines))
    await asyncio.gather(*(engine.stop() for engine in engines))


async def test_a_schema_may_have_any_name(postgres: PostgresProcess) -> None:
    engine = open_engine(f"{postgres.url}?schema=Ein%20%22Schema%22'%3B")
    await engine.start(lambda committed: None)
    try:
        first = await engine.append(creation())
        await engine.append(update(first))
    finally:
        await engine.stop()


async def test_a_database_that_loses_commits_is_refused(own_postgres: PostgresProcess) -> None:
    own_postgres.stop()
    own_postgres.start(["fsync=off"])
    with pytest.raises(ConfigurationError, match="fsync = off"):
        await open_engine(own_postgres.url).start(lambda committed: None)


async def test_a_database_in_another_encoding_is_refused(postgres: PostgresProcess) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    )
    await connection.close()
    url = postgres.url.rpartition("/")[0] + "/latin"
    with pytest.raises(ConfigurationError, match="encoding LATIN1"):
        await open_engine(url).start(lambda committed: None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret@127.0.0.1:{port}/x", "can't be opened"),
        ("postgresql://nobody:secret@127.0.0.1:{server}/postgres", 'role "nobody" does not exist'),
        ("postgresql://postgres@127.0.0.1:{server}/nowhere", 'database "nowhere" does not exist'),
    ],
)
async def test_what_cannot_be_reached_is_one_line(
    postgres: PostgresProcess, url: str, reason: str
) -> None:
    url = url.format(port=free_port(), server=postgres.port)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        await open_engine(url).start(lambda committed: None)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert shown("postgresql://me:secret@h/d?schema=s&password=p") == (
        "postgresql://me:***@h/d?schema=s&password=***"
    )
    assert shown("postgresql://me@h:5432,h2/d") == "postgresql://me@h:5432,h2/d"
    assert shown("sqlite:a b?.db") == "sqlite:a b?.db"


@pytest.mark.parametrize("schema", ["", "x" * 64])
def test_a_schema_has_a_name(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="is not 1 to 63 bytes"):
        open_engine(f"postgresql://h/d?schema={schema}")


def test_ids_grow_while_they_follow() -> None:
    now = 1_000_000
    ids = EventIds(7, clock=lambda: now * 1_000_000)
    given = [ids.next_id()]
    for ahead in (0, 1, 500, MOST_AHEAD, 5):
        version = f"{now + ahead:016x}-{'f' * 16}"
        assert not ids.is_far_ahead(version)
        ids.follow(version)
        given += [ids.next_id(), ids.next_id()]
        assert given[-2] > version
    assert given == sorted(set(given))
    assert ids.is_far_ahead(f"{now + MOST_AHEAD + 1000:016x}-{'0' * 16}")
