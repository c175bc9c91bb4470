"""Context: what a handler knows of the event it handles, and may do because of it.

``save``, ``update`` and ``load`` are a repository's, with the event as their trigger: the store
applies it to an entity once, however often it is delivered, and keeps which event led to which.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from eventuary.delivery.consumer import Delivery
from eventuary.event_store import EventStore
from eventuary.framework.aggregate import Aggregate, Decision
from eventuary.framework.encryption import Encryption
from eventuary.framework.metadata import Metadata
from eventuary.framework.outside_calls import OutsideCalls
from eventuary.framework.outside_system import OutsideCall, OutsideSystem, check_name
from eventuary.framework.recorded import time_of
from eventuary.framework.repository import Repository
from eventuary.framework.trigger import Trigger

_A = TypeVar("_A", bound=Aggregate)
_P = ParamSpec("_P")


class Repositories:
    """The repositories of one store and space that handlers use, each made once."""

    def __init__(self, store: EventStore, space: str, encryption: Encryption | None = None) -> None:
        self._store = store
        self._space = space
        self._encryption = encryption
        self._made: dict[type[Aggregate], Repository[Any]] = {}

    def of(self, aggregate_type: type[_A]) -> Repository[_A]:
        """Return the repository of an aggregate class."""
        made = self._made.get(aggregate_type)
        if made is None:
            made = Repository(
                self._store, aggregate_type, space=self._space, encryption=self._encryption
            )
            self._made[aggregate_type] = made
        return made

    async def settle(self) -> None:
        """Return when the snapshots that are being taken are stored."""
        for each in self._made.values():
            await each.settle()


class Context:
    """One delivery of one event to one handler. Use it within that handling only."""

    __slots__ = ("_calls", "_repositories", "_touched", "delivery", "trigger")

    def __init__(
        self,
        delivery: Delivery,
        trigger: Trigger,
        repositories: Repositories,
        calls: OutsideCalls,
    ) -> None:
        self.delivery = delivery
        #: The event, for ``Repository.because_of``.
        self.trigger = trigger
        self._repositories = repositories
        self._calls = calls
        self._touched: set[tuple[str, str, str]] = set()

    @property
    def entity_type(self) -> str:
        """The type of the entity that the event happened to."""
        return self.delivery.event.entity_type

    @property
    def entity_id(self) -> str:
        """The id of the entity that the event happened to."""
        return self.delivery.event.entity_id

    @property
    def event_id(self) -> str:
        """The event's id; it grows within the entity."""
        return self.delivery.event.event_id

    @property
    def event_token(self) -> str:
        """What names this event to this subscriber: a key for whatever must happen once."""
        return self.trigger.token

    @property
    def time(self) -> datetime:
        """When the event was stored (UTC, to the millisecond)."""
        return time_of(self.event_id)

    @property
    def metadata(self) -> Metadata:
        """Who caused the event, in the course of what, under which trace."""
        return self.trigger.metadata

    @property
    def swimlane(self) -> int:
        """The swimlane that the entity belongs to."""
        return self.delivery.swimlane

    @property
    def position(self) -> int:
        """The event's position in the log: it grows within a swimlane."""
        return self.delivery.offset

    @property
    def attempt(self) -> int:
        """Which delivery of the event this is, as far as the store tells: 1 is the first."""
        return self.delivery.attempt

    async def save(
        self,
        aggregate: type[_A] | Repository[_A],
        decision: Decision,
        *,
        entity_id: str | None = None,
    ) -> _A:
        """Create an entity, once however often the event comes. See ``Repository.save``.

        Raises RuntimeError for a second entity of one kind in one handling that has no
        ``entity_id``: the store would take it for a repetition of the first.
        """
        repository = self._triggered(aggregate)
        if entity_id is None:
            entity_id = self.trigger.new_entity_id(repository.entity_type)
        with self._once(repository, entity_id, "give each an entity_id of its own"):
            return await repository.save(decision, entity_id=entity_id)

    async def update(
        self,
        aggregate: type[_A] | Repository[_A],
        entity_id: str,
        command: Callable[Concatenate[_A, _P], Decision],
        *arguments: _P.args,
        **keywords: _P.kwargs,
    ) -> _A:
        """Update an entity, once however often the event comes. See ``Repository.update``.

        Raises RuntimeError for a second update of the same entity in one handling: the store would
        take it for a repetition of the first.
        """
        repository = self._triggered(aggregate)
        with self._once(repository, entity_id, "make it one command"):
            return await repository.update(entity_id, command, *arguments, **keywords)

    async def load(self, aggregate: type[_A] | Repository[_A], entity_id: str) -> _A:
        """Return an entity's state. Raises AggregateNotFound."""
        return await self._repository(aggregate).load(entity_id)

    async def call(self, system: OutsideSystem, call: OutsideCall, *, name: str = "") -> str | None:
        """Call an outside system, once however often the event comes, and return its receipt.

        ``call`` is given the key under which it makes the call: for whatever the other side offers
        against repetitions. What it returns is recorded, and returned instead of a second call.
        It may be called several times: it has the time-out and the retries of the system.
        ``name``: tells several calls of one system because of one event apart.

        Raises Refused when the other side said no for good, OutsideSystemDown when it is down, and
        what ``call`` has raised last otherwise: leave them to the subscriber, unless the handler
        has another way to go. Raises RuntimeError for a second call of a system in one handling
        that has no ``name`` of its own: it would be taken for a repetition of the first.
        """
        if name:
            check_name("name", name)
        touched = ("outside system", system.name, name)
        if touched in self._touched:
            raise RuntimeError(
                f"outside system {system.name!r} is called twice while one event is handled: the "
                "second would count as done already; give each a name of its own"
            )
        self._touched.add(touched)
        try:
            return await self._calls.make(system, call, name, self.trigger)
        except BaseException:
            self._touched.discard(touched)
            raise

    def _repository(self, aggregate: type[_A] | Repository[_A]) -> Repository[_A]:
        if isinstance(aggregate, Repository):
            return aggregate
        return self._repositories.of(aggregate)

    def _triggered(self, aggregate: type[_A] | Repository[_A]) -> Repository[_A]:
        return self._repository(aggregate).because_of(self.trigger)

    @contextmanager
    def _once(self, repository: Repository[_A], entity_id: str, advice: str) -> Iterator[None]:
        """Let nothing but one save or update of an entity succeed in this handling."""
        touched = (repository.space, repository.entity_type, entity_id)
        if touched in self._touched:
            raise RuntimeError(
                f"{repository.entity_type} {entity_id!r} is changed twice while one event is "
                f"handled: the second would count as done already; {advice}"
            )
        self._touched.add(touched)
        try:
            yield
        except BaseException:
            self._touched.discard(touched)  # an update of what does not exist, then its creation
            raise
