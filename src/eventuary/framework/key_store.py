"""KeyStore: where the keys of entities are kept. The port that ``eventuary.key_stores`` implement.

It is small so that a vault or a cloud's key service can be put behind it. An entity has no key, or
one, or is forgotten; it goes from each of these states to the next and never back.
"""

import hashlib
from typing import NamedTuple, Protocol

import msgspec


class EntityName(NamedTuple):
    """Whose key it is."""

    space: str
    entity_type: str
    entity_id: str

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that no other entity has, for file names and database keys."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def __str__(self) -> str:
        """As messages say it."""
        return f"{self.entity_type} {self.entity_id!r} of space {self.space!r}"


class KeyStore(Protocol):
    """Keeps one key of 32 bytes for each entity.

    All methods raise ServiceUnavailable when it can't be reached. What returned is durable.
    """

    async def find(self, entity: EntityName) -> bytes | None:
        """Return the entity's key; None when it has none. Raises EntityForgotten."""

    async def keep(self, entity: EntityName, key: bytes) -> bytes:
        """Keep ``key`` for an entity that has none; return the one that the entity has now.

        Of several that keep a key for the same entity at once, in any number of processes, one
        wins and all get its key. Raises EntityForgotten.
        """

    async def destroy(self, entity: EntityName) -> bool:
        """Destroy the entity's key for ever, and see to it that it never gets another one.

        Return whether there was a key to destroy.
        """
