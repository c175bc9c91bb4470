"""Whether a connection leads to the log that this server has told of, before it is used.

When a replica takes its primary's place, some connections of a server lead to the one and some to
the other for a while. And the replica may not have received everything: then positions that were
told are missing there, or used again for other events. A reader that went on would pass those over.

So each new connection is asked for its timeline, which grows with each promotion, and for the
newest event that this server has told of. The first one of a higher timeline ends all others, so
that nothing of the old primary's is believed after anything of the new one's; a connection of a
lower one is not used. A log in which that event is not what it was is refused for good: what was
delivered, and is gone, can't be taken back, and a person must know.
"""

import logging
from collections.abc import Callable

import asyncpg

from eventuary.engines.postgres.database import Connection
from eventuary.engines.postgres.log import event_id_at
from eventuary.errors import ServiceUnavailable

_log = logging.getLogger("eventuary.postgres")

# The first eight digits of the name of the file that the write-ahead log is at.
_TIMELINE = """
SELECT ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer
"""

#: What a database says that keeps its timeline to itself, as some do that are rented.
_UNTOLD = (
    asyncpg.FeatureNotSupportedError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.UndefinedFunctionError,
)


class Continuity:
    """What all connections of one engine have in common: the log, and the primary that has it."""

    def __init__(self) -> None:
        #: The highest timeline that was seen; 0: none, or the database does not tell.
        self.timeline = 0
        #: Set: nothing is read or written any more, and this is why.
        self.refusal: ServiceUnavailable | None = None
        self._told: Callable[[], tuple[int, str | None]] = lambda: (0, None)
        self._refused: Callable[[ServiceUnavailable], None] = lambda _: None
        self._used: set[Connection] = set()

    def watch(
        self,
        told: Callable[[], tuple[int, str | None]],
        refused: Callable[[ServiceUnavailable], None],
    ) -> None:
        """Compare with the head, and its event's id, that ``told`` returns from now on.

        ``refused`` is called once, if the log is refused.
        """
        self._told = told
        self._refused = refused

    async def begin(self, connection: Connection) -> None:
        """Take the timeline of the connection that the engine starts with."""
        self.timeline = await _timeline_of(connection)

    async def check(self, connection: Connection) -> None:
        """Raise ServiceUnavailable if this connection is not to be used."""
        timeline = await _timeline_of(connection)
        if timeline < self.timeline:
            raise ServiceUnavailable(
                f"this database server is on timeline {timeline}, and another was promoted to "
                f"{self.timeline}: it was replaced"
            )
        promoted = timeline > self.timeline
        if promoted:
            _log.warning("another database server is the primary by now, on timeline %d", timeline)
            self.timeline = timeline
            self._end_all()
        while True:
            if self.refusal is not None:
                raise ServiceUnavailable(str(self.refusal))
            told = self._told()
            await self._compare(connection, *told)
            # What an ended connection has answered may be told a moment later.
            if self.refusal is None and (not promoted or told == self._told()):
                break
        if timeline < self.timeline:
            raise ServiceUnavailable("another database server was promoted meanwhile")
        self._used.add(connection)
        connection.add_termination_listener(self._used.discard)

    async def _compare(self, connection: Connection, head: int, head_id: str | None) -> None:
        if head == 0:
            return
        there = await event_id_at(connection, head)
        if self.refusal is not None or (there is not None and head_id in (None, there)):
            return
        what = f"position {head} is " + (
            "not there any more" if there is None else f"event {there}, and was {head_id}"
        )
        _log.critical("the database has lost events, all calls are answered 503: %s", what)
        self.refusal = ServiceUnavailable(
            f"storage: the database has lost events: {what}; restart this server when you know why"
        )
        self._end_all()
        self._refused(self.refusal)

    def _end_all(self) -> None:
        for connection in list(self._used):
            connection.terminate()
        self._used.clear()


async def _timeline_of(connection: Connection) -> int:
    try:
        timeline: int = await connection.fetchval(_TIMELINE)
    except _UNTOLD:
        return 0
    return timeline
