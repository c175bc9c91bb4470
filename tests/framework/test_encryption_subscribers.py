"""Subscribers read what is encrypted, and go on where an entity was forgotten."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary import (
    AggregateNotFound,
    Context,
    DeliveryPolicy,
    Encryption,
    EventStore,
    OnDeadLetter,
    Repository,
    Subscriber,
    connect,
    running,
)
from eventuary.key_stores.file import FileKeyStore
from tests.framework.people import Person, Registered, Renamed

AT_ONCE = DeliveryPolicy(first_pause=0.01, longest_pause=0.01)


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


class Phonebook(Subscriber):
    """Lists names as it learns of them."""

    def __init__(self, encryption: Encryption | None, name: str = "phonebook") -> None:
        super().__init__(name, encryption=encryption, policy=AT_ONCE)
        self.names: list[str] = []
        self.on(Registered, Renamed)(self._enter)

    async def _enter(self, event: Registered | Renamed, context: Context) -> None:
        self.names.append(event.name)


async def test_handlers_get_events_and_store_encrypted_ones(
    store: EventStore, people: Repository[Person], encryption: Encryption
) -> None:
    twins = Subscriber("twins", encryption=encryption)

    @twins.on(Registered)
    async def add_a_twin(event: Registered, context: Context) -> None:
        if not event.name.endswith("'s twin"):
            twin = await context.save(Person, Person.register(f"{event.name}'s twin"))
            await context.update(Person, context.entity_id, Person.rename, f"{event.name} I.")
            assert (await context.load(Person, twin.id)).name == "Ada's twin"

    book = Phonebook(encryption)
    async with running(store, twins, book) as runs:
        ada = await people.save(Person.register("Ada"))
        await runs.caught_up()
        await runs.caught_up()
    assert sorted(book.names) == ["Ada", "Ada I.", "Ada's twin"]
    stored = await store.history("default", "people.Person", ada.id)
    assert [each.event_data[:5] for each in stored] == ["enc1:", "enc1:"]
    assert (await people.load(ada.id)).name == "Ada I."


async def test_what_was_forgotten_is_passed_over_and_the_rest_goes_on(
    store: EventStore,
    people: Repository[Person],
    encryption: Encryption,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "eventuary.subscriber")
    before = await Repository(store, Person).save(Person.register("In the clear"))
    await people.update(before.id, Person.rename, "Encrypted")
    made = [await people.save(Person.register(name)) for name in ("Ada", "Grace", "Mary")]
    for forgotten in (before, made[0]):
        await encryption.forget(Person, forgotten.id)
    book = Phonebook(encryption)
    async with running(store, book) as runs:
        await runs.caught_up()
        await people.update(made[1].id, Person.rename, "Amazing Grace")
        await runs.caught_up()
    assert sorted(book.names) == ["Amazing Grace", "Grace", "Mary"]
    lines = [record for record in caplog.records if "was forgotten" in record.message]
    assert len(lines) == 3
    assert {vars(line)["entity_id"] for line in lines} == {before.id, made[0].id}
    assert lines[0].message.startswith("subscriber 'phonebook' passes over ")


async def test_a_handler_that_asked_is_told(
    store: EventStore, people: Repository[Person], encryption: Encryption
) -> None:
    ada = await people.save(Person.register("Ada"))
    grace = await people.save(Person.register("Grace"))
    await people.update(ada.id, Person.rename, "Augusta")
    await encryption.forget(Person, ada.id)
    book = Phonebook(encryption)
    told: list[tuple[str, str, int]] = []

    @book.on_forgotten
    async def remove(context: Context) -> None:
        told.append((context.entity_type, context.entity_id, context.attempt))
        if len(told) == 1:
            raise RuntimeError("the view is locked")
        await context.update(Person, grace.id, Person.rename, "Grace, who is alone")

    async with running(store, book) as runs:
        await runs.caught_up()
        await runs.caught_up()
    assert told == [
        ("people.Person", ada.id, 1),
        ("people.Person", ada.id, 2),
        ("people.Person", ada.id, 1),
    ]
    assert book.names == ["Grace", "Grace, who is alone"]


async def test_only_what_is_handled_counts_as_forgotten_not_what_it_leads_to(
    store: EventStore,
    people: Repository[Person],
    encryption: Encryption,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada = await people.save(Person.register("Ada"))
    await encryption.forget(Person, ada.id)
    friends = Subscriber("friends", encryption=encryption, policy=AT_ONCE)
    outcomes: list[str] = []

    @friends.on(Registered)
    async def tell_ada(event: Registered, context: Context) -> None:
        if context.attempt == 1:
            await context.update(Person, ada.id, Person.rename, f"{event.name}'s friend")
        try:
            await context.update(Person, ada.id, Person.rename, f"{event.name}'s friend")
        except AggregateNotFound:
            outcomes.append(f"{event.name} has lost a friend")

    async with running(store, friends) as runs:
        await people.save(Person.register("Grace"))
        await runs.caught_up()
    assert outcomes == ["Grace has lost a friend"]
    assert len([each for each in caplog.records if "EntityForgotten" in each.message]) == 1


async def test_a_subscriber_without_encryption_says_what_it_lacks(
    store: EventStore, people: Repository[Person], caplog: pytest.LogCaptureFixture
) -> None:
    blind = Subscriber(
        "blind", policy=DeliveryPolicy(max_attempts=1, on_dead_letter=OnDeadLetter.CONTINUE)
    )

    @blind.on(Registered)
    async def see(event: Registered, context: Context) -> None:
        raise AssertionError("nothing can be seen")

    async with running(store, blind) as runs:
        await people.save(Person.register("Ada"))
        await runs.caught_up()
    [line] = [record for record in caplog.records if record.name == "eventuary.subscriber"]
    assert "it is encrypted: say encryption=" in line.message


def test_what_asks_to_be_told_has_encryption_and_asks_once(encryption: Encryption) -> None:
    async def remove(context: Context) -> None: ...

    with pytest.raises(TypeError, match="'phonebook' has no encryption="):
        Phonebook(None).on_forgotten(remove)
    book = Phonebook(encryption)
    assert book.on_forgotten(remove) is remove
    with pytest.raises(TypeError, match=r"'phonebook' has a handler for forgotten .*'remove'"):
        book.on_forgotten(remove)
