"""When a snapshot is due."""

from typing import Protocol

import msgspec


class SnapshotStrategy(Protocol):
    """When a snapshot is due."""

    @property
    def version(self) -> int:
        """To be raised when ``@apply`` methods compute something else from the same events."""

    def due(self, events: int, characters: int) -> bool:
        """Decide by what a load would have to read: events, and characters of their data."""


class EveryEvents(msgspec.Struct, frozen=True):
    """A snapshot once so many events have come since the last one."""

    events: int
    version: int = 1

    def due(self, events: int, characters: int) -> bool:
        """Count events."""
        del characters
        return events >= self.events


class EverySize(msgspec.Struct, frozen=True):
    """A snapshot once the data of the events since the last one has so many characters."""

    characters: int
    version: int = 1

    def due(self, events: int, characters: int) -> bool:
        """Count characters."""
        del events
        return characters >= self.characters
