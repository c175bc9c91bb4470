"""A STOMP client that keeps order although it refuses: it knows what was sent before a refusal.

The server answers a NACK with a receipt at once, and what it sends behind the receipt begins with
what is to come next. Whatever of the swimlane arrives before it comes again, and is dropped. (To
wait for the refused event instead would be wrong: the swimlane may go to another connection, which
handles that event, and come back without it.)
"""

from tests.acceptance.stomp_client import PATIENCE, Frame, Message, StompClient


class OrderedClient(StompClient):
    """``refuse`` instead of ``nack``; ask ``drops`` about each message."""

    def __init__(self, port: int) -> None:
        self._refusals = 0
        #: Receipt that is awaited → swimlane of which nothing is taken until then.
        self._dropping: dict[str, int] = {}
        super().__init__(port)

    def refuse(self, message: Message) -> None:
        """Refuse a message, and with it what was sent behind it."""
        self._refusals += 1
        receipt = f"refused-{self._refusals}"
        self._dropping[receipt] = message.event.swimlane
        self.send("NACK", {"id": message.ack, "receipt": receipt})

    def drops(self, message: Message) -> bool:
        """Whether a message was sent before the server knew of a refusal."""
        return message.event.swimlane in self._dropping.values()

    def receive(self, patience: float = PATIENCE) -> Frame:
        """Return the next frame, receipts of refusals apart."""
        while True:
            frame = super().receive(patience)
            if frame.command == "RECEIPT" and frame.headers["receipt-id"] in self._dropping:
                del self._dropping[frame.headers["receipt-id"]]
            else:
                return frame
