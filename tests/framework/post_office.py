"""A post office: an outside system for tests, a real one, behind a socket.

A line ``KEY`` is answered ``taken NUMBER`` or ``no REASON``; it may be slow, break off, or be down.
"""

import asyncio
import socket
from collections import defaultdict
from typing import Self

from eventuary import (
    Aggregate,
    Context,
    DeliveryPolicy,
    Event,
    EventStore,
    OutsideSystem,
    Refused,
    Repository,
    Subscriber,
    apply,
)


class LetterEvent(Event, entity="Letter"): ...


class LetterWritten(LetterEvent):
    text: str


class Letter(Aggregate):
    @apply
    def _written(self, event: LetterWritten) -> None: ...


async def write(store: EventStore, *texts: str, letter: str = "a") -> None:
    """Let letters be written; those of one entity are in one swimlane, in order."""
    letters = Repository(store, Letter)
    events = [LetterWritten(text) for text in texts]
    if await letters.exists(letter):
        await letters.update(letter, lambda _: events)
    else:
        await letters.save(events, entity_id=letter)


class PostOffice:
    """Listens on a port of its own within ``async with``, unless it is closed."""

    def __init__(self) -> None:
        #: The keys under which it was asked, in order; those that it has taken.
        self.asked: list[str] = []
        self.taken: list[str] = []
        #: How many of the next calls it breaks off, all told, and by key.
        self.breaks = 0
        self.breaks_key: dict[str, int] = defaultdict(int)
        #: Why it says no for good.
        self.refusal: str | None = None
        #: Not set: nobody is answered.
        self.answering = asyncio.Event()
        self.answering.set()
        # Bound as long as it exists, so that its port stays its own while it is closed.
        self._address = socket.socket()
        self._address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._address.bind(("127.0.0.1", 0))
        self.port: int = self._address.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        self._address.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_port=True
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            key = (await reader.readline()).decode().strip()
            self.asked.append(key)
            answer = await self._answer(key)
            if answer is not None:
                writer.write(f"{answer}\n".encode())
                await writer.drain()
        except OSError:
            pass  # whoever asked has gone
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, key: str) -> str | None:
        await self.answering.wait()
        if self.refusal is not None:
            return f"no {self.refusal}"
        if self.breaks > 0:
            self.breaks -= 1
            return None
        if self.breaks_key[key] > 0:
            self.breaks_key[key] -= 1
            return None
        self.taken.append(key)
        return f"taken {len(self.taken)}"

    async def send(self, key: str) -> str:
        """Send a letter, as a client does; return its number. Raises Refused and OSError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"{key}\n".encode())
            word, _, rest = (await reader.readline()).decode().strip().partition(" ")
        finally:
            writer.close()
        if word == "no":
            raise Refused(rest)
        if word != "taken":
            raise ConnectionError("the post office has broken off")
        return rest


class Clerk:
    """A subscriber that sends each letter, and notes what came of it."""

    def __init__(
        self,
        office: PostOffice,
        system: OutsideSystem,
        *,
        subscriber_id: str = "clerk",
        policy: DeliveryPolicy | None = None,
    ) -> None:
        self.office = office
        self.system = system
        #: What was sent: the letter, its text, its receipt, which delivery it was.
        self.sent: list[tuple[str, str, str | None, int]] = []
        self.subscriber = Subscriber(subscriber_id, policy=policy)
        self.subscriber.on(LetterWritten)(self._send)

    async def _send(self, event: LetterWritten, context: Context) -> None:
        receipt = await context.call(self.system, self.office.send)
        self.sent.append((context.entity_id, event.text, receipt, context.attempt))

    def texts(self, letter: str = "a") -> list[str]:
        """The texts of a letter that were sent, in order."""
        return [text for each, text, _, _ in self.sent if each == letter]
