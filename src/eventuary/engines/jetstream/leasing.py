"""Swimlanes shared by servers: who delivers which, in cells that all of them change with care.

A server renews one cell, whatever it holds. Another buries it when it has not seen the cell change
for longer than a lease holds, by its own clock alone: it deletes the cell as it saw it, which fails
if it was renewed meanwhile. Who renews names the renewal before; one that has been buried finds
that out, takes another number, and holds nothing. So nobody compares clocks.

A swimlane changes hands by a change of the cell that holds all of its subscription's, so that of
several who want it one gets it. Each change of hands raises the epoch, under which alone positions
and dead letters are stored (subscriptions.py).
"""

import asyncio
import os
import socket
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from eventuary.engines.engine import Lease, SharedSubscription
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.subscriptions import Lane, Lanes, Subscriptions
from eventuary.errors import ServiceUnavailable

#: Seconds for which a renewal holds.
LEASE_SECONDS = 3.0

#: A server is buried when nothing was seen of it for so many times a lease.
_BURIED_AFTER = 1.25

_KIND = "server"

_Result = TypeVar("_Result")


class JetStreamLeasing:
    """Satisfies ``Leasing``."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, cells: Cells, subjects: Subjects, subscriptions: Subscriptions) -> None:
        self._cells = cells
        self._subjects = subjects
        self._subscriptions = subscriptions
        self._name = f"{socket.gethostname()} {os.getpid()}".encode()
        self._renewal = 0
        #: Of each other server: its last renewal, and since when it is known, in seconds.
        self._seen: dict[str, tuple[int, float]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        #: This server's number as a deliverer; 0: none yet.
        self.number = 0

    def renew(self) -> asyncio.Future[int]:
        """Renew this server's cell, and bury those that have not renewed theirs."""

        async def run() -> int:
            try:
                if not self.number:
                    raise Moved
                self._renewal = await self._cells.put(Change(self._mine, self._name, self._renewal))
            except Moved:
                present = await self._cells.get(self._mine) if self.number else None
                if present is not None and present.data and present.sequence > self._renewal:
                    # It was done, and denied by a leader that was deposed.
                    self._renewal = present.sequence
                    return self.number
                self.number = await self._cells.number(self._subjects.cell("number"))
                try:
                    self._renewal = await self._cells.put(Change(self._mine, self._name, 0))
                except Moved:  # by ourselves, and the answer was lost: the next renewal tells
                    raise ServiceUnavailable("storage: it is not known who is here") from None
            await self._bury()
            return self.number

        return self._run(run())

    def look(
        self, names: Sequence[tuple[str, str]]
    ) -> asyncio.Future[list[SharedSubscription | None]]:
        """Look at subscriptions."""

        async def run() -> list[SharedSubscription | None]:
            found, servers = await self._subscriptions.look(names)
            return [
                None
                if each is None
                else SharedSubscription(
                    each.main.number,
                    each.main.revision,
                    each.record,
                    [
                        _lease(swimlane, lane, servers)
                        for swimlane, lane in enumerate(each.lanes.lanes)
                    ],
                    {
                        server: consumers
                        for server, consumers in each.lanes.consumers.items()
                        if server in servers
                    },
                    each.lanes.wishes,
                )
                for each in found
            ]

        return self._run(run())

    def want(self, space: str, subscriber_id: str, consumers: int) -> asyncio.Future[None]:
        """Say how many consumers this server has."""
        me = self.number

        def change(lanes: Lanes, servers: frozenset[int]) -> tuple[Lanes, None]:
            others = {
                server: number
                for server, number in lanes.consumers.items()
                if server in servers and server != me
            }
            wanted = {**others, me: consumers} if consumers else others
            held = lanes.lanes
            if not consumers:
                held = [_without(lane, me) for lane in held]
            if (wanted, held) == (lanes.consumers, lanes.lanes):
                return lanes, None
            return msgspec.structs.replace(lanes, consumers=wanted, lanes=held), None

        return self._run(self._subscriptions.update(space, subscriber_id, change))

    def take(
        self, space: str, subscriber_id: str, seen: Sequence[Lease]
    ) -> asyncio.Future[list[Lease]]:
        """Take leases as they were seen."""
        me = self.number

        def change(lanes: Lanes, servers: frozenset[int]) -> tuple[Lanes, list[Lease]]:
            held = list(lanes.lanes)
            taken: list[Lease] = []
            for lease in seen:
                lane = held[lease.swimlane]
                is_free = lane.holder is None or lane.holder == me or lane.holder not in servers
                if me in servers and is_free and lane.epoch == lease.epoch:
                    held[lease.swimlane] = Lane(lane.position, lane.epoch + 1, me)
                    taken.append(Lease(lease.swimlane, lane.epoch + 1, me, lane.position))
            if not taken:
                return lanes, taken
            return msgspec.structs.replace(lanes, lanes=held), taken

        async def run() -> list[Lease]:
            return await self._subscriptions.update(space, subscriber_id, change) or []

        return self._run(run())

    def give_up(
        self, space: str, subscriber_id: str, leases: Sequence[Lease]
    ) -> asyncio.Future[None]:
        """Let others take these leases."""
        me = self.number
        epochs = {lease.swimlane: lease.epoch for lease in leases}

        def change(lanes: Lanes, _: frozenset[int]) -> tuple[Lanes, None]:
            held = [
                _without(lane, me) if epochs.get(swimlane) == lane.epoch else lane
                for swimlane, lane in enumerate(lanes.lanes)
            ]
            if held == lanes.lanes:
                return lanes, None
            return msgspec.structs.replace(lanes, lanes=held), None

        return self._run(self._subscriptions.update(space, subscriber_id, change))

    def wish(
        self, space: str, subscriber_id: str, position: int, wish: str | None
    ) -> asyncio.Future[None]:
        """Ask for something to be done with a dead letter."""

        def change(lanes: Lanes, _: frozenset[int]) -> tuple[Lanes, None]:
            wishes = {at: each for at, each in lanes.wishes.items() if at != position}
            if wish is not None:
                wishes[position] = wish
            if wishes == lanes.wishes:
                return lanes, None
            return msgspec.structs.replace(lanes, wishes=wishes), None

        return self._run(self._subscriptions.update(space, subscriber_id, change))

    def leave(self) -> asyncio.Future[None]:
        """Hold nothing any more."""

        async def run() -> None:
            if self.number:
                await self._cells.forget(self._mine)

        return self._run(run())

    async def stop(self) -> None:
        """Finish what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def _mine(self) -> str:
        return self._subjects.cell(_KIND, str(self.number))

    async def _bury(self) -> None:
        now = time.monotonic()
        cells = await self._cells.look([f"{self._subjects.cell(_KIND)}.*"])
        cells.pop(self._mine, None)
        self._seen = {
            subject: self._seen[subject]
            for subject, cell in cells.items()
            if self._seen.get(subject, (0, 0.0))[0] == cell.sequence
        } | {
            subject: (cell.sequence, now)
            for subject, cell in cells.items()
            if self._seen.get(subject, (0, 0.0))[0] != cell.sequence
        }
        for subject, (renewal, since) in self._seen.items():
            if now - since > self.lease_seconds * _BURIED_AFTER:
                try:
                    # Empty first, as it was seen: nobody can renew it any more. Then it may go.
                    if cells[subject].data:
                        await self._cells.put(Change(subject, b"", renewal))
                except Moved:
                    continue
                await self._cells.forget(subject)

    def _run(self, job: Coroutine[Any, Any, _Result]) -> asyncio.Future[_Result]:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _lease(swimlane: int, lane: Lane, servers: frozenset[int]) -> Lease:
    holder = lane.holder if lane.holder in servers else None
    return Lease(swimlane, lane.epoch, holder, lane.position)


def _without(lane: Lane, server: int) -> Lane:
    return Lane(lane.position, lane.epoch, None) if lane.holder == server else lane
