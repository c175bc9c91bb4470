"""A view of encrypted events, and what is left of it of those who were forgotten."""

from pathlib import Path

import msgspec

from eventuary import Encryption, EventStore, Repository, running
from eventuary.key_stores.file import FileKeyStore
from eventuary.views import View, ViewContext, rebuild
from eventuary.views.sql import SqlDocuments
from tests.framework.people import Person, Registered, Renamed


class PersonDocument(msgspec.Struct):
    """A person's name."""

    person_id: str
    name: str = ""


async def test_who_was_forgotten_is_not_in_a_view_that_is_rebuilt(
    lasting_store: EventStore, tmp_path: Path
) -> None:
    encryption = Encryption(FileKeyStore(tmp_path / "keys"))
    storage = SqlDocuments(f"sqlite:///{tmp_path / 'views.db'}")
    view = View("people", storage, encryption=encryption)
    people = view.collection("people", PersonDocument)

    @people.on(Registered, Renamed)
    def call(person: PersonDocument, event: Registered | Renamed, _: ViewContext) -> None:
        person.name = event.name

    repository = Repository(lasting_store, Person, encryption=encryption)
    for name in ("Ada", "Grace"):
        await repository.save(Person.register(name), entity_id=name.lower())
    async with running(lasting_store, view) as run:
        await run.caught_up()
        assert await people.get("ada") == PersonDocument("ada", "Ada")
        await encryption.forget(Person, "ada")
        await repository.update("grace", Person.rename, "Hopper")
        await run.caught_up()
    await rebuild(view.declaration, view.kept, lasting_store)
    assert await people.get("ada") is None
    assert await people.get("grace") == PersonDocument("grace", "Hopper")
    await storage.close()
