"""Where an entity's events are: its partition, and the subject in it."""

from collections.abc import Sequence

from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.partitions import Partition
from eventuary.swimlanes import swimlane_of


class Places:
    """Knows no entity. Spaces must be known to the catalogue where there are several partitions."""

    def __init__(self, partitions: Sequence[Partition], catalogue: Catalogue) -> None:
        self.partitions = partitions
        self._catalogue = catalogue
        self._by_prefix = {each.events: each for each in partitions}

    async def know(self, space: str) -> None:
        """Learn how many swimlanes a space has, if where its entities are depends on it."""
        if len(self.partitions) > 1:
            await self._catalogue.find_space(space)

    def partition(self, space: str, entity_type: str, entity_id: str) -> Partition:
        """Return the partition that an entity's events are in, or would be."""
        count = len(self.partitions)
        if count == 1:
            return self.partitions[0]
        swimlanes = self._catalogue.swimlanes(space)
        return self.partitions[swimlane_of(entity_type, entity_id, swimlanes) % count]

    def subject(self, space: str, entity_type: str, entity_id: str) -> str:
        """Return the subject of an entity's events."""
        partition = self.partition(space, entity_type, entity_id)
        return partition.subject(space, entity_type, entity_id)

    def partition_of(self, subject: str) -> Partition:
        """Return the partition that a subject of events is of."""
        name, events, _ = subject.split(".", 2)
        return self._by_prefix[f"{name}.{events}"]
