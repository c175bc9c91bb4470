"""One order of news: what this server and the others have committed, told as one unbroken log.

Positions are dense and become visible in order (`take_turn` in migrations/0001_event_log.sql), so
what lies between this server's head and any newer position is all there to be read: there are no
holes, and nothing to wait for. What this server has committed itself is told without being read,
once all before it is told. An append is answered after its events are told.

While nobody wants events, those of other servers are told without being read: several servers
that only append do not do each other's work.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from eventuary.engines.engine import Committed
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.lane import Lane
from eventuary.engines.postgres.log import event_id_at, read_stretch
from eventuary.errors import ServiceUnavailable
from eventuary.events import LogEvent

_log = logging.getLogger("eventuary.postgres")

#: When so many events of other servers are to be told, their readers had better page them.
_MOST_TOLD = 10_000

#: Events read at once.
_PAGE = 1_000


class _Own(msgspec.Struct, gc=False):
    before: int
    events: list[LogEvent]
    answer: Callable[[], None]


class Publisher:
    """Owns the head. ``lane`` reads; ``on_commit`` is called on the loop, in order.

    ``wants_events``: whether anybody would use what others have committed.
    """

    def __init__(
        self,
        lane: Lane,
        catalogue: Catalogue,
        head: int,
        head_id: str | None,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool],
    ) -> None:
        self._lane = lane
        self._catalogue = catalogue
        self._on_commit = on_commit
        self._wants_events = wants_events
        self._known = head
        self._own: deque[_Own] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reached: dict[asyncio.Future[None], int] = {}
        #: The position of the newest event that has been told.
        self.head = head
        #: The id of that event; None: there is none yet, or it was not told in full.
        self.head_id = head_id
        self._failure: ServiceUnavailable | None = None

    def committed(self, before: int, events: list[LogEvent], answer: Callable[[], None]) -> None:
        """This server has committed ``events`` after ``before``: tell them, then ``answer``."""
        if before > self.head and not self._own and not self._wants_events(0):
            self._skip(before)
        if before == self.head and not self._own:
            self._tell(events[-1].position, events)
            answer()
            return
        self._own.append(_Own(before, events, answer))
        self.hint(before)

    def hint(self, head: int) -> None:
        """The log is known to reach up to ``head`` at least."""
        self._known = max(self._known, head)
        if self._task is not None:
            return
        if self._known > self.head and not self._own and not self._wants_events(0):
            self._skip(self._known)
        elif self._own or self._known > self.head:
            self._task = asyncio.create_task(self._read_on())

    async def reach(self, position: int) -> None:
        """Return when all up to ``position`` is told. Raises ServiceUnavailable if it never is."""
        if position > self.head:
            if self._failure is not None:
                raise ServiceUnavailable(str(self._failure))
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._reached[reached] = position
            self.hint(position)
            await reached

    async def stop(self) -> None:
        """Tell and answer what is left of this server's own commits."""
        while self._own and self._task is not None:
            await asyncio.wait([self._task])
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.fail(ServiceUnavailable("the server is shutting down"))

    def fail(self, failure: ServiceUnavailable) -> None:
        """Nothing is read any more: who waits for it is told why."""
        self._failure = failure
        for future in self._reached:
            if not future.done():
                future.set_exception(ServiceUnavailable(str(failure)))
        self._reached.clear()

    async def _read_on(self) -> None:
        try:
            while True:
                self._tell_own()
                target = max(self._known, self._own[0].before if self._own else 0)
                if target <= self.head:
                    return
                if self._own:
                    target = self._own[0].before
                try:
                    await self._read_up_to(target)
                except ServiceUnavailable:
                    # It is on disk, so it is answered; readers find it there.
                    if not self._own:
                        return  # the next hint, within a second, tries again
                    if self._own[0].before > self.head:
                        self._skip(self._own[0].before)
        except Exception:  # noqa: BLE001 - the next hint, within a second, tries again
            _log.exception("reading the log on failed unexpectedly")
        finally:
            self._task = None

    async def _read_up_to(self, target: int) -> None:
        if target - self.head > _MOST_TOLD:
            await self._lane.run(self._catalogue.load)
            target_id = await self._lane.run(lambda connection: event_id_at(connection, target))
            if target > self.head:
                self._skip(target, target_id)
            return
        after = self.head
        events = await self._lane.run(
            lambda connection: read_stretch(connection, self._catalogue, after, target, _PAGE)
        )
        # Meanwhile this server may have been told that some of it is its own, and have told it.
        news = [event for event in events if event.position > self.head]
        if news:
            self._tell(news[-1].position, news)
        elif not events:
            raise ServiceUnavailable(
                f"storage: the log ends at {after}, though it was at {target} before"
            )

    def _tell_own(self) -> None:
        """Tell this server's own commits that are next, and answer those that are told."""
        while self._own and self._own[0].before <= self.head:
            own = self._own.popleft()
            # Some of it may have been read already: it is visible before we are told so.
            rest = [event for event in own.events if event.position > self.head]
            if rest:
                self._tell(rest[-1].position, rest)
            own.answer()

    def _skip(self, head: int, head_id: str | None = None) -> None:
        """Leave events to be read from the log; their names may be new."""
        self._catalogue.become_stale()
        self._tell(head, None, head_id)

    def _tell(self, head: int, events: list[LogEvent] | None, head_id: str | None = None) -> None:
        self.head = head
        self._known = max(self._known, head)
        self.head_id = events[-1].event_id if events else head_id
        self._on_commit(Committed(head, events))
        if self._reached:
            for future, position in list(self._reached.items()):
                if position <= head:
                    del self._reached[future]
                    if not future.done():
                        future.set_result(None)
