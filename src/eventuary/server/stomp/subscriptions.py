"""The subscriptions of one connection: SUBSCRIBE and UNSUBSCRIBE, and what they all are told."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventuary.server.stomp.subscribing import Subscribed, subscribe
from eventuary.stomp_frames import Frame, FrameError, Version, shown

if TYPE_CHECKING:
    from eventuary.server.stomp.session import Session


class Subscriptions:
    """Belongs to one session.

    ``numbers``: what SUBSCRIBEs are numbered with; no other, on whatever connection, has the same.
    """

    def __init__(self, session: "Session", numbers: Iterator[int]) -> None:
        self._session = session
        self._numbers = numbers
        #: By the client's SUBSCRIBE id, as it came; by our number of it.
        self._by_identity: dict[bytes, Subscribed] = {}
        self._by_number: dict[int, Subscribed] = {}

    def by_number(self, number: int) -> Subscribed | None:
        """Return the one of this number; None: it is not there any more."""
        return self._by_number.get(number)

    def all(self) -> list[Subscribed]:
        """Return those that are there now."""
        return list(self._by_number.values())

    async def subscribe(self, frame: Frame) -> None:
        """Carry out a SUBSCRIBE. Raises FrameError and what the store raises."""
        session = self._session
        identity = self._identity(frame)
        if identity in self._by_identity:
            raise FrameError(
                f"id: there is a subscription {shown(identity, 80)} on this connection already"
            )
        most = session.limits.subscriptions_per_connection
        if len(self._by_identity) >= most:
            raise FrameError(
                f"{most} subscriptions on this connection, the limit subscriptions_per_connection"
            )
        subscribed = await subscribe(session, frame, next(self._numbers))
        if session.closed:  # meanwhile
            await subscribed.leave()
            return
        self._by_identity[identity] = subscribed
        self._by_number[subscribed.number] = subscribed
        session.send_receipt(frame)
        subscribed.start()

    async def unsubscribe(self, frame: Frame) -> None:
        """Carry out an UNSUBSCRIBE. Raises FrameError."""
        identity = self._identity(frame)
        subscribed = self._by_identity.pop(identity, None)
        if subscribed is None:
            raise FrameError(f"there is no subscription {shown(identity, 80)} on this connection")
        self._by_number.pop(subscribed.number, None)
        await subscribed.leave()
        self._session.send_receipt(frame)

    async def leave(self) -> None:
        """Leave all of them: others get their swimlanes."""
        subscribed = self.all()
        self._by_number.clear()
        self._by_identity.clear()
        for each in subscribed:
            await each.leave()

    def drop(self, subscribed: Subscribed) -> None:
        """Forget one that the store ended."""
        self._by_number.pop(subscribed.number, None)
        self._by_identity = {
            identity: each for identity, each in self._by_identity.items() if each is not subscribed
        }

    def pause(self) -> None:
        """The wire is full."""
        for subscribed in self._by_number.values():
            subscribed.pause()

    def resume(self) -> None:
        """The wire has room."""
        for subscribed in self.all():
            subscribed.resume()

    def _identity(self, frame: Frame) -> bytes:
        """Return what names a subscription here: its id, or in 1.0 its destination."""
        identity = frame.headers.get("id")
        if identity is None:
            if self._session.version is not Version.V10:
                raise FrameError(f"id: is missing; a {frame.command} has one")
            identity = frame.headers.get("destination")
            if identity is None:
                raise FrameError(f"destination: is missing; a {frame.command} has one")
        return identity
