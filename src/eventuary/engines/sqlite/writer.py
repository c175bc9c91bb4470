"""The one writer: takes all that waits, writes it in one transaction, answers after the fsync.

A thread of its own, so that the event loop never waits for the disk. Work arrives by a queue and
outcomes go back in one call per group, however many appends the group holds.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from eventuary.engines.engine import AppendCounts, Committed
from eventuary.engines.sqlite.appending import Appending
from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.engines.sqlite.database import unavailable
from eventuary.errors import Conflict, EventuaryError, ServiceUnavailable
from eventuary.events import Append, Appended
from eventuary.ids import IdGenerator
from eventuary.seldom import Seldom

_log = logging.getLogger("eventuary.sqlite")

#: A group takes no more appends once it has this many; what waits forms the next group.
_MOST_APPENDS = 1024

#: Nor once its events' data reach so many characters.
_MOST_CHARACTERS = 8 * 1024 * 1024


class Single(msgspec.Struct, gc=False):
    """An append that waits for the writer."""

    append: Append
    future: asyncio.Future[Appended]


class Several(msgspec.Struct, gc=False):
    """Several appends of one call."""

    appends: Sequence[Append]
    atomic: bool
    future: asyncio.Future[list[Appended | EventuaryError]]


class Statement(msgspec.Struct, gc=False):
    """Any other write; it runs in the group's transaction and returns nothing."""

    run: Callable[[sqlite3.Connection], None]
    future: asyncio.Future[None]


Work = Single | Several | Statement
_Outcome = tuple[Work, object]


class Writer:
    """Owns the writing connection, the ids and the head of the log."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        catalogue: Catalogue,
        ids: IdGenerator,
        head: int,
        counts: AppendCounts,
        on_commit: Callable[[Committed], None],
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._ids = ids
        self._written_head = head
        self._complaints = Seldom()
        self._complained = False  # and nothing has been written since
        self._counts = counts
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="eventuary-writer", daemon=True)
        #: The position of the last event that readers can see.
        self.head = head
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue work; its future is done when it is on disk, or refused."""
        counts = self._counts
        if isinstance(work, Single):
            counts.waiting += 1
            counts.waiting_characters += work.append.characters
        elif isinstance(work, Several):
            counts.waiting += len(work.appends)
            counts.waiting_characters += _characters(work.appends)
        self._queue.put(work)

    async def stop(self) -> None:
        """Finish what is queued, and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        running = True
        while running:
            group, running = self._next_group()
            outcomes, committed = self._write(group)
            self._loop.call_soon_threadsafe(self._answer, outcomes, committed)

    def _next_group(self) -> tuple[list[Work], bool]:
        """Wait for work, and take all that waits with it; False with the last group of all."""
        group: list[Work] = []
        appends = characters = 0
        work = self._queue.get()
        while work is not None:
            group.append(work)
            if isinstance(work, Single):
                appends += 1
                characters += work.append.characters
            elif isinstance(work, Several):
                appends += len(work.appends)
                characters += _characters(work.appends)
            else:
                appends += 1
            if appends >= _MOST_APPENDS or characters >= _MOST_CHARACTERS:
                return group, True
            try:
                work = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _write(self, group: list[Work]) -> tuple[list[_Outcome], Committed | None]:
        """Write a group in one transaction; return what each is to be told, and what is new."""
        try:
            try:
                outcomes, appending = self._write_in_transaction(group)
            except BaseException:
                self._roll_back()
                raise
        except sqlite3.Error as error:
            self._complain(error)
            failure: Exception = unavailable(error)
            return [(work, failure) for work in group], None
        except Exception as error:  # noqa: BLE001 - a thread must live, and its callers be told
            _log.exception("a group of appends failed unexpectedly; nothing of it was written")
            failure = ServiceUnavailable("an unexpected error; the log has it; nothing was written")
            failure.__cause__ = error
            return [(work, failure) for work in group], None
        self._catalogue.committed()
        if self._complained and (appending.events or any(each is None for _, each in outcomes)):
            self._complained = False
            _log.info("appends are taken again")
        self._written_head = appending.head
        if not appending.events:
            return outcomes, None
        return outcomes, Committed(appending.head, appending.events)

    def _complain(self, error: sqlite3.Error) -> None:
        """Log a failure of the storage: the first, and then one in ten seconds."""
        if self._complaints.due() is not None:
            self._complained = True
            _log.warning("appends are answered 503: %s", error)

    def _write_in_transaction(self, group: list[Work]) -> tuple[list[_Outcome], Appending]:
        appending = Appending(self._connection, self._catalogue, self._ids, self._written_head)
        appends: list[Append] = []
        for work in group:
            if isinstance(work, Single):
                appends.append(work.append)
            elif isinstance(work, Several):
                appends += work.appends
        appending.look_up(appends)
        outcomes: list[_Outcome] = []
        for work in group:
            try:
                if isinstance(work, Single):
                    outcomes.append((work, appending.append(work.append)))
                elif isinstance(work, Several):
                    outcomes.append((work, _several(appending, work)))
                else:
                    work.run(appending.begin())
                    outcomes.append((work, None))
            except EventuaryError as refusal:
                outcomes.append((work, refusal))
        appending.write()
        return outcomes, appending

    def _roll_back(self) -> None:
        self._catalogue.rolled_back()
        if self._connection.in_transaction:  # SQLite undoes it by itself after some failures
            self._connection.execute("ROLLBACK")

    def _answer(self, outcomes: list[_Outcome], committed: Committed | None) -> None:
        """Runs on the loop: first the news, then the answers."""
        counts = self._counts
        if committed is not None:
            self.head = committed.head
            counts.groups += 1
            counts.appended_events += len(committed.events or ())
            self._on_commit(committed)
        for work, outcome in outcomes:
            if isinstance(work, Single):
                counts.waiting -= 1
                counts.waiting_characters -= work.append.characters
                _count(counts, outcome)
            elif isinstance(work, Several):
                counts.waiting -= len(work.appends)
                counts.waiting_characters -= _characters(work.appends)
                each_outcome = (
                    outcome if isinstance(outcome, list) else [outcome] * len(work.appends)
                )
                for each in each_outcome:
                    _count(counts, each)
            future: asyncio.Future[Any] = work.future
            if future.done():
                continue  # its caller went away; the append stands
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _count(counts: AppendCounts, outcome: object) -> None:
    if isinstance(outcome, Appended):
        counts.appends += 1
    elif isinstance(outcome, Conflict):
        counts.conflicts += 1
    elif isinstance(outcome, ServiceUnavailable):
        counts.failures += 1


def _characters(appends: Sequence[Append]) -> int:
    return sum(append.characters for append in appends)


def _several(appending: Appending, work: Several) -> list[Appended | EventuaryError]:
    if work.atomic:
        return appending.append_atomically(work.appends)
    outcomes: list[Appended | EventuaryError] = []
    for append in work.appends:
        try:
            outcomes.append(appending.append(append))
        except EventuaryError as refusal:
            outcomes.append(refusal)
    return outcomes
