"""A reading thread with a connection of its own: takes what waits, answers it together."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from eventuary.engines.sqlite.database import unavailable
from eventuary.errors import EventuaryError, ServiceUnavailable

_log = logging.getLogger("eventuary.sqlite")

_Result = TypeVar("_Result")
_Read = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]

#: Reads answered together at most: the first must not wait long for the last.
_MOST_READS = 64


class Reader:
    """Runs functions of a connection, in order, off the event loop."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Read | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def read(self, run: Callable[[sqlite3.Connection], _Result]) -> asyncio.Future[_Result]:
        """Run ``run`` with the connection; the future has what it returns or raises."""
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._queue.put((run, future))
        return future

    async def stop(self) -> None:
        """Answer what is queued, and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        read = self._queue.get()
        while read is not None:
            outcomes: list[tuple[asyncio.Future[Any], object]] = []
            while read is not None:
                run, future = read
                outcomes.append((future, self._outcome(run)))
                if len(outcomes) >= _MOST_READS:
                    break
                try:
                    read = self._queue.get_nowait()
                except Empty:
                    break
            self._loop.call_soon_threadsafe(_answer, outcomes)
            if read is not None:
                read = self._queue.get()

    def _outcome(self, run: Callable[[sqlite3.Connection], object]) -> object:
        try:
            return run(self._connection)
        except EventuaryError as error:
            return error
        except sqlite3.Error as error:
            return unavailable(error)
        except Exception as error:  # noqa: BLE001 - a thread must live, and its caller be told
            _log.exception("a read failed unexpectedly")
            failure = ServiceUnavailable("an unexpected error; the log has it")
            failure.__cause__ = error
            return failure


def _answer(outcomes: list[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in outcomes:
        if future.done():
            continue  # its caller went away
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
