"""Some connections that take jobs in turn: for everything but appends, which have a writer.

Jobs read, or write what may be written twice: one whose connection was lost is done once more on
another, so that a connection's end is no caller's trouble while the database is there. So is one
that was chosen to end a deadlock.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import msgspec

from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, Connection, is_lost, unavailable
from eventuary.engines.postgres.line import Line
from eventuary.errors import EventuaryError, ServiceUnavailable

_log = logging.getLogger("eventuary.postgres")

#: Seconds until a job without an answer has lost its connection.
_JOB_TIMEOUT = 30.0

_MAY_BE, _IS_NOT = "what was to be written may have been", "nothing was written"

_Result = TypeVar("_Result")


class _Job(msgspec.Struct, gc=False):
    run: Callable[[Connection], Awaitable[Any]]
    future: asyncio.Future[Any]


class Lane:
    """``width`` connections. Started by the first job; jobs of a lane of one keep their order."""

    def __init__(self, address: Address, continuity: Continuity, width: int) -> None:
        self._lines = [Line(address, continuity) for _ in range(width)]
        self._idle = list(self._lines)
        self._jobs: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, job: Callable[[Connection], Awaitable[_Result]]) -> asyncio.Future[_Result]:
        """Run ``job`` with a connection; the future has what it returns or raises."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(job, future))
        if self._idle:
            task = asyncio.create_task(self._work(self._idle.pop()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def stop(self) -> None:
        """Finish what is queued, and close the connections."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for line in self._lines:
            await line.close()

    async def _work(self, line: Line) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            outcome = await self._outcome(line, job)
            if job.future.done():
                continue  # its caller went away
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        self._idle.append(line)

    async def _outcome(self, line: Line, job: _Job) -> object:
        for last in (False, True):
            try:
                connection = await line.connection()
            except ServiceUnavailable as error:
                return error
            try:
                async with asyncio.timeout(_JOB_TIMEOUT):
                    return await job.run(connection)
            except EventuaryError as error:
                return error
            except (*LOST, asyncpg.PostgresError) as error:
                lost = is_lost(error, connection)
                if lost:
                    line.drop()
                again = lost or isinstance(error, asyncpg.DeadlockDetectedError)
                if last or not again or isinstance(error, TimeoutError):
                    return unavailable(error, _MAY_BE if lost else _IS_NOT)
            except Exception as error:  # noqa: BLE001 - the lane must live, its caller be told
                _log.exception("a statement failed unexpectedly")
                failure = ServiceUnavailable("an unexpected error; the log has it")
                failure.__cause__ = error
                return failure
        raise AssertionError("unreachable: the last round returns")
