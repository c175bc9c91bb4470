"""From a SUBSCRIBE frame to a consumer of the store, and its deliveries to MESSAGE frames."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from eventuary.delivery.consumer import AckMode, Consumer, Delivery
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.event_store import EventStore
from eventuary.server.stomp.delivery_policy import parse_delivery_policy
from eventuary.server.stomp.destination import echo, parse_destination
from eventuary.server.stomp.messages import MessageWriter
from eventuary.stomp_frames import Frame, FrameError, unescape

if TYPE_CHECKING:
    from eventuary.server.stomp.session import Session


class Store(EventStore, Protocol):
    """What subscribes for the clients."""

    @property
    def policy(self) -> DeliveryPolicy:
        """The rules of delivery of subscriptions that set none of their own."""


class Subscribed:
    """One SUBSCRIBE of one connection. Satisfies ``Receiver``.

    Nothing is written before ``start``: a client that asked for a receipt gets it first.
    """

    def __init__(self, session: "Session", number: int, writer: MessageWriter) -> None:
        self.number = number
        self.consumer: Consumer
        self._session = session
        self._writer = writer
        self._early: list[Delivery] | None = []
        self._left = False

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries to the wire."""
        if self._early is not None:
            self._early += deliveries
        elif not self._left:
            self._session.write(self._writer.write(deliveries))

    def interrupted(self) -> None:
        """Satisfy ``Receiver``: the store is in this process."""

    def closed(self, reason: str) -> None:
        """Tell the client that the server ended its subscription."""
        self._left = True
        self._session.ended_by_store(self, reason)

    def start(self) -> None:
        """Write what has come, and from now on what comes."""
        early, self._early = self._early, None
        if early:
            self.deliver(early)
        if self._session.full:
            self.consumer.pause()

    def pause(self) -> None:
        """The wire is full."""
        self.consumer.pause()

    def resume(self) -> None:
        """The wire has room."""
        self.consumer.resume()

    async def leave(self) -> None:
        """Take no more deliveries."""
        self._left = True
        await self.consumer.close()


async def subscribe(session: "Session", frame: Frame, number: int) -> Subscribed:
    """Carry out a SUBSCRIBE. Raises FrameError, BadRequest, Forbidden or ServiceUnavailable."""
    raw = frame.headers.get("destination")
    if raw is None:
        raise FrameError("destination: is missing; a SUBSCRIBE has one")
    mode = unescape(frame.headers.get("ack", b""), session.version)
    if mode not in ("", "auto", "client", "client-individual"):
        raise FrameError(f"ack: {mode[:40]!r} is none of auto, client, client-individual")
    destination = parse_destination(raw)
    policy = frame.headers.get("delivery-policy")
    if session.principal is None:
        raise FrameError("SUBSCRIBE comes before CONNECT")
    session.principal.require(destination.space, write=False)
    writer = MessageWriter(
        session.version,
        echo(raw, destination, session.version),
        frame.headers.get("id"),
        destination.subscriber_id,
        number,
    )
    subscribed = Subscribed(session, number, writer)
    subscribed.consumer = await session.store.subscribe(
        destination.space,
        destination.subscriber_id,
        destination.selection,
        subscribed,
        durability=destination.durability,
        read_from=destination.read_from,
        progress_notifications=destination.progress_notifications,
        # Acknowledgement is explicit unless the client says otherwise (rule 6).
        ack_mode=AckMode(mode) if mode else AckMode.INDIVIDUAL,
        policy=None
        if policy is None
        else parse_delivery_policy(unescape(policy, session.version), session.store.policy),
    )
    return subscribed
