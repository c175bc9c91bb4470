"""The ceiling: a bare ASGI application on uvicorn that decodes, commits in groups, and answers.

    python -m bench.ceiling_asgi DATABASE [FILE WITH THE FIXED ANSWER]

No routing, no keys, no checks of versions, no delivery. ``POST`` decodes one event, waits for the
group commit (SQLite, WAL, synchronous=FULL, our schema) in another thread, and answers; ``GET``
answers fixed bytes. Prints ``{"port": …}`` when it listens.
"""

import asyncio
import json
import queue
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from bench.bare_sqlite import event_row, insert, open_database

_MOST_APPENDS = 1024

_Message = MutableMapping[str, Any]


class _Event(msgspec.Struct, rename="camel"):
    event_type: str
    event_data: str


class _Create(msgspec.Struct, rename="camel"):
    entity_type_name: str
    events: list[_Event]


class _Created(msgspec.Struct, rename="camel"):
    entity_id: str
    entity_version: str
    event_ids: list[str]


class GroupCommit:
    """A thread that writes all that waits in one transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = open_database(path)
        self._queue: queue.SimpleQueue[tuple[str, asyncio.Future[str]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._position = 0
        threading.Thread(target=self._run, daemon=True).start()

    def append(self, data: str) -> asyncio.Future[str]:
        """Write an event; the future has its id once it is on disk."""
        future: asyncio.Future[str] = self._loop.create_future()
        self._queue.put((data, future))
        return future

    def _run(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < _MOST_APPENDS:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            rows = []
            for data, _ in group:
                self._position += 1
                rows.append(event_row(self._position, data))
            insert(self._connection, rows)
            done = [(future, str(row[1])) for (_, future), row in zip(group, rows, strict=True)]
            self._loop.call_soon_threadsafe(_answer, done)


def _answer(done: list[tuple[asyncio.Future[str], str]]) -> None:
    for future, event_id in done:
        if not future.done():
            future.set_result(event_id)


class Application:
    """ASGI."""

    def __init__(self, path: Path, fixed: bytes) -> None:
        self._commit = GroupCommit(path)
        self._fixed = fixed
        self._decode = msgspec.json.Decoder(_Create).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        answer = self._fixed
        if scope["method"] == "POST":
            message = await receive()
            body: bytes = message["body"]
            while message.get("more_body"):
                message = await receive()
                body += message["body"]
            event_id = await self._commit.append(self._decode(body).events[0].event_data)
            answer = self._encode(_Created(event_id, event_id, [event_id]))
        length = str(len(answer)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _serve(path: Path, fixed: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        Application(path, fixed),
        loop="none",
        http="httptools",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_level="error",
    )
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    """Serve until told to end."""
    import uvloop

    database, *rest = sys.argv[1:]
    fixed = Path(rest[0]).read_bytes() if rest else b'{"events":[]}'
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(database), fixed))


if __name__ == "__main__":
    main()
