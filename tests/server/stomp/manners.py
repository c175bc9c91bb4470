"""How the published clients behave on the wire, byte for byte (protocol.md, section 3).

Each writes its frames as its library does, and finds in a MESSAGE what its library looks for, in
the way in which that looks for it: the tests of the server's promises to old clients stand on this.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from uuid import uuid4

from tests.server.stomp.wire import Frame, Wire, unescaped

Types = Mapping[str, Sequence[str]]


class Client(ABC):
    """One program with one subscription; it may connect again and again."""

    #: The version that it ends up with, and the heart-beat that the server must promise.
    version: str
    heart_beat: bytes
    #: Whether it waits for a RECEIPT before it takes messages.
    asks_receipt: bool
    #: Whether the destination that it sends is one that the published schema allows.
    keeps_schema: bool

    def __init__(self, subscriber_id: str, space: str, types: Types) -> None:
        self.subscriber_id = subscriber_id
        self.space = space
        self.types = types

    @abstractmethod
    def connect(self) -> bytes:
        """Return the first frame."""

    @property
    @abstractmethod
    def destination(self) -> bytes:
        """The destination as a header value, the same whenever it subscribes."""

    @abstractmethod
    def subscribe(self) -> bytes:
        """Return the SUBSCRIBE."""

    @abstractmethod
    def receipt(self) -> bytes | None:
        """Return what the RECEIPT must name."""

    @abstractmethod
    def event_of(self, frame: Frame) -> tuple[str, bytes]:
        """Return the event's id and what to acknowledge it with, found as the library does."""

    @abstractmethod
    def ack(self, ack: bytes) -> bytes:
        """Return an ACK."""

    @abstractmethod
    async def leave(self, wire: Wire) -> None:
        """End the connection as the library does, having read everything."""

    def connected(self, frame: Frame) -> None:
        """Check, and note, what the server answered."""
        assert frame.command == "CONNECTED"
        assert frame.headers["version"] == self.version.encode()
        assert frame.headers["heart-beat"] == self.heart_beat
        assert frame.headers["session"]


class Java(Client):
    """Vert.x: any version, all header values escaped, headers in a hash's order."""

    version = "1.2"
    heart_beat = b"60000,0"
    asks_receipt = True
    keeps_schema = True

    def __init__(self, subscriber_id: str, space: str, types: Types) -> None:
        super().__init__(subscriber_id, space, types)
        self._id = str(uuid4())
        self._receipt = b""

    def connect(self) -> bytes:
        return (
            b"CONNECT\npasscode:secret\nheart-beat:60000,60000\naccept-version:1.0,1.1,1.2\n"
            b"host:127.0.0.1\nlogin:id\n\n\0"
        )

    @property
    def destination(self) -> bytes:
        text = json.dumps(
            {
                "subscriberId": self.subscriber_id,
                "space": self.space,
                "entityTypesAndEvents": self.types,
                "options": {
                    "durability": "DURABLE",
                    "readFrom": "BEGINNING",
                    "progressNotifications": False,
                },
            },
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return _escape(text.encode())

    def subscribe(self) -> bytes:
        self._receipt = str(uuid4()).encode()
        return b"SUBSCRIBE\nreceipt:%b\nid:%b\ndestination:%b\ncontent-length:0\n\n\0" % (
            self._receipt,
            self._id.encode(),
            self.destination,
        )

    def receipt(self) -> bytes:
        return self._receipt

    def event_of(self, frame: Frame) -> tuple[str, bytes]:
        assert frame.headers["subscription"] == self._id.encode()
        # It reads so many bytes, and passes the meaning of the header on.
        assert int(frame.headers["content-length"]) == len(frame.body)
        ack = unescaped(frame.headers["ack"], "1.2").encode()
        return str(json.loads(frame.body)["id"]), ack

    def ack(self, ack: bytes) -> bytes:
        return b"ACK\nid:%b\n\n\0" % _escape(ack)

    async def leave(self, wire: Wire) -> None:
        wire.writer.close()  # closing the client closes the socket, no more


class NodeJs(Client):
    """Its own library: no accept-version and so 1.0, and yet escapes; looks at no length."""

    version = "1.0"
    heart_beat = b"5000,0"
    asks_receipt = True
    keeps_schema = False  # the options are at the top level

    def __init__(self, subscriber_id: str, space: str, types: Types) -> None:
        super().__init__(subscriber_id, space, types)
        unique = uuid4().hex.encode()
        self._id = b"subscription-id-" + unique
        self._receipt = b"receipt-id-" + unique
        self._session = b""

    def connect(self) -> bytes:
        return b"CONNECT\nlogin:id\npasscode:secret\nheart-beat:5000,5000\n\n\0"

    def connected(self, frame: Frame) -> None:
        super().connected(frame)
        self._session = frame.headers["session"]

    @property
    def destination(self) -> bytes:
        text = json.dumps(
            {
                "entityTypesAndEvents": self.types,
                "subscriberId": self.subscriber_id,
                "space": self.space,
                "durability": "durability",
                "readFrom": "readFrom",
                "progressNotifications": "progressNotifications",
            },
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return _escape(text.encode())

    def subscribe(self) -> bytes:
        # The session is in it as JavaScript says it, even where there is none yet.
        session = self._session or b"undefined"
        return b"SUBSCRIBE\nid:%b\nreceipt:%b\ndestination:%b\nsession:%b\n\n\0" % (
            self._id,
            self._receipt,
            self.destination,
            session,
        )

    def receipt(self) -> bytes:
        return self._receipt

    def event_of(self, frame: Frame) -> tuple[str, bytes]:
        headers = {name: value.strip() for name, value in frame.headers.items()}
        assert "message-id" in headers
        assert headers["destination"] == self.destination, "its subscription is found by this text"
        ack = json.loads(_node_unescape(headers["ack"]))
        assert ack["receiptHandle"]["subscriberId"] == self.subscriber_id
        # It splits a frame at NUL and at blank lines.
        assert b"\0" not in frame.body
        assert b"\n\n" not in frame.body
        return str(json.loads(frame.body)["id"]), headers["ack"]

    def ack(self, ack: bytes) -> bytes:
        return b"ACK\nid:%b\n\n\0" % ack

    async def leave(self, wire: Wire) -> None:
        wire.close_our_side()  # no DISCONNECT: the socket is ended
        assert await wire.rest() == []
        wire.writer.close()


class Go(Client):
    """stompngo: 1.2 only, a content-length on every frame, never a receipt on SUBSCRIBE."""

    version = "1.2"
    heart_beat = b"10000,0"
    asks_receipt = False
    keeps_schema = True

    def __init__(self, subscriber_id: str, space: str, types: Types) -> None:
        super().__init__(subscriber_id, space, types)
        self._id = b"subscription-id-" + str(uuid4()).encode()

    def connect(self) -> bytes:
        return (
            b"CONNECT\naccept-version:1.2\nhost:127.0.0.1\nlogin:id\npasscode:secret\n"
            b"heart-beat:0,10000\ncontent-length:0\n\n\0"
        )

    @property
    def destination(self) -> bytes:
        text = json.dumps(
            {
                "entityTypesAndEvents": self.types,
                "subscriberId": self.subscriber_id,
                "space": self.space,
            },
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return _escape(text.encode())

    def subscribe(self) -> bytes:
        return (
            b"SUBSCRIBE\nid:%b\ndestination:%b\nack:client-individual\ncontent-length:0\n\n\0"
            % (self._id, self.destination)
        )

    def receipt(self) -> None:
        return None

    def event_of(self, frame: Frame) -> tuple[str, bytes]:
        assert unescaped(frame.headers["subscription"], "1.2").encode() == self._id
        ack = unescaped(frame.headers["ack"], "1.2").encode()
        return str(json.loads(frame.body)["id"]), ack

    def ack(self, ack: bytes) -> bytes:
        return b"ACK\nid:%b\ncontent-length:0\n\n\0" % _escape(ack)

    async def leave(self, wire: Wire) -> None:
        await wire.send(
            b"UNSUBSCRIBE\nid:%b\ndestination:%b\nack:client-individual\ncontent-length:0\n\n\0"
            % (self._id, self.destination),
            b"DISCONNECT\nreceipt:bye\ncontent-length:0\n\n\0",
        )
        assert await wire.rest() == [Frame("RECEIPT", {"receipt-id": b"bye"}, b"")]
        wire.writer.close()


CLIENTS = (Java, NodeJs, Go)


def _escape(value: bytes) -> bytes:
    return (
        value.replace(b"\\", b"\\\\")
        .replace(b":", b"\\c")
        .replace(b"\r", b"\\r")
        .replace(b"\n", b"\\n")
    )


def _node_unescape(value: bytes) -> bytes:
    """Undo escapes as the Node.js client does: it forgets that a backslash is escaped too."""
    return value.replace(b"\\c", b":").replace(b"\\r", b"\r").replace(b"\\n", b"\n")
