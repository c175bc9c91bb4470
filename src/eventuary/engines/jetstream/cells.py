"""State that is replaced: the newest message of each subject of the state stream.

A cell is changed by whoever names the sequence that it was read at, so that of several who want to
change it one does (0: it must not be there). What JetStream's key-value buckets do, and besides it
several cells at once, and a check of one cell with a change of another.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from eventuary.engines.jetstream.api import (
    EXPECTED,
    EXPECTED_SUBJECT,
    SUBJECT_IN_PROCESS,
    WRONG_LAST_SEQUENCE,
    Message,
    NotYet,
    PublishAnswer,
    Refused,
    call,
    direct_get,
    last,
    persevere,
    publish,
)
from eventuary.engines.jetstream.batches import publish_batch
from eventuary.engines.jetstream.streams import last_sequence, subjects_after
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.errors import ServiceUnavailable

#: Messages that are asked for at once, where there may be many.
_PAGE = 500

#: Cells that are looked at by their subjects at once.
_PAGE_LOOKED_AT = 200

#: What ``multi_last`` refuses with when there are more than 1,024.
_TOO_MANY = 413

#: Seconds until a change is tried again that others are making at this moment.
_PAUSE = 0.003


_T = TypeVar("_T")


class Moved(Exception):
    """The cell is not as it was expected: read it again.

    Whoever says so may be a leader that was deposed, and the change be made (writer.py): what is
    read then shows it.
    """


class Change(msgspec.Struct, frozen=True):
    """A cell's new content, if its last change was ``expected``; None: whatever it was."""

    subject: str
    data: bytes
    expected: int | None
    #: The cell that ``expected`` is about; empty: this one.
    expected_of: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The check, for JetStream."""
        if self.expected is None:
            return {}
        headers = {EXPECTED: str(self.expected)}
        if self.expected_of:
            headers[EXPECTED_SUBJECT] = self.expected_of
        return headers


class Cells:
    """The state stream."""

    def __init__(self, wire: Wire, subjects: Subjects) -> None:
        self._wire = wire
        self._stream = subjects.state_stream
        #: It is always there, so that every look has an answer that says how new it is.
        self._origin = subjects.cell("origin")
        self._written = 0

    async def prepare(self) -> None:
        """Make the cell that is always there."""
        if await self.get(self._origin) is None:
            try:
                await self.put(Change(self._origin, b"", 0))
            except Moved:
                return  # another server has

    async def get(self, subject: str) -> Message | None:
        """Return a cell as the stream's leader has it; None: it is not there."""
        return await self._do(lambda: last(self._wire, self._stream, subject))

    async def put(self, change: Change) -> int:
        """Change a cell; returns the sequence of the change. Raises Moved."""

        async def attempt() -> PublishAnswer:
            return await publish(self._wire, change.subject, change.data, change.headers)

        return await self._change(attempt, change)

    async def put_all(self, changes: Sequence[Change]) -> int:
        """Change several cells, or none; returns the sequence of the last. Raises Moved."""

        async def attempt() -> PublishAnswer:
            return await publish_batch(
                self._wire, [(each.subject, each.data, each.headers) for each in changes]
            )

        return await self._change(attempt, changes[-1])

    async def number(self, subject: str) -> int:
        """Return a number that was never returned before and never will be again."""
        return await self.put(Change(subject, b"", None))

    async def look(self, filters: Sequence[str]) -> dict[str, Message]:
        """Return cells by subject, all as of one moment, those of filters with wildcards too.

        They are as new as this server's last change, and its last look. When there are more than a
        thousand they are of different moments.
        """

        async def attempt() -> dict[str, Message]:
            asked = {"multi_last": [self._origin, *filters]}
            stretch = await direct_get(self._wire, self._stream, asked)
            messages = stretch.messages
            while stretch.pending and stretch.through >= self._written:
                # Nodes answer with so many bytes at most.
                start = stretch.messages[-1].sequence + 1
                stretch = await direct_get(self._wire, self._stream, {**asked, "seq": start})
                messages += stretch.messages
            if stretch.through < self._written:
                raise NotYet("a replica is behind")
            self._written = stretch.through  # what was seen once is not unseen
            return {
                each.subject: each
                for each in sorted(messages, key=lambda message: message.sequence)
                if each.subject != self._origin
            }

        try:
            return await persevere(self._wire, attempt)
        except Refused as error:
            if error.code != _TOO_MANY:
                raise ServiceUnavailable(f"storage: {error}") from error
        found: dict[str, Message] = {}
        for each in filters:
            found.update(await self._page_through(each))
        return dict(sorted(found.items(), key=lambda item: item[1].sequence))

    async def catch_up(self) -> int:
        """Look at nothing older than the stream is now; returns its last sequence."""
        newest = await self._do(lambda: last_sequence(self._wire, self._stream))
        self._written = max(self._written, newest)
        return self._written

    async def count(self, subject_filter: str) -> int:
        """Count the cells of a subject with wildcards, as the stream's leader has them."""
        listed = await self._do(
            lambda: subjects_after(self._wire, self._stream, subject_filter, offset=0)
        )
        return listed.total

    async def pages(self, subject_filter: str) -> AsyncIterator[dict[str, Message]]:
        """Read the cells of a subject with wildcards, however many there are, by their subjects.

        They are of different moments; what is changed meanwhile is there once.
        """
        offset, last_subject = 0, ""
        while True:
            listed = await self._do(
                lambda offset=offset: subjects_after(  # type: ignore[misc]
                    self._wire, self._stream, subject_filter, offset=offset
                )
            )
            if not listed.subjects:
                return
            offset += len(listed.subjects)
            # Those that were made meanwhile have pushed others back.
            new = [subject for subject in listed.subjects if subject > last_subject]
            for start in range(0, len(new), _PAGE_LOOKED_AT):
                yield await self.look(new[start : start + _PAGE_LOOKED_AT])
            last_subject = listed.subjects[-1]

    async def forget(self, subject_filter: str) -> None:
        """Delete all cells of a subject, which may have wildcards, as they are now.

        What is made there later stays, though the request be delayed, or asked twice. Looks from
        here see that they are gone.
        """
        body = {"filter": subject_filter, "seq": await self.catch_up() + 1}
        await self._do(lambda: call(self._wire, f"STREAM.PURGE.{self._stream}", body))
        await self.put(Change(self._origin, b"", None))

    async def _page_through(self, subject_filter: str) -> dict[str, Message]:
        found: dict[str, Message] = {}
        start = 1
        while True:
            body = {"next_by_subj": subject_filter, "seq": start, "batch": _PAGE}
            stretch = await self._do(
                lambda body=body: direct_get(self._wire, self._stream, body)  # type: ignore[misc]
            )
            found.update((each.subject, each) for each in stretch.messages)
            if not stretch.messages or not stretch.pending:
                return found
            start = stretch.messages[-1].sequence + 1

    async def _do(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await persevere(self._wire, attempt)
        except Refused as error:
            raise ServiceUnavailable(f"storage: {error}") from error

    async def _change(
        self, attempt: Callable[[], Awaitable[PublishAnswer]], witness: Change
    ) -> int:
        """Try until it is known what has become of it; ``witness`` shows whether it was done."""
        lost = False

        async def once() -> PublishAnswer:
            nonlocal lost
            try:
                answer = await attempt()
            except Lost:
                lost = True
                raise
            if answer.error is not None and answer.error.code in (429, 503):
                raise NotYet(answer.error.description)
            return answer

        while True:
            answer = await persevere(self._wire, once)
            if answer.error is None:
                self._written = max(self._written, answer.seq)
                return answer.seq
            code = answer.error.err_code
            if code == SUBJECT_IN_PROCESS:
                await asyncio.sleep(_PAUSE)
                continue
            if code != WRONG_LAST_SEQUENCE:
                raise ServiceUnavailable(f"storage: {Refused(answer.error)}")
            if lost:
                present = await self.get(witness.subject)
                if present is not None and present.data == witness.data:
                    self._written = max(self._written, present.sequence)
                    return present.sequence
            await self.catch_up()  # else a replica that is behind would show it as it was
            raise Moved(witness.subject)
