"""A raw STOMP client: sends exactly the bytes that a test wrote, and reads frames one by one.

It has its own reading, writing and escaping of frames, so that nothing of the server's is used to
judge the server. Header values are kept as they came.
"""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

#: Seconds within which everything in these tests happens.
DEADLINE = 30.0

SCHEMAS = Path(__file__).parents[2] / "schemas" / "stomp"

_EVENT_SCHEMA = json.loads((SCHEMAS / "stomp-event.json").read_text("utf-8"))

#: Escapes of each version, the backslash first.
_ESCAPES = {
    "1.0": {},
    "1.1": {"\\": "\\\\", "\n": "\\n", ":": "\\c"},
    "1.2": {"\\": "\\\\", "\n": "\\n", ":": "\\c", "\r": "\\r"},
}

VERSIONS = tuple(_ESCAPES)


def escaped(text: str, version: str) -> bytes:
    """Return a text as a header value of a version."""
    return "".join(_ESCAPES[version].get(each, each) for each in text).encode()


def unescaped(value: bytes, version: str) -> str:
    """Return what a header value of a version means; KeyError for an escape it has not."""
    meanings = {escape[1]: plain for plain, escape in _ESCAPES[version].items()}
    rest = iter(value.decode())
    return "".join(meanings[next(rest)] if each == "\\" and meanings else each for each in rest)


def frame(command: str, headers: Mapping[str, str | bytes], body: bytes = b"") -> bytes:
    """Return a frame; header values are escaped already."""
    lines = [command.encode()]
    for name, value in headers.items():
        lines.append(name.encode() + b":" + (value if isinstance(value, bytes) else value.encode()))
    return b"\n".join(lines) + b"\n\n" + body + b"\0"


def destination_of(
    version: str, subscriber_id: str, types: Mapping[str, Sequence[str]], **more: object
) -> bytes:
    """Return a destination as a header value; ``more`` goes to the JSON's top level."""
    asked = {"subscriberId": subscriber_id, "entityTypesAndEvents": types, **more}
    return escaped(json.dumps(asked, ensure_ascii=False), version)


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    command: str
    headers: dict[str, bytes]
    body: bytes


@dataclass(frozen=True)
class Message:
    """A MESSAGE whose form has been found good."""

    headers: dict[str, bytes]
    body: dict[str, Any]

    @property
    def ack(self) -> bytes:
        """What acknowledges it, as it came."""
        return self.headers["ack"]


def parse(data: bytes) -> list[Frame]:
    """Return all frames in ``data``, which ends with the last of them, or with a heart-beat."""
    frames = []
    while data := data.lstrip(b"\n"):
        head, blank, rest = data.partition(b"\n\n")
        assert blank, f"no end of the headers: {data[:200]!r}"
        command, headers = _parse_head(head)
        length = int(headers["content-length"]) if "content-length" in headers else rest.find(b"\0")
        assert rest[length : length + 1] == b"\0", f"no NUL behind the body: {data[:200]!r}"
        frames.append(Frame(command, headers, rest[:length]))
        data = rest[length + 1 :]
    return frames


def _parse_head(head: bytes) -> tuple[str, dict[str, bytes]]:
    command, *lines = head.split(b"\n")
    headers: dict[str, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon, f"no colon: {line!r}"
        assert name.decode() not in headers, f"{name!r} twice"
        headers[name.decode()] = value
    return command.decode(), headers


class Wire:
    """One TCP connection. ``version`` is what ``log_in`` has agreed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = "1.0"
        self.heart_beats = 0
        self._receipts = 0

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int | None = None) -> "Wire":
        """Connect; ``receive_buffer``: bytes that the kernel keeps for us."""
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        limit = 64 * 1024 if receive_buffer is not None else 64 * 1024 * 1024
        reader, writer = await asyncio.open_connection(sock=connection, limit=limit)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def send(self, *data: bytes) -> None:
        """Send bytes as they are, in one piece."""
        self.writer.write(b"".join(data))
        async with asyncio.timeout(DEADLINE):
            await self.writer.drain()

    async def send_bytewise(self, data: bytes) -> None:
        """Send each byte in a segment of its own."""
        for at in range(len(data)):
            self.writer.write(data[at : at + 1])
            await asyncio.sleep(0)  # the server reads it

    def close_our_side(self) -> None:
        """Send no more, and go on reading."""
        self.writer.write_eof()

    def abort(self) -> None:
        """Cut the connection, as a killed process does."""
        self.writer.transport.abort()

    async def frame(self) -> Frame:
        """Read one frame; heart-beats before it are counted."""
        async with asyncio.timeout(DEADLINE):
            while (first := await self.reader.readexactly(1)) == b"\n":
                self.heart_beats += 1
            head = first + await self.reader.readuntil(b"\n\n")
            command, headers = _parse_head(head[:-2])
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
                assert await self.reader.readexactly(1) == b"\0"
            else:
                body = (await self.reader.readuntil(b"\0"))[:-1]
        return Frame(command, headers, body)

    async def rest(self) -> list[Frame]:
        """Read until the server closes; the frames that came."""
        async with asyncio.timeout(DEADLINE):
            return parse(await self.reader.read())

    # What most tests need before they come to their point

    async def log_in(
        self, version: str = "1.2", *, login: str = "id", passcode: str = "secret", **more: str
    ) -> Frame:
        """Open a session; returns CONNECTED."""
        await self.send(
            frame(
                "CONNECT",
                {
                    "accept-version": version,
                    "host": "localhost",
                    "login": login,
                    "passcode": passcode,
                    **{name.replace("_", "-"): value for name, value in more.items()},
                },
            )
        )
        connected = await self.frame()
        assert connected.command == "CONNECTED", connected
        self.version = version
        return connected

    async def subscribe(
        self,
        subscriber_id: str,
        types: Mapping[str, Sequence[str]],
        *,
        name: str = "s",
        ack: str | None = None,
        **more: object,
    ) -> bytes:
        """Subscribe, and wait for the receipt; returns the destination as it was sent."""
        destination = destination_of(self.version, subscriber_id, types, **more)
        headers: dict[str, str | bytes] = {"id": name, "destination": destination}
        if ack is not None:
            headers["ack"] = ack
        await self.confirmed("SUBSCRIBE", headers)
        return destination

    async def confirmed(self, command: str, headers: Mapping[str, str | bytes]) -> None:
        """Send a frame that asks for a receipt, and read that: nothing else may come before."""
        self._receipts += 1
        receipt = f"receipt-{self._receipts}"
        await self.send(frame(command, {**headers, "receipt": receipt}))
        answer = await self.frame()
        assert answer == Frame("RECEIPT", {"receipt-id": receipt.encode()}, b""), answer

    async def message(self) -> Message:
        """Read one MESSAGE, and check its form."""
        found = await self.frame()
        assert found.command == "MESSAGE", found
        assert {"destination", "message-id", "ack"} <= found.headers.keys()
        assert found.headers["content-type"] == b"application/json"
        assert found.headers["content-length"] == b"%d" % len(found.body)
        assert b"\n" not in found.body
        assert b"\0" not in found.body
        body = json.loads(found.body)
        # What goes beyond the published schema: there only if the event was stored with it.
        published = {name: body[name] for name in body if name != "eventMetadata"}
        jsonschema.validate(published, _EVENT_SCHEMA)
        return Message(found.headers, body)

    async def messages(self, number: int) -> list[Message]:
        """Read so many of them."""
        return [await self.message() for _ in range(number)]

    async def refused(
        self, *mentions: str, code: str = "bad_request", receipt: str | None = None
    ) -> str:
        """Read an ERROR that says why, behind which the server closes; returns its message."""
        error = await self.frame()
        assert error.command == "ERROR", error
        assert error.headers["error"] == code.encode(), error
        message = unescaped(error.headers["message"], self.version)
        assert message
        assert error.headers.get("receipt-id") == (None if receipt is None else receipt.encode())
        for each in mentions:
            assert each in message, (each, message)
        assert await self.rest() == []
        return message
