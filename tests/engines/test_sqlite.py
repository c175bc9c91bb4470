"""The SQLite engine: the contract, and what is SQLite's own: locks, files, versions, full disks."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.engines.sqlite.database import connect, make_file
from eventuary.engines.sqlite.engine import SqliteEngine
from eventuary.errors import BadRequest, ConfigurationError, NotFound, ServiceUnavailable
from eventuary.events import Append, Appended, Entity, NewEvent
from eventuary.ids import ZERO_ID, IdGenerator
from eventuary.seldom import Seldom
from tests.engines.contract import APPROVED, ORDER, EngineContract, creation, update


class TestSqliteEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.path = tmp_path / "eventuary.db"

    def make(self) -> Engine:
        return SqliteEngine(self.path, swimlanes=8)

    async def test_a_commit_is_durable_and_journalled_ahead(self) -> None:
        make_file(self.path)
        connection = connect(self.path, cache_bytes=65536)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()

    async def test_a_database_has_one_server(self) -> None:
        async with self.started():
            with pytest.raises(ConfigurationError, match="held by another server"):
                await self.make().start(lambda committed: None)
        async with self.started() as engine:
            assert engine.head == 0

    async def test_swimlanes_stay_as_a_space_began(self) -> None:
        async with self.started() as engine:
            await engine.append(creation())
        later = SqliteEngine(self.path, swimlanes=3)
        await later.start(lambda committed: None)
        try:
            assert (later.swimlanes("default"), later.swimlanes("new")) == (8, 3)
        finally:
            await later.stop()

    async def test_a_file_that_is_no_database_is_refused(self) -> None:
        self.path.write_bytes(b"not a database at all" * 100)
        with pytest.raises(ConfigurationError, match="can't be opened as a database"):
            await self.make().start(lambda committed: None)
        with pytest.raises(ConfigurationError, match="can't be opened"):
            await SqliteEngine(self.path.parent / "no" / "such.db", swimlanes=8).start(
                lambda committed: None
            )

    async def test_its_files_are_for_their_owner_alone(self) -> None:
        umask = os.umask(0)
        try:
            async with self.started() as engine:
                await engine.append(creation())
                modes = {each.name: each.stat().st_mode & 0o777 for each in self._files()}
        finally:
            os.umask(umask)
        name = self.path.name
        assert modes == dict.fromkeys((name, f"{name}-wal", f"{name}-shm", f"{name}.lock"), 0o600)

    async def test_the_permissions_of_a_database_that_is_there_stay(self) -> None:
        async with self.started():
            pass
        self.path.chmod(0o640)
        async with self.started() as engine:
            await engine.append(creation())
            modes = {each.name: each.stat().st_mode & 0o777 for each in self._files()}
        assert modes[self.path.name] == modes[f"{self.path.name}-wal"] == 0o640

    def _files(self) -> list[Path]:
        return list(self.path.parent.iterdir())

    @pytest.mark.parametrize("name", ["a b?mode=ro&x#y.db", "ü%20.db", "a\\b;'.db"])
    async def test_its_file_may_have_any_name(self, name: str) -> None:
        path = self.path.with_name(name)
        engine = SqliteEngine(path, swimlanes=8)
        await engine.start(lambda committed: None)
        await engine.append(creation())
        assert engine.keys.list_keys() == []
        await engine.stop()
        assert {each.name for each in self._files()} == {name, f"{name}.lock"}

    async def test_an_sqlite_that_is_too_old_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # No machine of ours has such an SQLite: the one there is says that it is old.
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
        with pytest.raises(ConfigurationError, match=r"SQLite 3\.36\.9, and 3\.37 or newer"):
            await self.make().start(lambda committed: None)
        assert self._files() == []
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 0))
        async with self.started() as engine:
            assert engine.head == 0

    async def test_a_newer_schema_is_refused(self) -> None:
        async with self.started():
            pass
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA user_version = 1000")
        connection.close()
        with pytest.raises(ConfigurationError, match=r"schema version 1000.*upgrade"):
            await self.make().start(lambda committed: None)

    async def test_appends_that_wait_share_a_commit(self) -> None:
        async with self.started() as engine:
            await asyncio.gather(*(engine.append(creation()) for _ in range(500)))
            assert engine.counts.appends == 500
            assert engine.counts.groups < 100

    async def test_a_full_database_answers_503_and_recovers(self) -> None:
        committed: list[Committed] = []
        async with self.started(committed) as engine:
            first = await engine.append(creation(entity_id="one"))
            writing = engine._writer._connection  # type: ignore[attr-defined]  # SQLite's own
            pages = writing.execute("PRAGMA page_count").fetchone()[0]
            writing.execute(f"PRAGMA max_page_count = {pages}")
            big = Append("default", "orders.New", None, None, [NewEvent("Big", "x" * 100_000)])
            with pytest.raises(ServiceUnavailable, match=r"full.*nothing was written"):
                await engine.append(big)
            assert engine.head == 1
            assert len(committed) == 1
            assert (await engine.load("default", ORDER, "one", None)).events
            assert engine.event_types("default") == [(ORDER, "OrderCreated")]
            writing.execute("PRAGMA max_page_count = 1000000")
            assert isinstance(await engine.append(big), Appended)
            await engine.append(update(first))
        async with self.started() as engine:
            assert engine.head == 3
            assert len((await engine.read_log(LogQuery("default", 0))).events) == 3

    async def test_that_storage_takes_writes_again_is_said(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Once for each time that it was said to take none, which is said once in ten seconds."""
        now = 0.0
        monkeypatch.setattr(
            "eventuary.engines.sqlite.writer.Seldom", lambda: Seldom(clock=lambda: now)
        )
        caplog.set_level("INFO", "eventuary.sqlite")
        async with self.started() as engine:
            writing = engine._writer._connection  # type: ignore[attr-defined]  # SQLite's own
            for moment in (0.0, 1.0, 12.0):  # the second time nothing is said, of either
                now = moment
                writing.execute("PRAGMA query_only = ON")
                for _ in range(3):
                    with pytest.raises(ServiceUnavailable):
                        await engine.append(creation())
                writing.execute("PRAGMA query_only = OFF")
                # An append that is refused says nothing of the storage.
                with pytest.raises(NotFound):
                    await engine.append(update(Appended("nobody", ZERO_ID, [])))
                await engine.append(creation())
                await engine.probe()
        refused = "appends are answered 503: attempt to write a readonly database"
        again = "appends are taken again"
        assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
            ("WARNING", refused),
            ("INFO", again),
        ] * 2

    @pytest.mark.parametrize("work", ["probe", "store_positions"])
    async def test_any_write_tells_that_it_takes_them_again(
        self, work: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "eventuary.sqlite")
        async with self.started() as engine:
            writing = engine._writer._connection  # type: ignore[attr-defined]  # SQLite's own
            writing.execute("PRAGMA query_only = ON")
            with pytest.raises(ServiceUnavailable):
                await engine.append(creation())
            writing.execute("PRAGMA query_only = OFF")
            await (engine.probe() if work == "probe" else engine.store_positions([]))
        assert caplog.messages[-1] == "appends are taken again"

    async def test_names_of_a_failed_transaction_are_forgotten(self) -> None:
        async with self.started() as engine:
            writing = engine._writer._connection  # type: ignore[attr-defined]  # SQLite's own
            writing.execute("PRAGMA query_only = ON")
            with pytest.raises(ServiceUnavailable, match="readonly"):
                await engine.append(creation(space="s"))
            assert engine.event_types("s") == []
            writing.execute("PRAGMA query_only = OFF")
            await engine.append(creation(space="s"))
        async with self.started() as engine:
            assert len((await engine.read_log(LogQuery("s", 0))).events) == 1

    async def test_a_caller_that_goes_away_disturbs_nobody(self) -> None:
        async with self.started() as engine:
            gone = engine.append(creation(entity_id="gone"))
            gone.cancel()
            stays = engine.append(creation(entity_id="stays"))
            await stays
            assert (await engine.load("default", ORDER, "gone", None)).events
            load = engine.load("default", ORDER, "gone", None)
            load.cancel()
            assert await engine.load("default", ORDER, "nobody", None) == Entity([])

    async def test_stopping_finishes_what_was_begun(self) -> None:
        async with self.started() as engine:
            futures = [engine.append(creation()) for _ in range(200)]
        assert all(isinstance(future.result(), Appended) for future in futures)
        async with self.started() as engine:
            assert engine.head == 200

    async def test_event_types_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eventuary.engines.sqlite.catalogue.MOST_EVENT_TYPES", 2)
        async with self.started() as engine:
            await engine.append(creation(NewEvent("A", ""), NewEvent("B", "")))
            with pytest.raises(BadRequest, match="2 event types already"):
                await engine.append(creation(NewEvent("C", "")))
            assert engine.head == 2
            await engine.append(creation(NewEvent("A", "")))

    async def test_ids_go_on_growing_when_the_clock_has_gone_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with self.started() as engine:
            first = await engine.append(creation())
        monkeypatch.setattr(
            "eventuary.engines.sqlite.engine.IdGenerator",
            lambda node, after: IdGenerator(node, after, clock=lambda: 0),
        )
        async with self.started() as engine:
            second = await engine.append(update(first, APPROVED))
            assert second.entity_version > first.entity_version


@pytest.mark.parametrize(
    ("url", "reason"),
    [("oracle:x", "unknown scheme"), ("sqlite:", "names no file"), ("", "unknown scheme")],
)
def test_an_unknown_engine_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        open_engine(url)


@pytest.mark.parametrize("swimlanes", [0, 257])
def test_swimlanes_are_bounded(swimlanes: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{swimlanes} is outside"):
        open_engine("sqlite:x.db", swimlanes=swimlanes)
