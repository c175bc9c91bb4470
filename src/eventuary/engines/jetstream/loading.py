"""Reading an entity as its callers want it: from its snapshot on, and with its trigger checked."""

from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.messages import entity_event
from eventuary.engines.jetstream.places import Places
from eventuary.engines.jetstream.server_ids import ServerIds
from eventuary.engines.jetstream.snapshots import Snapshots
from eventuary.engines.jetstream.triggers import is_applied
from eventuary.errors import DuplicateEvent
from eventuary.events import Entity, EntityEvent


class Loader:
    """Loads entities and histories."""

    def __init__(
        self, entities: Entities, places: Places, snapshots: Snapshots, ids: ServerIds
    ) -> None:
        self._entities = entities
        self._places = places
        self._snapshots = snapshots
        self._ids = ids

    async def load(self, space: str, entity_type: str, entity_id: str, token: str | None) -> Entity:
        """Read an entity's events, those after its snapshot when it has one.

        Raises DuplicateEvent when the token was already applied to it.
        """
        await self._places.know(space)
        subject = self._places.subject(space, entity_type, entity_id)
        snapshot = await self._snapshots.find(space, entity_type, entity_id)
        after = 0 if snapshot is None else snapshot.sequence
        history = await self._entities.history(subject, after)
        if (
            token is not None
            and history.last.sequence
            and await is_applied(token, subject, history.last, self._entities, self._ids)
        ):
            raise DuplicateEvent(
                f"triggeringEventToken: {token!r} was already applied to "
                f"{entity_type} {entity_id!r}"
            )
        events = [entity_event(stored) for _, stored in history.events]
        return Entity(events, None if snapshot is None else snapshot.snapshot)

    async def history(
        self, space: str, entity_type: str, entity_id: str, after: str
    ) -> list[EntityEvent]:
        """Read an entity's events after a version, whatever snapshot there is."""
        await self._places.know(space)
        subject = self._places.subject(space, entity_type, entity_id)
        history = await self._entities.history(subject)
        return [entity_event(stored) for _, stored in history.events if stored.event_id > after]
