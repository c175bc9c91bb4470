"""What a view is kept in: the side of it that databases implement.

A view's storage applies events in groups, each of them once: it keeps, with what it changes and in
the same step, how far each swimlane has come, so that a group which is applied again changes
nothing. Every storage of documents passes tests/views/contract.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from eventuary.views.collection import Collection, DocumentUpdate
from eventuary.views.generation import Generation
from eventuary.views.view_event import ViewEvent

_D = TypeVar("_D")
_U_contra = TypeVar("_U_contra", contravariant=True)


class KeptView(Protocol[_U_contra]):
    """One view in its storage. All methods raise ServiceUnavailable when that can't be reached."""

    @property
    def view(self) -> str:
        """The view's name."""

    async def generations(self) -> list[Generation]:
        """Return the view's generations, oldest first."""

    async def open_live(self) -> int:
        """Return the live generation; the first one, made and live at once, if there is none."""

    async def open_building(self) -> int:
        """Return the generation that is being built; a new one if there is none.

        No number is used twice. Several may ask at the same time: all are told the same.
        """

    async def switch(self, number: int) -> None:
        """Let a generation that is being built be the live one, in one step; or it is already.

        Raises GenerationRetired when it is neither.
        """

    async def retire(self, number: int) -> None:
        """Let a generation be neither fed nor switched to; or it is gone already.

        What it holds stays until it is dropped. Raises ValueError when it is live.
        """

    async def drop(self, number: int) -> None:
        """Remove a generation that is not live, and all that is in it; or it is gone already."""

    async def apply(self, number: int, events: Sequence[ViewEvent[_U_contra]]) -> None:
        """Apply those of a group of events that were not applied yet, all of them or none.

        Events of a swimlane are in the order of their positions. Done: it is on disk. A storage
        that has no transactions (MongoDB's) may have applied a part when it raises; the whole is to
        be applied again, and the part stays as it is.
        Raises UpdateFailed for the event that can't be applied, GenerationRetired.
        """

    async def close(self) -> None:
        """Close the connections to the storage; the next call opens them again."""


class KeptDocuments(KeptView[DocumentUpdate], Protocol):
    """One view of documents in its storage."""

    async def get(self, number: int, collection: Collection[_D], key: str) -> _D | None:
        """Read a document of a generation; None when there is none, or no such generation.

        Raises UnreadableDocument.
        """


class DocumentStorage(Protocol):
    """A database that keeps documents of any number of views."""

    def keep(self, view: str, collections: Mapping[str, Collection[Any]]) -> KeptDocuments:
        """Return a view's place in it. Nothing is asked of the database yet."""

    async def close(self) -> None:
        """Close its connections; the next call opens them again."""
