"""Repositories encrypt what they store, with a key for each entity; without it nobody reads it."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary import (
    AggregateNotFound,
    BadRequest,
    Encryption,
    EntityForgotten,
    EventStore,
    EveryEvents,
    Repository,
    ServiceUnavailable,
    UnreadableEvent,
    connect,
    metadata,
)
from eventuary.events import EntityEvent, NewEvent
from eventuary.framework.key_store import EntityName
from eventuary.ids import parse_id
from eventuary.key_stores.file import FileKeyStore
from tests.framework.people import Person, Registered, Renamed

ENCRYPTED = re.compile(r"enc1:[A-Za-z0-9_=-]{40,}")


@pytest.fixture
async def store() -> AsyncIterator[EventStore]:
    async with connect("memory:") as opened:
        yield opened


@pytest.fixture
def encryption(tmp_path: Path) -> Encryption:
    return Encryption(FileKeyStore(tmp_path / "keys"))


@pytest.fixture
def people(store: EventStore, encryption: Encryption) -> Repository[Person]:
    return Repository(store, Person, encryption=encryption)


async def _stored(store: EventStore, person_id: str) -> list[EntityEvent]:
    return await store.history("default", "people.Person", person_id)


async def test_what_is_stored_does_not_show_what_happened(
    store: EventStore, people: Repository[Person]
) -> None:
    with metadata(actor="clerk"):
        person = await people.save(Person.register("Ada Lovelace"))
    await people.update(person.id, Person.rename, "Ada Lovelace")
    await people.update(person.id, Person.rename, "Ada King")
    stored = await _stored(store, person.id)
    assert [each.event_type for each in stored] == ["Registered", "Renamed"]
    assert all(ENCRYPTED.fullmatch(each.event_data) for each in stored)
    assert stored[0].metadata is not None
    assert stored[0].metadata.startswith('{"actor":"clerk",')


async def test_it_is_read_back_by_whoever_has_the_keys(
    store: EventStore, people: Repository[Person], tmp_path: Path
) -> None:
    person = await people.save(Person.register("Ada Lovelace"))
    await people.update(person.id, Person.rename, "Ada King")
    others = Repository(store, Person, encryption=Encryption(FileKeyStore(tmp_path / "keys")))
    for repository in (people, others):
        loaded = await repository.load(person.id)
        assert (loaded.name, loaded.renamings) == ("Ada King", 1)
        assert [each.event for each in await repository.history(person.id)] == [
            Registered("Ada Lovelace"),
            Renamed("Ada King"),
        ]
        assert (await repository.load(person.id, at=person.version)).name == "Ada Lovelace"
    assert (await others.update(person.id, Person.rename, "Augusta")).renamings == 2
    assert (await people.load(person.id)).name == "Augusta"


async def test_ids_are_made_before_keys_and_look_like_those_of_the_store(
    people: Repository[Person],
) -> None:
    made = [await people.save(Person.register(name)) for name in ("Ada", "Grace")]
    assert made[0].id < made[1].id
    assert [parse_id(person.id, "id") for person in made] == [person.id for person in made]
    assert (await people.save(Person.register("Mary"), entity_id="mary")).id == "mary"


async def test_the_same_text_never_looks_the_same(
    store: EventStore, people: Repository[Person]
) -> None:
    made = [await people.save(Person.register("Ada")) for _ in range(3)]
    await people.update(made[0].id, Person.rename, "Grace")
    await people.update(made[0].id, Person.rename, "Ada")
    data = [each.event_data for person in made for each in await _stored(store, person.id)]
    assert len(set(data)) == len(data) == 5


# ── What was there before ─────────────────────────────────────────────────────────────────────────


async def test_what_was_stored_in_the_clear_stays_readable(
    store: EventStore, people: Repository[Person]
) -> None:
    clear = Repository(store, Person, snapshots=EveryEvents(2))
    person = await clear.save(Person.register("Ada"))
    await clear.update(person.id, Person.rename, "Grace")
    await clear.settle()
    assert (await store.load("default", "people.Person", person.id)).snapshot is not None
    for repository in (
        people,
        Repository(store, Person, snapshots=EveryEvents(2), encryption=people._encryption, cache=0),
    ):
        assert (await repository.load(person.id)).name == "Grace"
    await people.update(person.id, Person.rename, "Mary")
    stored = await _stored(store, person.id)
    assert [bool(ENCRYPTED.fullmatch(each.event_data)) for each in stored] == [False, False, True]
    assert len(await people.history(person.id)) == 3


async def test_processes_that_begin_to_encrypt_at_once_end_with_one_key(
    store: EventStore, tmp_path: Path
) -> None:
    person = await Repository(store, Person).save(Person.register("Ada"))
    writers = [
        Repository(store, Person, encryption=Encryption(FileKeyStore(tmp_path / "keys")))
        for _ in range(5)
    ]
    await asyncio.gather(
        *(writer.update(person.id, Person.rename, f"Ada {n}") for n, writer in enumerate(writers))
    )
    for writer in writers:
        assert (await writer.load(person.id)).renamings == 5
    assert len([each for each in (tmp_path / "keys").rglob("*") if each.is_file()]) == 1


# ── Snapshots ─────────────────────────────────────────────────────────────────────────────────────


async def test_snapshots_are_encrypted_too(store: EventStore, encryption: Encryption) -> None:
    people = Repository(store, Person, snapshots=EveryEvents(2), encryption=encryption, cache=0)
    person = await people.save(Person.register("Ada"))
    await people.update(person.id, Person.rename, "Grace")
    await people.settle()
    entity = await store.load("default", "people.Person", person.id)
    assert entity.events == []
    assert entity.snapshot is not None
    assert ENCRYPTED.fullmatch(entity.snapshot.json)
    assert (await people.load(person.id)).name == "Grace"
    await people.update(person.id, Person.rename, "Mary")
    assert (await people.load(person.id)).renamings == 2
    # One that does not know the class's shape goes back to the events.
    assert (await Repository(store, Person, encryption=encryption).load(person.id)).name == "Mary"
    await encryption.forget(Person, person.id)
    with pytest.raises(EntityForgotten):
        await people.load(person.id)


# ── Without the key ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("snapshots", [None, EveryEvents(1)])
async def test_without_encryption_it_says_what_is_missing(
    store: EventStore, encryption: Encryption, snapshots: EveryEvents | None
) -> None:
    writer = Repository(store, Person, snapshots=snapshots, encryption=encryption)
    person = await writer.save(Person.register("Ada"))
    await writer.settle()
    blind = Repository(store, Person, snapshots=snapshots)
    for call in (blind.load, blind.history):
        with pytest.raises(UnreadableEvent, match=r"it is encrypted: say encryption="):
            await call(person.id)


async def test_a_key_that_is_lost_is_not_an_entity_that_is_forgotten(
    store: EventStore, people: Repository[Person], tmp_path: Path
) -> None:
    person = await people.save(Person.register("Ada"))
    others = Repository(store, Person, encryption=Encryption(FileKeyStore(tmp_path / "empty")))
    with pytest.raises(UnreadableEvent, match="the key store has no key for it"):
        await others.load(person.id)
    with pytest.raises(UnreadableEvent):
        await others.update(person.id, Person.rename, "Grace")


async def test_data_is_bound_to_its_place(store: EventStore, people: Repository[Person]) -> None:
    ada = await people.save(Person.register("Ada"), entity_id="ada")
    await people.save(Person.register("Grace"), entity_id="grace")
    [of_ada] = await _stored(store, "ada")
    [of_grace] = await _stored(store, "grace")
    assert of_ada.event_data != of_grace.event_data
    for entity_id, forged in (
        ("grace", NewEvent("Renamed", of_ada.event_data)),  # another's
        ("ada", NewEvent("Renamed", of_ada.event_data)),  # of another type
        ("ada", NewEvent("Registered", _changed(of_ada.event_data))),
        ("ada", NewEvent("Registered", of_ada.event_data[:-20])),
        ("ada", NewEvent("Registered", "enc1:")),
        ("ada", NewEvent("Registered", "enc1:no base64")),
    ):
        version = (await _stored(store, entity_id))[-1].id
        await store.append("default", "people.Person", entity_id, version, [forged])
        with pytest.raises(UnreadableEvent, match="can't be decrypted"):
            await people.history(entity_id)
    assert (await people.load("ada", at=ada.version)).name == "Ada"


def _changed(encrypted: str) -> str:
    middle = len(encrypted) // 2
    other = "A" if encrypted[middle] != "A" else "B"
    return encrypted[:middle] + other + encrypted[middle + 1 :]


async def test_a_key_of_another_space_does_not_open_it(
    store: EventStore, encryption: Encryption
) -> None:
    here, there = (
        Repository(store, Person, space=space, encryption=encryption) for space in ("here", "there")
    )
    await here.save(Person.register("Ada"), entity_id="ada")
    await there.save(Person.register("Ada"), entity_id="ada")
    await encryption.forget(Person, "ada", space="here")
    assert (await there.load("ada")).name == "Ada"
    with pytest.raises(EntityForgotten):
        await here.load("ada")


# ── Forgetting ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cache", [0, 100])
async def test_nothing_is_left_of_a_forgotten_entity(
    store: EventStore, encryption: Encryption, tmp_path: Path, cache: int
) -> None:
    people = Repository(store, Person, encryption=encryption, cache=cache)
    elsewhere = Repository(
        store, Person, encryption=Encryption(FileKeyStore(tmp_path / "keys")), cache=cache
    )
    ada = await people.save(Person.register("Ada"), entity_id="ada")
    grace = await people.save(Person.register("Grace"))
    await elsewhere.load(ada.id)

    assert await encryption.forget("people.Person", ada.id)

    for repository in (people, elsewhere):
        for attempt in (
            repository.load(ada.id),
            repository.load(ada.id, at=ada.version),
            repository.history(ada.id),
            repository.update(ada.id, Person.rename, "Augusta"),
            repository.update(ada.id, Person.rename, "Ada"),  # which would decide for nothing
            repository.save(Person.register("Ada"), entity_id=ada.id),
        ):
            with pytest.raises(EntityForgotten, match="'ada' of space 'default' was forgotten"):
                await attempt
        assert not await repository.exists(ada.id)
        assert (await repository.load(grace.id)).name == "Grace"
    assert len(await _stored(store, ada.id)) == 1


async def test_who_copes_with_an_entity_that_is_not_there_copes_with_a_forgotten_one(
    people: Repository[Person], encryption: Encryption
) -> None:
    person = await people.save(Person.register("Ada"))
    await encryption.forget(Person, person.id)
    with pytest.raises(AggregateNotFound):
        await people.load(person.id)


async def test_what_was_never_there_is_not_found_but_not_forgotten(
    people: Repository[Person], tmp_path: Path
) -> None:
    for attempt in (people.load("nobody"), people.update("nobody", Person.rename, "Ada")):
        with pytest.raises(AggregateNotFound) as caught:
            await attempt
        assert not isinstance(caught.value, EntityForgotten)
    assert not await people.exists("nobody")
    assert not (tmp_path / "keys").exists()  # asking makes no keys


async def test_forgetting_says_whether_there_was_anything_to_forget(
    people: Repository[Person], encryption: Encryption
) -> None:
    person = await people.save(Person.register("Ada"))
    assert not await encryption.forget("people.Pers", person.id)
    assert await encryption.forget(Person, person.id)
    assert not await encryption.forget(Person, person.id)
    with pytest.raises(BadRequest, match="entity_id: is empty"):
        await encryption.forget(Person, "")
    with pytest.raises(BadRequest, match="entity: is empty"):
        await encryption.forget("", person.id)


async def test_without_the_key_store_nothing_is_written(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no folder")
    people = Repository(store, Person, encryption=Encryption(FileKeyStore(tmp_path / "keys")))
    with pytest.raises(ServiceUnavailable, match="the key store"):
        await people.save(Person.register("Ada"), entity_id="ada")
    assert await _stored(store, "ada") == []


# ── Look-ups ──────────────────────────────────────────────────────────────────────────────────────


class CountedKeys(FileKeyStore):
    """Counts what it is asked."""

    asked = 0

    async def find(self, entity: EntityName) -> bytes | None:
        self.asked += 1
        return await super().find(entity)

    async def keep(self, entity: EntityName, key: bytes) -> bytes:
        self.asked += 1
        return await super().keep(entity, key)


@pytest.mark.parametrize("cache", [0, 100])
async def test_a_key_is_looked_up_once_a_call_however_many_events(
    store: EventStore, tmp_path: Path, cache: int
) -> None:
    keys = CountedKeys(tmp_path / "keys")
    people = Repository(
        store, Person, encryption=Encryption(keys), cache=cache, snapshots=EveryEvents(3)
    )
    person = await people.save([Registered("Ada"), Renamed("Grace"), Renamed("Mary")])
    assert keys.asked == 1
    await people.update(person.id, Person.rename, "Augusta")
    await people.settle()
    assert keys.asked == 2
    await people.load(person.id)
    assert keys.asked == 3
    await people.history(person.id)
    assert keys.asked == 4


async def test_keys_are_of_256_bits(people: Repository[Person], tmp_path: Path) -> None:
    await people.save(Person.register("Ada"), entity_id="ada")
    key = await FileKeyStore(tmp_path / "keys").find(EntityName("default", "people.Person", "ada"))
    assert key is not None
    assert len(key) == 32
    assert key not in (bytes(32), os.urandom(32))
