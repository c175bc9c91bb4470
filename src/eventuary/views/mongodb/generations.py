"""Generations of views in MongoDB: one document a view, in the collection ``eventuary_views``.

All changes of it are made here and written on the condition that nobody changed it meanwhile, so
that each is one step, whatever server this is. Numbers are never used again: what a process that
was stopped in the middle still writes for a generation that was dropped touches no other.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from eventuary.views.generation import (
    Generation,
    GenerationRetired,
    GenerationState,
    new_tag,
)
from eventuary.views.mongodb.database import MongoDatabase, MongoDocument, in_our_words

_R = TypeVar("_R")

#: The collection's name. A view's own have dots in theirs.
CATALOGUE = "eventuary_views"


class _Catalogue(msgspec.Struct, frozen=True):
    """What is known of a view. ``made``: the highest number that any generation ever had."""

    made: int = 0
    generations: tuple[Generation, ...] = ()

    def of(self, number: int) -> Generation | None:
        return next((each for each in self.generations if each.number == number), None)


class MongoGenerations:
    """One view's. All methods raise ServiceUnavailable."""

    def __init__(self, database: MongoDatabase, view: str) -> None:
        self._database = database
        self._view = view

    async def all(self) -> list[Generation]:
        """Return the generations, oldest first."""
        return list((await self._read())[0].generations)

    async def open(self, state: GenerationState, prepare: Callable[[int], Awaitable[None]]) -> int:
        """Return the generation that is in a state; a new one, prepared before, if there is none.

        Before a present one is returned, it is prepared too: it may lack a collection that the
        view has by now.
        """

        async def opened(catalogue: _Catalogue) -> tuple[_Catalogue, int]:
            for each in catalogue.generations:
                if each.state is state:
                    await prepare(each.number)
                    return catalogue, each.number
            number = catalogue.made + 1
            await prepare(number)
            new = Generation(number, state, _now(), new_tag())
            return _Catalogue(number, (*catalogue.generations, new)), number

        return await self._change(opened)

    async def switch(self, number: int) -> None:
        """Let a generation be the live one. Raises GenerationRetired."""

        async def switched(catalogue: _Catalogue) -> tuple[_Catalogue, None]:
            wanted = self._fed(catalogue, number)
            if wanted.state is GenerationState.LIVE:
                return catalogue, None
            states = {
                GenerationState.BUILDING: GenerationState.LIVE,
                GenerationState.LIVE: GenerationState.RETIRED,
            }
            changed = tuple(
                msgspec.structs.replace(each, state=states[each.state], since=_now())
                if each.state in states
                else each
                for each in catalogue.generations
            )
            return _Catalogue(catalogue.made, changed), None

        await self._change(switched)

    async def retire(self, number: int) -> None:
        """Let a generation be neither fed nor switched to. Raises ValueError when it is live."""

        async def retired(catalogue: _Catalogue) -> tuple[_Catalogue, None]:
            found = catalogue.of(number)
            if found is None or found.state is GenerationState.RETIRED:
                return catalogue, None
            if found.state is GenerationState.LIVE:
                raise ValueError(f"generation {number} of view {self._view!r} is live")
            retired = msgspec.structs.replace(found, state=GenerationState.RETIRED, since=_now())
            changed = tuple(
                retired if each.number == number else each for each in catalogue.generations
            )
            return _Catalogue(catalogue.made, changed), None

        await self._change(retired)

    async def remove(self, number: int) -> None:
        """Strike a generation off that is retired, or not there."""

        async def removed(catalogue: _Catalogue) -> tuple[_Catalogue, None]:
            left = tuple(each for each in catalogue.generations if each.number != number)
            return _Catalogue(catalogue.made, left), None

        await self._change(removed)

    async def check_fed(self, number: int) -> None:
        """Raise GenerationRetired for one that is not to be changed."""
        self._fed((await self._read())[0], number)

    async def is_there(self, number: int) -> bool:
        """Return whether there is such a generation, in whatever state."""
        return (await self._read())[0].of(number) is not None

    def _fed(self, catalogue: _Catalogue, number: int) -> Generation:
        found = catalogue.of(number)
        if found is None or found.state is GenerationState.RETIRED:
            raise GenerationRetired(self._view, number)
        return found

    async def _read(self) -> tuple[_Catalogue, object]:
        """Return what is stored, and its revision; None: nothing is."""
        with in_our_words():
            stored = await self._database.collection(CATALOGUE).find_one({"_id": self._view})
        if stored is None:
            return _Catalogue(), None
        return msgspec.convert(stored, _Catalogue), stored["revision"]

    async def _change(self, change: Callable[[_Catalogue], Awaitable[tuple[_Catalogue, _R]]]) -> _R:
        while True:
            before, revision = await self._read()
            after, result = await change(before)
            if after is before or await self._replace(revision, after):
                return result

    async def _replace(self, revision: object, catalogue: _Catalogue) -> bool:
        """Store it in the place of what was read; False when that is not there any more."""
        document: MongoDocument = {
            "_id": self._view,
            "revision": ObjectId(),
            **msgspec.to_builtins(catalogue),
        }
        collection = self._database.collection(CATALOGUE)
        with in_our_words():
            if revision is not None:
                replaced = await collection.replace_one(
                    {"_id": self._view, "revision": revision}, document
                )
                return replaced.matched_count == 1
            try:
                await collection.insert_one(document)
            except DuplicateKeyError:
                return False
            return True


def _now() -> int:
    return time.time_ns() // 1_000_000
