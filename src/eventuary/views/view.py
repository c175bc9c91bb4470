"""View: documents that queries read, kept up to date by events.

    history = View("order-history", SqlDocuments("sqlite:///order-history.db"))
    customers = history.collection("customers", CustomerDocument)

    @customers.on(CustomerCreated) ...

    async with store, running(store, history):
        document = await customers.get(customer_id)

A view counts each event once, whatever is killed when; it may be fed by any number of processes,
and read by any number of others. Nothing in it can cause anything but itself.
"""

from typing import Any, TypeVar

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.event_store import EventStore
from eventuary.events import DEFAULT_SPACE
from eventuary.framework.encryption import Encryption
from eventuary.views.collection import Collection, DocumentUpdate
from eventuary.views.declaration import Declaration, ViewStatus
from eventuary.views.feeding import RunningView
from eventuary.views.reading import Reading
from eventuary.views.status import status_of
from eventuary.views.storage import DocumentStorage, KeptDocuments

_D = TypeVar("_D")


class View:
    """``name`` names it in its storage, and its subscription in the store.

    ``storage``: SqlDocuments or MongoDocuments; several views may share one. ``policy``: how much
    is under way, and how failures are retried. ``encryption``: decrypts the events; those of
    entities that were forgotten are passed over, so that a rebuild leaves nothing of them.
    """

    def __init__(
        self,
        name: str,
        storage: DocumentStorage,
        *,
        space: str = DEFAULT_SPACE,
        policy: DeliveryPolicy | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self.declaration: Declaration[DocumentUpdate] = Declaration(name, space, policy, encryption)
        self.collections: dict[str, Collection[Any]] = {}
        self.kept: KeptDocuments = storage.keep(name, self.collections)
        self._reading = Reading(self.kept)

    @property
    def name(self) -> str:
        """Its name."""
        return self.declaration.name

    def collection(self, name: str, document: type[_D]) -> Collection[_D]:
        """Declare documents of one kind. Raises ValueError for a name that can't be one, or is
        taken, and TypeError for a class that no document can be made of from its key alone.
        """
        if name in self.collections:
            raise ValueError(f"view {self.name!r} has a collection {name!r} already")
        made = Collection(name, document, self.declaration.add, self._get)
        self.collections[name] = made
        return made

    def at_work(self, store: EventStore) -> RunningView[DocumentUpdate]:
        """Return what feeds it from ``store``; ``running`` does that."""
        return RunningView(self.declaration, self.kept, store, self._reading)

    async def caught_up_with(self, version: str | int, *, timeout: float = 10.0) -> None:
        """Return when what is read here includes an event: its id, as an entity's version is one,
        or its position in the log.

        Where the view runs, in this process. Raises TimeoutError after ``timeout`` seconds, and
        says how far behind it is; RuntimeError where it does not run.
        """
        await self._reading.caught_up_with(version, timeout)

    async def status(self, store: EventStore) -> ViewStatus:
        """Return where it stands, whichever processes feed it. Raises ServiceUnavailable."""
        return await status_of(self.declaration, self.kept, store)

    async def _get(self, collection: Collection[_D], key: str) -> _D | None:
        return await self._reading.read(
            lambda generation: self.kept.get(generation, collection, key)
        )
