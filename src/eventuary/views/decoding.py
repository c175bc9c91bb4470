"""Decoding: deliveries into a view's events, with the updates that each leads to."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from eventuary.delivery.consumer import Delivery
from eventuary.errors import EventuaryError, ServiceUnavailable
from eventuary.framework.encryption import Encryption
from eventuary.framework.event import AnyEvent
from eventuary.framework.key_store import EntityName
from eventuary.framework.not_found import EntityForgotten
from eventuary.views.declaration import Declaration
from eventuary.views.view_context import ViewContext
from eventuary.views.view_event import UpdateFailed, ViewEvent

_U = TypeVar("_U")


class Decoding(Generic[_U]):
    """Belongs to one running view. Raises TypeError for a view that no event changes."""

    def __init__(self, declaration: Declaration[_U]) -> None:
        self._codec = declaration.codec()
        self._updates: dict[type[AnyEvent], tuple[_U, ...]] = {
            event_class: tuple(updates) for event_class, updates in declaration.updates.items()
        }
        self._space = declaration.space
        self._encryption = declaration.encryption
        self.selection = self._codec.selection

    async def decode(self, group: Sequence[Delivery]) -> list[ViewEvent[_U]]:
        """Return the events that change the view; others are passed over.

        Raises UpdateFailed for one that can't be read, and ServiceUnavailable when keys can't.
        """
        decoded = []
        for delivery in group:
            stored = delivery.event
            data: str | None = stored.event_data
            try:
                if self._encryption is not None:
                    data = await self._decrypted(self._encryption, delivery)
                if data is None:
                    continue
                event = self._codec.decode(
                    stored.entity_type, stored.event_type, data, stored.metadata
                )
            except ServiceUnavailable:
                raise
            except EventuaryError as error:
                raise UpdateFailed(delivery.swimlane, delivery.offset, error) from error
            if event is not None:
                decoded.append(
                    ViewEvent(
                        delivery.swimlane,
                        delivery.offset,
                        event,
                        ViewContext(stored),
                        self._updates[type(event)],
                    )
                )
        return decoded

    async def _decrypted(self, encryption: Encryption, delivery: Delivery) -> str | None:
        """Return an event's data; None: its entity was forgotten."""
        stored = delivery.event
        try:
            cipher = await encryption.cipher(
                EntityName(self._space, stored.entity_type, stored.entity_id)
            )
        except EntityForgotten:
            return None
        return cipher.decrypt(stored.event_type, stored.event_data)
