"""A raw HTTP client: sends exactly the bytes that a test wrote, and reads answers one by one."""

import asyncio
import base64
from dataclasses import dataclass

import msgspec

#: Seconds within which everything in these tests happens.
DEADLINE = 30.0


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body, which is a JSON object."""
        decoded: dict[str, object] = msgspec.json.decode(self.body, type=dict[str, object])
        return decoded

    @property
    def error(self) -> str:
        """The error's code; the answer has the shape of an error and no other."""
        assert self.headers["content-type"] == "application/json"
        assert set(self.json) == {"error", "explanation"}
        assert isinstance(self.json["explanation"], str)
        assert self.json["explanation"]
        return str(self.json["error"])

    @property
    def explanation(self) -> str:
        """The error's text."""
        return str(self.json["explanation"])


class Wire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer:
        """Read one response; ``head``: to a HEAD, so without a body."""
        async with asyncio.timeout(DEADLINE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
            headers = {}
            for line in lines:
                name, _, value = line.partition(": ")
                assert name not in headers, f"{name} twice"
                headers[name] = value
            body = b"" if head else await self.reader.readexactly(int(headers["content-length"]))
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(int(status), headers, body)

    async def ask(self, data: bytes) -> Answer:
        """Send bytes and read one response."""
        await self.send(data)
        return await self.answer()

    async def end(self) -> bytes:
        """Read until the server closes; what came."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.read()

    def close(self) -> None:
        """Close our side."""
        self.writer.close()


def request(
    method: str, target: str, body: bytes | None = None, *headers: str, version: str = "1.1"
) -> bytes:
    """Return a request; with a body, its length and type are among the headers."""
    lines = [f"{method} {target} HTTP/{version}", "host: localhost", *headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
        if not any(line.lower().startswith("content-type:") for line in headers):
            lines.append("content-type: application/json")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def creation(
    entity_id: str | None = None, *, entity_type: str = "orders.Order", data: str = '{"total": 1}'
) -> bytes:
    """Return the body of a creation with one event."""
    fields: dict[str, object] = {
        "entityTypeName": entity_type,
        "events": [{"eventType": "OrderCreated", "eventData": data}],
    }
    if entity_id is not None:
        fields["entityId"] = entity_id
    return msgspec.json.encode(fields)


def create(entity_id: str | None = None, *headers: str) -> bytes:
    """Return a whole request that creates an entity in the space ``default``."""
    return request("POST", "/entity/default", creation(entity_id), *headers)


def find(entity_id: str, *headers: str) -> bytes:
    """Return a whole request that reads such an entity."""
    return request("GET", f"/entity/default/orders.Order/{entity_id}", None, *headers)


def basic(key_id: str, secret: str) -> str:
    """Return the header line that shows a key."""
    return "authorization: Basic " + base64.b64encode(f"{key_id}:{secret}".encode()).decode()
