"""What a subscription asks the server for, as a SUBSCRIBE frame (protocol.md, section 3)."""

import msgspec

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.event_store import Durability, ReadFrom
from eventuary.stomp_frames import Version, escape


class Subscribing(msgspec.Struct, frozen=True):
    """As ``EventStore.subscribe`` is given it."""

    space: str
    subscriber_id: str
    selection: dict[str, list[str]]
    durability: Durability
    read_from: ReadFrom
    progress_notifications: bool
    policy: DeliveryPolicy | None

    def headers(self, *, again: bool) -> dict[str, bytes]:
        """Return the headers of the frame, receipt apart.

        ``again``: the subscription was there before. Then its rules are left as they are, which
        somebody may have changed meanwhile; a transient one has lost them.
        """
        destination = {
            "subscriberId": self.subscriber_id,
            "space": self.space,
            "entityTypesAndEvents": self.selection,
            "options": {
                "durability": self.durability,
                "readFrom": self.read_from,
                "progressNotifications": self.progress_notifications,
            },
        }
        headers = {"id": b"1", "destination": _json(destination), "ack": b"client-individual"}
        if self.policy is not None and not (again and self.durability is Durability.DURABLE):
            headers["delivery-policy"] = _json(self.policy)
        return headers


def _json(value: object) -> bytes:
    return escape(msgspec.json.encode(value).decode(), Version.V12)
