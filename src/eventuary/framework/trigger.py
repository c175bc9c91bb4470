"""Trigger: the event because of which something is done. It travels with what is done."""

import hashlib

import msgspec

from eventuary.framework.metadata import Metadata


class Trigger(msgspec.Struct, frozen=True):
    """``token`` names (subscriber, event): the store applies it once to an entity, and no more."""

    event_id: str
    token: str
    metadata: Metadata

    @property
    def correlation_id(self) -> str:
        """The business transaction that goes on: the first event's own id when it has no name."""
        return self.metadata.correlation_id or self.event_id

    def new_entity_id(self, entity_type: str) -> str:
        """Return the id of what the event creates: the same however often the event comes."""
        digest = hashlib.sha256(f"{self.token}\0{entity_type}".encode()).hexdigest()
        return f"{digest[:16]}-{digest[16:32]}"
