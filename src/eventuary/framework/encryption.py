"""Encryption of what is stored of an entity, with a key of its own; forgetting destroys the key.

    encryption = Encryption(FileKeyStore("keys"))
    customers = Repository(store, Customer, encryption=encryption)
    history = Subscriber("history", encryption=encryption)

    await encryption.forget(Customer, customer_id)

Encrypted are the data of events and the state in snapshots; not types, ids, metadata and sizes. A
ciphertext is bound to its place: space, entity type, entity id and event type (of a snapshot its
type and version) are authenticated with it, so that it can't be passed off as another one's.
Whatever was stored in the clear before stays readable. docs/encryption.md says what follows.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from eventuary.errors import BadRequest, ConfigurationError
from eventuary.events import DEFAULT_SPACE, NewEvent, NewSnapshot, Snapshot
from eventuary.framework.aggregate import Aggregate
from eventuary.framework.encrypted_text import decrypt, encrypt, is_encrypted
from eventuary.framework.event_codec import UnreadableEvent
from eventuary.framework.key_store import EntityName, KeyStore

if TYPE_CHECKING:  # it is an optional package
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32

_bytes_of = msgspec.json.Encoder().encode


class Encryption:
    """Gives each entity a key, from a key store. One for all that use the same store of events.

    Raises ConfigurationError when the package ``cryptography`` is not installed.
    """

    def __init__(self, keys: KeyStore) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigurationError(
                "encryption needs the package cryptography: pip install 'eventuary[encryption]'"
            ) from None
        self._keys = keys
        self._aes: type[AESGCM] = AESGCM

    async def forget(
        self, entity: str | type[Aggregate], entity_id: str, *, space: str = DEFAULT_SPACE
    ) -> bool:
        """Destroy an entity's key for ever; return whether it had one.

        ``entity``: its type, or its aggregate class. When this returns, no event of it that was
        stored encrypted can be read again, by anybody, and it never gets another key. False: no
        event of it was encrypted, or it was forgotten before, or its type or id is misspelt.
        Raises BadRequest for an empty type or id; ServiceUnavailable, and then it may have
        happened or not: do it again.
        """
        entity_type = entity if isinstance(entity, str) else entity.__entity_type__
        for field, value in (("space", space), ("entity", entity_type), ("entity_id", entity_id)):
            if not value:
                raise BadRequest(f"{field}: is empty; it names who is to be forgotten")
        return await self._keys.destroy(EntityName(space, entity_type, entity_id))

    async def cipher(self, entity: EntityName) -> "EntityCipher":
        """Look an entity's key up. Raises EntityForgotten and ServiceUnavailable."""
        key = await self._keys.find(entity)
        return EntityCipher(self, entity, None if key is None else self._aes(key))

    def new_cipher(self, entity: EntityName) -> "EntityCipher":
        """Return the cipher of an entity to be created: it gets a key with its first events."""
        return EntityCipher(self, entity, None)

    async def make_key(self, entity: EntityName) -> "AESGCM":
        """Return the key of an entity, a new one if it has none. Raises EntityForgotten."""
        return self._aes(await self._keys.keep(entity, os.urandom(_KEY_BYTES)))


class EntityCipher:
    """What one load, append or delivery needs of an entity's key, looked up once."""

    __slots__ = ("_aes", "_encryption", "_entity")

    def __init__(self, encryption: Encryption, entity: EntityName, aes: "AESGCM | None") -> None:
        self._encryption = encryption
        self._entity = entity
        self._aes = aes

    async def encrypt(self, events: Iterable[NewEvent]) -> list[NewEvent]:
        """Return events as they are stored; an entity that has no key gets one.

        Raises EntityForgotten and ServiceUnavailable.
        """
        aes = self._aes
        if aes is None:
            aes = self._aes = await self._encryption.make_key(self._entity)
        return [
            NewEvent(
                event.event_type,
                encrypt(aes, event.event_data, self._event(event.event_type)),
                event.metadata,
            )
            for event in events
        ]

    def decrypt(self, event_type: str, data: str) -> str:
        """Return a stored event's data, which may be in the clear. Raises UnreadableEvent."""
        if not is_encrypted(data):
            return data
        return self._decrypt(data, self._event(event_type), f"a stored {event_type!r}")

    def encrypt_snapshot(self, version: str, snapshot: NewSnapshot) -> NewSnapshot:
        """Return a snapshot as it is stored at ``version``, when events were encrypted before."""
        if self._aes is None:
            raise RuntimeError(f"{self._entity} has no key yet; its events come first")
        bound_to = self._snapshot(snapshot.snapshot_type, version)
        return NewSnapshot(snapshot.snapshot_type, encrypt(self._aes, snapshot.json, bound_to))

    def decrypt_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a stored snapshot, which may be in the clear. Raises UnreadableEvent."""
        if not is_encrypted(snapshot.json):
            return snapshot
        bound_to = self._snapshot(snapshot.snapshot_type, snapshot.entity_version)
        state = self._decrypt(snapshot.json, bound_to, "a stored snapshot")
        return Snapshot(snapshot.snapshot_type, state, snapshot.entity_version)

    def _decrypt(self, text: str, bound_to: bytes, what: str) -> str:
        if self._aes is None:
            raise UnreadableEvent(
                f"{what} of {self._entity} is encrypted, and the key store has no key for it: is "
                "it the key store that the writer has?"
            )
        try:
            return decrypt(self._aes, text, bound_to)
        except ValueError as error:
            raise UnreadableEvent(f"{what} of {self._entity} can't be decrypted: {error}") from None

    def _event(self, event_type: str) -> bytes:
        return _bytes_of(("event", *self._entity, event_type))

    def _snapshot(self, snapshot_type: str, version: str) -> bytes:
        return _bytes_of(("snapshot", *self._entity, snapshot_type, version))
