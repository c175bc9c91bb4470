"""The one appending task: takes all that waits, writes it in one statement, then answers.

An answer that got lost with its connection is looked for: the task takes another server number,
after which the lost statement can't be done any more, and asks whether the events are in the log.
So nobody is told that nothing was written when it was, and a client that tries again appends once.
Until the database says it, the callers concerned wait; all others are told 503 at once.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from eventuary.engines.engine import AppendCounts
from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.appending import Answer, Proposal, missing_names
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, Connection, describe, is_lost, unavailable
from eventuary.engines.postgres.grouping import Single, Waiting, Work, appends_of
from eventuary.engines.postgres.line import Line
from eventuary.engines.postgres.membership import Membership
from eventuary.engines.postgres.publishing import Publisher
from eventuary.errors import BadRequest, Conflict, EventuaryError, NotFound, ServiceUnavailable
from eventuary.events import Appended
from eventuary.seldom import Seldom

_log = logging.getLogger("eventuary.postgres")

#: Seconds until a statement without an answer has lost its connection.
_TIMEOUT = 30.0

#: Seconds between two attempts to learn what became of a group, and for which ``stop`` lets it try.
_ASK_AGAIN_AFTER = 0.25
_PATIENCE_OF_STOP = 5.0

#: What `append_group` raises when this server's number is gone.
_NOT_REGISTERED = "EV001"

_PARAMETERS = ", ".join(f"${number}" for number in range(1, 25))
_APPEND = f"SELECT before, refused, versions, applied FROM append_group({_PARAMETERS})"  # noqa: S608 - parameters only

_HAS_EVENT = """
SELECT EXISTS (
    SELECT FROM events WHERE entity_id = $1 AND entity_type_no = $2 AND event_id = $3
)
"""

_Outcomes = list[list[Appended | EventuaryError]]


class Writer:
    """Owns the appending connection and what waits for it."""

    def __init__(
        self,
        address: Address,
        continuity: Continuity,
        catalogue: Catalogue,
        membership: Membership,
        publisher: Publisher,
        counts: AppendCounts,
        on_write: Callable[[int], None],
    ) -> None:
        self._line = Line(address, continuity)
        self._catalogue = catalogue
        self._membership = membership
        self._publisher = publisher
        self._counts = counts
        self._on_write = on_write
        self._waiting = Waiting()
        self._work_came = asyncio.Event()
        self._stopping = asyncio.Event()
        self._complaints = Seldom()
        self._complained = False  # and nothing has been written since
        self._verified: Connection | None = None
        self._asking = False  # what has become of a group whose answer was lost
        self._task = asyncio.create_task(self._run())

    def put(self, work: Work) -> None:
        """Let work wait for the next group; its future is done when it is on disk, or refused."""
        counts = self._counts
        for append in appends_of(work):
            counts.waiting += 1
            counts.waiting_characters += append.characters
        if self._asking:
            self._refuse([work], ServiceUnavailable("storage: is not reached; nothing was written"))
            return
        self._waiting.put(work)
        self._work_came.set()

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._stopping.set()
        self._work_came.set()
        await asyncio.wait([self._task])
        await self._line.close()

    async def _run(self) -> None:
        while True:
            await self._work_came.wait()
            self._work_came.clear()
            while self._waiting:
                group = self._waiting.take_group()
                try:
                    await self._write(group)
                except Exception as error:  # noqa: BLE001 - the task must live, its callers be told
                    _log.exception("a group failed unexpectedly; it may have been written")
                    failure = ServiceUnavailable(
                        "an unexpected error; the log has it; it is not known whether this was "
                        "written"
                    )
                    failure.__cause__ = error
                    self._line.drop()
                    self._refuse(group, failure)
            if self._stopping.is_set():
                return

    async def _write(self, group: list[Work]) -> None:
        try:
            connection = await self._line.connection()
        except ServiceUnavailable as error:
            # Nothing of what waits can be written either.
            self._refuse([*group, *self._waiting.take_all()], error)
            return
        try:
            async with asyncio.timeout(_TIMEOUT):
                refusals = await self._prepare(connection, group)
        except (*LOST, asyncpg.PostgresError) as error:
            self._fail(group, connection, error)
            return
        while True:
            proposal = Proposal(group, refusals, self._catalogue, self._membership.ids)
            if not proposal:
                self._answer(group, proposal.refuse(Conflict("nothing was proposed")))
                return
            try:
                async with asyncio.timeout(_TIMEOUT):
                    answer = await self._propose(connection, proposal)
            except (*LOST, asyncpg.PostgresError) as error:
                if is_lost(error, connection):
                    self._line.drop()
                    self._complain(describe(error))
                    await self._ask(group, proposal)
                    return
                if getattr(error, "sqlstate", None) != _NOT_REGISTERED:
                    self._fail(group, connection, error)
                    return
            else:
                break
            _log.warning("this server was away for longer than its lease: it takes another number")
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self._membership.join(connection)
            except (*LOST, asyncpg.PostgresError) as error:
                self._fail(group, connection, error)
                return
        self._conclude(group, proposal, answer)

    async def _prepare(
        self, connection: Connection, group: list[Work]
    ) -> dict[int, EventuaryError]:
        """Register names that are new, and let ids follow those of the entities.

        Returns what is refused unseen, by its place among the appends of the group.
        """
        catalogue = self._catalogue
        if connection is not self._verified:  # it may lead to another database than the last one
            await catalogue.verify(connection)
            await self._membership.follow(connection)
            self._verified = connection
        appends = [append for work in group for append in appends_of(work)]
        refusals: dict[int, EventuaryError] = {}
        looked = False
        missing = []
        for index, append in enumerate(appends):
            version = append.expected_version
            if version is not None:
                space = catalogue.spaces.get(append.space)
                if (space is None or append.entity_type not in space.entity_types) and not looked:
                    looked = True
                    await catalogue.load_entity_types(connection)
                    space = catalogue.spaces.get(append.space)
                if space is None or append.entity_type not in space.entity_types:
                    refusals[index] = NotFound(
                        f"{append.entity_type} {append.entity_id!r} does not exist in space "
                        f"{append.space!r}"
                    )
                    continue
                ids = self._membership.ids
                if version > ids.last and (
                    not ids.is_far_ahead(version)
                    or await connection.fetchval(
                        _HAS_EVENT,
                        append.entity_id,
                        space.entity_types[append.entity_type],
                        version,
                    )
                ):
                    ids.follow(version)
            names = missing_names(append, catalogue)
            if names:
                missing.append((index, names))
        if missing:
            await self._register(connection, missing, refusals)
        return refusals

    async def _register(
        self,
        connection: Connection,
        missing: list[tuple[int, list[Any]]],
        refusals: dict[int, EventuaryError],
    ) -> None:
        try:
            await self._catalogue.register(
                connection, [name for _, names in missing for name in names]
            )
        except BadRequest:
            for index, names in missing:  # which of them is one too many?
                try:
                    await self._catalogue.register(connection, names)
                except BadRequest as error:
                    refusals[index] = error

    async def _propose(self, connection: Connection, proposal: Proposal) -> Answer:
        row = await connection.fetchrow(
            _APPEND, *proposal.arguments(self._membership.ids.server_no)
        )
        return Answer(*row)

    def _conclude(self, group: list[Work], proposal: Proposal, answer: Answer) -> None:
        """Tell the news, and then those who wait for it."""
        events, outcomes = proposal.conclude(answer)
        if self._complained:
            self._complained = False
            _log.info("appends are taken again")
        if not events:
            self._answer(group, outcomes)
            return
        self._counts.groups += 1
        self._counts.appended_events += len(events)
        self._on_write(events[-1].position)
        self._publisher.committed(answer.before, events, lambda: self._answer(group, outcomes))

    async def _ask(self, group: list[Work], proposal: Proposal) -> None:
        """Learn what has become of a group whose answer was lost, however long that takes."""
        self._asking = True
        lost = ServiceUnavailable("storage: the connection was lost; nothing was written")
        self._refuse(self._waiting.take_all(), lost)
        try:
            positions = await self._ask_until_stopped(proposal)
            if positions is None:
                raise ServiceUnavailable(
                    "storage: the connection was lost, and the server is shutting down"
                )
            there = [position is not None for position in positions]
            newest = max((position for position in positions if position is not None), default=0)
            await self._publisher.reach(newest)
        except ServiceUnavailable as error:
            unknown = ServiceUnavailable(f"{error}; it is not known whether this was written")
            self._answer(group, proposal.refuse(unknown))
            return
        finally:
            self._asking = False
        self._answer(
            group,
            proposal.found(
                there, ServiceUnavailable("storage: the connection was lost; nothing was written")
            ),
        )

    async def _ask_until_stopped(self, proposal: Proposal) -> list[int | None] | None:
        asking = asyncio.create_task(self._ask_until_told(proposal))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([asking, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            await asyncio.wait([asking], timeout=_PATIENCE_OF_STOP)
        stopping.cancel()
        if asking.done():
            return asking.result()
        asking.cancel()
        await asyncio.wait([asking])
        return None

    async def _ask_until_told(self, proposal: Proposal) -> list[int | None]:
        while True:
            connection = await self._line.wait_for_connection()
            try:
                async with asyncio.timeout(_TIMEOUT):
                    return await self._membership.join(connection, proposal.first_events())
            except (*LOST, asyncpg.PostgresError) as error:
                self._complain(describe(error))
                self._line.drop()
                await asyncio.sleep(_ASK_AGAIN_AFTER)

    def _fail(self, group: list[Work], connection: Connection, error: Exception) -> None:
        """Refuse a group of which nothing was written."""
        if is_lost(error, connection):
            self._line.drop()
        self._refuse(group, unavailable(error))

    def _refuse(self, group: list[Work], error: ServiceUnavailable) -> None:
        self._complain(str(error))
        self._answer(group, [[error] * len(appends_of(work)) for work in group], whole=error)

    def _complain(self, why: str) -> None:
        """Log a failure of the storage: the first, and then one in ten seconds."""
        if self._complaints.due() is not None:
            self._complained = True
            _log.warning("appends are answered 503: %s", why)

    def _answer(
        self, group: list[Work], outcomes: _Outcomes, whole: EventuaryError | None = None
    ) -> None:
        counts = self._counts
        for work, outcomes_of_work in zip(group, outcomes, strict=True):
            for append, outcome in zip(appends_of(work), outcomes_of_work, strict=True):
                counts.waiting -= 1
                counts.waiting_characters -= append.characters
                if isinstance(outcome, Appended):
                    counts.appends += 1
                elif isinstance(outcome, Conflict):
                    counts.conflicts += 1
                elif isinstance(outcome, ServiceUnavailable):
                    counts.failures += 1
            future: asyncio.Future[Any] = work.future
            if future.done():
                continue  # its caller went away; the append stands
            if isinstance(work, Single):
                only = outcomes_of_work[0]
                if isinstance(only, EventuaryError):
                    future.set_exception(only)
                else:
                    future.set_result(only)
            elif whole is not None:
                future.set_exception(whole)
            else:
                future.set_result(outcomes_of_work)
