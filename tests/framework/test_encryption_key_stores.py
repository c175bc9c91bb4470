"""Key stores: one key for an entity, whoever asks; none at all, for ever, once it is forgotten."""

import asyncio
import base64
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy

from eventuary import ConfigurationError, EntityForgotten, ServiceUnavailable
from eventuary.framework.key_store import EntityName, KeyStore
from eventuary.key_stores.file import FileKeyStore
from eventuary.key_stores.sql import ENTITY_KEYS, SqlKeyStore
from tests.framework.key_process import entity, open_keys

ADA = EntityName("default", "people.Person", "ada")


@pytest.fixture(params=["file", "sql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "keys") if request.param == "file" else f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
async def keys(place: str) -> AsyncIterator[KeyStore]:
    opened = open_keys(place)
    yield opened
    if isinstance(opened, SqlKeyStore):
        await opened.close()


@contextmanager
def _process(verb: str, place: str, number: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.framework.key_process", verb, place, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _file(folder: Path, name: EntityName) -> Path:
    [found] = (path for path in folder.rglob("*.json") if name.entity_id in path.read_text())
    return found


def _everything_stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_key_is_kept_and_found(keys: KeyStore, place: str) -> None:
    assert await keys.find(ADA) is None
    key = os.urandom(32)
    assert await keys.keep(ADA, key) == key
    assert await keys.find(ADA) == key
    assert await open_keys(place).find(ADA) == key


async def test_the_first_key_stays(keys: KeyStore) -> None:
    first, second = os.urandom(32), os.urandom(32)
    await keys.keep(ADA, first)
    assert await keys.keep(ADA, second) == first


@pytest.mark.parametrize(
    "other",
    [
        EntityName("other", "people.Person", "ada"),
        EntityName("default", "people.Dog", "ada"),
        EntityName("default", "people.Person", "Ada"),
        EntityName("default", "people.Person", "ada "),
        EntityName("default", "people.", "Personada"),
    ],
)
async def test_names_that_differ_have_keys_that_differ(keys: KeyStore, other: EntityName) -> None:
    await keys.keep(ADA, bytes(32))
    assert await keys.find(other) is None
    await keys.destroy(other)
    assert await keys.find(ADA) == bytes(32)


async def test_a_forgotten_entity_never_gets_a_key_again(keys: KeyStore, place: str) -> None:
    await keys.keep(ADA, os.urandom(32))
    assert await keys.destroy(ADA)
    for store in (keys, open_keys(place)):
        with pytest.raises(EntityForgotten, match=r"Person 'ada' of space 'default' was forgotten"):
            await store.find(ADA)
        with pytest.raises(EntityForgotten):
            await store.keep(ADA, os.urandom(32))
        assert not await store.destroy(ADA)


async def test_an_entity_without_a_key_can_be_forgotten(keys: KeyStore) -> None:
    assert not await keys.destroy(ADA)
    with pytest.raises(EntityForgotten):
        await keys.keep(ADA, os.urandom(32))


async def test_nothing_of_a_destroyed_key_is_left_in_any_file(
    keys: KeyStore, tmp_path: Path
) -> None:
    key, other = b"\x01 the key of ada, who goes \x02\x03\x04\x05", os.urandom(32)
    await keys.keep(ADA, key)
    await keys.keep(entity(1), other)
    as_stored = key if isinstance(keys, SqlKeyStore) else base64.b64encode(key)
    assert as_stored in _everything_stored(tmp_path)
    await keys.destroy(ADA)
    assert as_stored not in _everything_stored(tmp_path)
    assert await keys.find(entity(1)) == other


async def test_the_file_that_was_linked_elsewhere_is_overwritten(tmp_path: Path) -> None:
    # As a process leaves it behind that is killed between the link and the unlink.
    keys = FileKeyStore(tmp_path / "keys")
    await keys.keep(ADA, os.urandom(32))
    [path] = (tmp_path / "keys").rglob("*.json")
    os.link(path, tmp_path / "left-behind")
    await keys.destroy(ADA)
    content = (tmp_path / "left-behind").read_bytes()
    assert content
    assert not content.strip(b"\0")


async def test_of_many_at_once_one_key_wins(keys: KeyStore) -> None:
    mine = [os.urandom(32) for _ in range(20)]
    kept = await asyncio.gather(*(keys.keep(ADA, key) for key in mine))
    assert len(set(kept)) == 1
    assert kept[0] in mine
    assert await keys.find(ADA) == kept[0]


async def test_keeping_and_forgetting_at_once_ends_in_forgotten(keys: KeyStore) -> None:
    await asyncio.gather(
        *(keys.keep(ADA, os.urandom(32)) for _ in range(10)),
        *(keys.destroy(ADA) for _ in range(5)),
        *(keys.find(ADA) for _ in range(10)),
        return_exceptions=True,
    )
    with pytest.raises(EntityForgotten):
        await keys.find(ADA)


def test_sqlite_waits_for_other_processes_as_long_as_for_those_of_a_view(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/keys.db")
    SqlKeyStore(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    engine.dispose()


def test_processes_that_race_end_with_one_key(place: str) -> None:
    number = 40
    with _process("keep", place, number) as one, _process("keep", place, number) as other:
        for process in (one, other):
            _begin(process)
        said = [process.communicate(timeout=100)[0].splitlines() for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0)
    assert len(said[0]) == number
    assert said[0] == said[1]


async def test_a_process_killed_while_it_forgets_leaves_each_key_whole_or_gone(place: str) -> None:
    number, seen = 60, 10
    keys = open_keys(place)
    kept = [await keys.keep(entity(each), os.urandom(32)) for each in range(number)]
    with _process("destroy", place, number) as process:
        _begin(process)
        assert process.stdout is not None
        for each in range(seen):
            assert process.stdout.readline() == f"{each} True\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    outcomes = []
    for each in range(number):
        try:
            outcomes.append(await keys.find(entity(each)))
        except EntityForgotten:
            outcomes.append(None)
    gone = outcomes.count(None)
    assert gone >= seen
    assert outcomes == [None] * gone + kept[gone:]


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "deep" / "keys")
    await keys.keep(ADA, os.urandom(32))
    await keys.keep(entity(1), os.urandom(32))
    await keys.destroy(entity(1))
    for path in (tmp_path / "deep" / "keys").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "deep" / "keys").stat().st_mode) == 0o700


async def test_damaged_and_exchanged_files_are_told(tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path)
    await keys.keep(ADA, os.urandom(32))
    await keys.keep(entity(1), os.urandom(32))
    ada, other = (_file(tmp_path, each) for each in (ADA, entity(1)))
    whole = ada.read_bytes()
    for content in (other.read_bytes(), whole[:-20], b""):
        ada.write_bytes(content)
        with pytest.raises(ServiceUnavailable, match=r"\.json is not the key of .* 'ada'"):
            await keys.find(ADA)
    assert await keys.destroy(ADA)
    with pytest.raises(EntityForgotten):
        await keys.find(ADA)


async def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ServiceUnavailable, match=r"key store '.*file/keys' can't be used"):
        await FileKeyStore(tmp_path / "file" / "keys").keep(ADA, os.urandom(32))
    for call in (SqlKeyStore.find, SqlKeyStore.destroy):
        with pytest.raises(ServiceUnavailable, match=r"key store can't be used: .*unable to open"):
            await call(SqlKeyStore(f"sqlite:///{tmp_path}/none/keys.db"), ADA)


def test_a_database_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="in memory keeps no keys"):
        SqlKeyStore("sqlite://")
    with pytest.raises(ConfigurationError, match="key store"):
        SqlKeyStore("no-such-database://host/keys")


async def test_tables_and_engines_of_the_application_are_used(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/app.db")
    ENTITY_KEYS.create(engine)
    await SqlKeyStore(engine).keep(ADA, bytes(32))
    with engine.begin() as connection:
        [row] = connection.execute(sqlalchemy.select(ENTITY_KEYS)).all()
    assert (row.space, row.entity_type, row.entity_id) == ADA
    engine.dispose()
