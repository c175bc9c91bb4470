"""One order of news: what this server and the others have appended to a partition of the log, told
as one unbroken order.

Sequences are given by the stream, one after the other, and a message is seen once its Raft group
has committed it; so what lies between this server's head and any newer position is all there to be
read. What this server has appended itself is told without being read, once all before it is told.
An append is answered after its events are told.

How far the others have come is heard from them (a message that is not stored), and the stream's
leader is asked once a second besides.

While nobody wants events, those of other servers are told without being read: several servers
that only append do not do each other's work. The names in them are learnt a little later.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable

import msgspec

from eventuary.engines.engine import Committed
from eventuary.engines.jetstream.api import NotYet, Refused
from eventuary.engines.jetstream.log import Log
from eventuary.engines.jetstream.partitions import Partition
from eventuary.engines.jetstream.streams import last_sequence
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.errors import ServiceUnavailable
from eventuary.events import LogEvent

_log = logging.getLogger("eventuary.jetstream")

#: When so many events of other servers are to be told, their readers had better page them.
_MOST_TOLD = 10_000

#: Events read at once.
_PAGE = 512

#: Seconds between two looks at the stream.
_POLL_EVERY = 1.0

#: Polls between two looks for names that other servers have registered.
_NAMES_EVERY = 2


class _Own(msgspec.Struct, gc=False):
    #: The sequence of the first of its events.
    first: int
    events: list[LogEvent]
    told: asyncio.Future[None]

    @property
    def last(self) -> int:
        """The sequence of the last of its events."""
        return self.first + len(self.events) - 1

    def __lt__(self, other: "_Own") -> bool:
        return self.first < other.first


class Publisher:
    """Owns the head, which is a sequence here. ``on_commit`` is called on the loop, in order.

    ``wants_events``: whether anybody would use what others have appended.
    """

    def __init__(
        self,
        wire: Wire,
        partition: Partition,
        log: Log,
        head: int,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool],
    ) -> None:
        self._wire = wire
        self._partition = partition
        self._log = log
        self._on_commit = on_commit
        self._wants_events = wants_events
        self._known = head
        self._own: list[_Own] = []
        self._task: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._reached: dict[asyncio.Future[None], int] = {}
        #: The sequence of the newest event that has been told.
        self.head = head

    async def start(self) -> None:
        """Begin to follow the other servers."""
        await self._wire.listen(self._partition.head, self._heard)
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Follow no more. What is this server's own is told by then."""
        for task in (self._polling, self._task, self._announcing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        for reached in self._reached:
            if not reached.done():
                reached.set_exception(ServiceUnavailable("the server is shutting down"))
        self._reached.clear()

    async def tell(self, first: int, events: list[LogEvent]) -> None:
        """This server has appended these, from the sequence ``first`` on: return when told."""
        last = first + len(events) - 1
        if (
            first > self.head + 1
            and not self._own
            and not self._wants_events(self._partition.number)
        ):
            self._tell(first - 1, None)
        if first == self.head + 1 and not self._own:
            self._tell(last, events)
            self._announce()
            return
        if last <= self.head:
            return  # they have been read already
        own = _Own(first, events, asyncio.get_running_loop().create_future())
        heapq.heappush(self._own, own)
        self._announce()
        self._hint(first - 1)
        await own.told

    async def reach(self, sequence: int) -> None:
        """Return when all up to ``sequence``, which is in the log, is told."""
        if sequence > self.head:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._reached[reached] = sequence
            self._hint(sequence)
            await reached

    @property
    def _is_wanted(self) -> bool:
        """Whether anybody would use what others have appended."""
        return self._wants_events(self._partition.number)

    def _heard(self, said: bytes) -> None:
        if said.isdigit():
            self._hint(int(said))

    def _hint(self, head: int) -> None:
        """The log is known to reach up to ``head`` at least."""
        self._known = max(self._known, head)
        if self._task is not None:
            return
        if (
            self._known > self.head
            and not self._own
            and not self._wants_events(self._partition.number)
        ):
            self._tell(self._known, None)
        elif self._own or self._known > self.head:
            self._task = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        try:
            while True:
                self._tell_own()
                target = self._own[0].first - 1 if self._own else self._known
                if target <= self.head:
                    return
                try:
                    await self._read_up_to(target)
                except ServiceUnavailable:
                    # It is stored, so it is answered; readers find it there.
                    if not self._own:
                        return  # the next look, within a second, tries again
                    self._tell(max(self.head, self._own[0].first - 1), None)
        except Exception:  # noqa: BLE001 - the next look, within a second, tries again
            _log.exception("reading the log on failed unexpectedly")
        finally:
            self._task = None

    async def _read_up_to(self, target: int) -> None:
        if target - self.head > _MOST_TOLD:
            await self._log.learn_names()
            self._tell(max(target, self.head), None)
            return
        first = self.head + 1
        events = await self._log.stretch(first, min(target, first + _PAGE - 1))
        self._tell_rest(first, events)  # meanwhile this server's own may have been told

    def _tell_own(self) -> None:
        """Tell this server's own that are next, and answer those that are told."""
        while self._own and self._own[0].first <= self.head + 1:
            own = heapq.heappop(self._own)
            # Some of it may have been read already: it is visible before we are told so.
            self._tell_rest(own.first, own.events)
            if not own.told.done():
                own.told.set_result(None)

    def _tell_rest(self, first: int, events: list[LogEvent]) -> None:
        """Tell events, from the sequence ``first`` on, as far as they are not told yet."""
        rest = events[self.head - first + 1 :] if self.head >= first else events
        if rest:
            self._tell(first + len(events) - 1, rest)

    def _tell(self, head: int, events: list[LogEvent] | None) -> None:
        self.head = head
        self._known = max(self._known, head)
        partition = self._partition
        self._on_commit(Committed(partition.position(head), events, partition.number))
        for reached, sequence in list(self._reached.items()):
            if sequence <= head:
                del self._reached[reached]
                if not reached.done():
                    reached.set_result(None)

    def _announce(self) -> None:
        """Let the other servers know, soon and once for all that is appended until then."""
        if self._announcing is None:
            self._announcing = asyncio.create_task(self._say())

    async def _say(self) -> None:
        own = max((each.last for each in self._own), default=0)
        head = max(self.head, own)
        await self._wire.say(self._partition.head, str(head).encode())
        self._announcing = None

    async def _poll(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(_POLL_EVERY)
            try:
                self._hint(await last_sequence(self._wire, self._partition.stream))
                if number % _NAMES_EVERY == 0:
                    await self._log.learn_names()
            except (Lost, NotYet, Refused, ServiceUnavailable):
                continue  # the next look tells
            except Exception:  # noqa: BLE001 - without it nothing of others would be told any more
                _log.exception("following the log failed unexpectedly")
