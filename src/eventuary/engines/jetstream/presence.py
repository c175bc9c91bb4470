"""Who has a log: servers that serve it, and migrations that read or make it.

Each says so in a cell, so that of two who say it and then look, one sees the other. A cell stays
when its owner is killed, so what counts is its connection: it answers on a subject of its own, and
a node knows at once when nobody listens there any more. Whoever stands still keeps the connection,
and counts as there.
"""

import asyncio
import contextlib
import enum
import os
import secrets
import socket

from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Lost, Wire, status_of
from eventuary.errors import ServiceUnavailable

_KIND = "here"

#: The status in place of an answer when nobody listens.
_NOBODY = "503"

#: Seconds between two questions to somebody who does not seem to be there.
_PAUSE = 0.05

#: Seconds after which going is given up: who is gone does not answer either.
_MOST_GOING = 2.0


class Kind(enum.Enum):
    """Who it is, and for how many seconds nobody may answer before it is taken to be gone.

    A node that a server was connected to may have failed, and the server be on its way to another.
    A migration that is taken to be gone too early does no harm: the log refuses what it would
    write besides another.
    """

    SERVER = "server", 3.0
    MIGRATION = "migration", 0.5

    def __init__(self, token: str, patience: float) -> None:
        self.token = token
        self.patience = patience


class Presence:
    """One's own."""

    def __init__(self, wire: Wire, cells: Cells, subjects: Subjects, kind: Kind) -> None:
        self._wire = wire
        self._cells = cells
        self._token = secrets.token_hex(8)
        self.subject = subjects.cell(_KIND, kind.token, self._token)
        self._answers_on = f"{subjects.here}.{self._token}"
        self._name = f"{socket.gethostname()} {os.getpid()}".encode()
        self._is_here = False
        self._task: asyncio.Task[None] | None = None

    async def come(self) -> None:
        """Be here. Raises ServiceUnavailable."""
        try:
            await self._wire.answer(self._answers_on, b"")
        except Lost as error:
            raise ServiceUnavailable(f"storage: {error}") from error
        await self._say_so()
        self._is_here = True
        self._wire.when_back(self._come_back)

    async def go(self) -> None:
        """Be here no more."""
        if not self._is_here:
            return
        self._is_here = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(ServiceUnavailable, TimeoutError):
            await asyncio.wait_for(self._cells.forget(self.subject), _MOST_GOING)

    def _come_back(self) -> None:
        """Say it again: whoever looked while the connection was not there may have forgotten it."""
        if self._is_here and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._say_again())

    async def _say_again(self) -> None:
        with contextlib.suppress(ServiceUnavailable):
            await self._say_so()

    async def _say_so(self) -> None:
        await self._cells.put(Change(self.subject, self._name, None))


async def present(
    wire: Wire, cells: Cells, subjects: Subjects, kind: Kind, but: Presence | None = None
) -> list[str]:
    """Return who of a kind is here, as host and process, and forget those who are gone.

    ``but``: besides this one. Raises ServiceUnavailable.
    """
    cell = subjects.cell(_KIND, kind.token)
    found = await cells.look([f"{cell}.*"])
    others = {
        subject: each for subject, each in found.items() if but is None or subject != but.subject
    }
    are_there = await asyncio.gather(
        *(
            _is_there(wire, f"{subjects.here}.{subject.rpartition('.')[2]}", kind.patience)
            for subject in others
        )
    )
    names = []
    for (subject, each), is_there in zip(others.items(), are_there, strict=True):
        if is_there:
            names.append(each.data.decode())
        else:
            await cells.forget(subject)
    return names


async def _is_there(wire: Wire, subject: str, patience: float) -> bool:
    """Whether somebody listens on a subject; who can't be asked is taken to be there."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            answer = await wire.ask(subject, b"")
        except Lost:
            return True
        if status_of(answer) != _NOBODY:
            return True
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
