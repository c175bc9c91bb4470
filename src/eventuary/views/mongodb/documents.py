"""MongoDocuments: documents in MongoDB, each with a guard by which every event counts once in it.

No transaction is needed for that, and so no replica set. A group may be applied in part when its
process is killed; the whole comes again, and each document takes what it lacks. Only between two
documents that one event changes can a reader see one changed and the other not yet; where the
server has transactions, a group is one, and that is not seen either.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import CollectionInvalid, OperationFailure

from eventuary.errors import ServiceUnavailable
from eventuary.views.collection import Collection, DocumentUpdate, Step, steps_by_document
from eventuary.views.generation import Generation, GenerationRetired, GenerationState
from eventuary.views.mongodb.database import MongoDatabase, in_our_words
from eventuary.views.mongodb.folding import Change, changes_of
from eventuary.views.mongodb.generations import MongoGenerations
from eventuary.views.mongodb.stored_form import Found, check_form, from_fields
from eventuary.views.mongodb.writing import conflicts_of
from eventuary.views.view_event import ViewEvent

_D = TypeVar("_D")

#: Keys of one find.
_AT_ONCE = 250

#: So often a group is folded anew because others changed its documents meanwhile.
_MOST_ROUNDS = 30

#: MongoDB's code for a collection that another process has made meanwhile.
_NAMESPACE_EXISTS = 48

#: What is left to do of a group: by collection and key.
_Steps = Mapping[str, Mapping[str, list[Step]]]


class MongoDocuments:
    """Satisfies ``DocumentStorage``. ``url``: mongodb://HOST[:PORT][,…]/DATABASE[?OPTIONS], or
    mongodb+srv://…. Raises ConfigurationError for what can't be one.

    A collection's documents are in ``<view>.<collection>.<generation>``.
    """

    def __init__(self, url: str) -> None:
        self._database = MongoDatabase(url)

    def keep(self, view: str, collections: Mapping[str, Collection[Any]]) -> "KeptInMongo":
        """Return a view's place in it."""
        return KeptInMongo(self._database, view, collections)

    async def close(self) -> None:
        """Close its connections."""
        await self._database.close()


class KeptInMongo:
    """Satisfies ``KeptDocuments``. Made by ``MongoDocuments.keep``."""

    def __init__(
        self, database: MongoDatabase, view: str, collections: Mapping[str, Collection[Any]]
    ) -> None:
        self.view = view
        self._database = database
        self._collections = collections
        self._generations = MongoGenerations(database, view)

    async def generations(self) -> list[Generation]:
        """Return the generations."""
        return await self._generations.all()

    async def open_live(self) -> int:
        """Return the live generation. Raises TypeError for documents that have no form here."""
        return await self._generations.open(GenerationState.LIVE, self._prepare)

    async def open_building(self) -> int:
        """Return the generation that is being built. Raises TypeError as ``open_live``."""
        return await self._generations.open(GenerationState.BUILDING, self._prepare)

    async def switch(self, number: int) -> None:
        """Let a generation be the live one."""
        await self._generations.switch(number)

    async def retire(self, number: int) -> None:
        """Let a generation be neither fed nor switched to."""
        await self._generations.retire(number)

    async def drop(self, number: int) -> None:
        """Remove a generation."""
        # Nobody switches to it from now on; interrupted, it is one that is to be dropped.
        await self._generations.retire(number)
        await self._drop_collections(number)
        await self._generations.remove(number)
        # What a process has written that looked before it was struck off; whoever looks later
        # removes what it has written by itself.
        await self._drop_collections(number)

    async def close(self) -> None:
        """Close the connections of the storage, which other views may share."""
        await self._database.close()

    async def get(self, number: int, collection: Collection[_D], key: str) -> _D | None:
        """Read a document."""
        if not _is_text(key):
            return None
        with in_our_words():
            stored = await self._database.database[self._name(collection.name, number)].find_one(
                {"_id": key}
            )
        fields = None if stored is None else Found.of(stored).fields
        return None if fields is None else from_fields(collection, key, fields)

    async def apply(self, number: int, events: Sequence[ViewEvent[DocumentUpdate]]) -> None:
        """Apply a group."""
        steps: _Steps = steps_by_document(_each_once(events))
        await self._generations.check_fed(number)
        for _ in range(_MOST_ROUNDS):
            steps = await self._round(number, steps)
            if not steps:
                break
        else:
            raise ServiceUnavailable(
                f"view {self.view!r}: its documents were changed by others at each of "
                f"{_MOST_ROUNDS} attempts"
            )
        if not await self._generations.is_there(number):
            await self._drop_collections(number)
            raise GenerationRetired(self.view, number)

    async def _round(self, number: int, steps: _Steps) -> _Steps:
        """Do what can be done; return what others were in the way of."""
        with in_our_words():
            if not self._database.has_transactions:
                return await self._attempt(number, steps, None)
            async with self._database.client.start_session() as session:
                try:
                    async with await session.start_transaction():
                        if await self._attempt(number, steps, session):
                            raise _Conflict
                except _Conflict:
                    return steps
                except OperationFailure as error:
                    # MongoDB's own word for a conflict. Where it is the connection that failed,
                    # which has the same label, the error is another one.
                    if not error.has_error_label("TransientTransactionError"):
                        raise
                    return steps
        return {}

    async def _attempt(
        self, number: int, steps: _Steps, session: AsyncClientSession | None
    ) -> _Steps:
        """Read, fold and write all; return what was not found as it was read."""
        revision = ObjectId()
        changes: dict[str, list[Change]] = {}
        for name, of_collection in steps.items():
            found = await self._find(number, name, list(of_collection), session)
            changes[name] = changes_of(self._collections[name], of_collection, found, revision)
        left: dict[str, Mapping[str, list[Step]]] = {}
        for name, of_name in changes.items():
            if of_name:
                collection = self._database.collection(self._name(name, number))
                conflicts = await conflicts_of(collection, of_name, session)
                if conflicts:
                    left[name] = {change.key: steps[name][change.key] for change in conflicts}
        return left

    async def _find(
        self, number: int, name: str, keys: list[str], session: AsyncClientSession | None
    ) -> dict[str, Found]:
        collection = self._database.collection(self._name(name, number))
        found: dict[str, Found] = {}
        for first in range(0, len(keys), _AT_ONCE):
            some = {"_id": {"$in": keys[first : first + _AT_ONCE]}}
            async with collection.find(some, batch_size=_AT_ONCE + 1, session=session) as cursor:
                async for stored in cursor:
                    document = Found.of(stored)
                    found[document.key] = document
        return found

    # ── Collections ───────────────────────────────────────────────────────────────────────────

    def _name(self, collection: str, number: int) -> str:
        return f"{self.view}.{collection}.{number}"

    async def _prepare(self, number: int) -> None:
        """Make the collections that are missing: a transaction can't everywhere."""
        for collection in self._collections.values():
            check_form(collection)
        database = self._database.database
        with in_our_words():
            present = await database.list_collection_names()
            for name in self._collections:
                if self._name(name, number) not in present:
                    try:
                        await database.create_collection(self._name(name, number))
                    except CollectionInvalid:
                        continue  # another process was faster
                    except OperationFailure as error:
                        if error.code != _NAMESPACE_EXISTS:
                            raise

    async def _drop_collections(self, number: int) -> None:
        """Also those that the view had once and has no more."""
        database = self._database.database
        with in_our_words():
            for name in await database.list_collection_names():
                if name.startswith(f"{self.view}.") and name.endswith(f".{number}"):
                    await database.drop_collection(name)


class _Conflict(Exception):
    """Others were in the way of a transaction, which is undone."""


def _each_once(
    events: Sequence[ViewEvent[DocumentUpdate]],
) -> list[ViewEvent[DocumentUpdate]]:
    """Return the events without those that came already in the same group."""
    last: dict[int, int] = {}
    once = []
    for event in events:
        if event.position > last.get(event.swimlane, 0):
            last[event.swimlane] = event.position
            once.append(event)
    return once


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
