"""Entities as the log has them: their last events, their histories, and what is known of both.

What is known may be old: an append that relies on it is checked by JetStream. What is read is not:
it is known which message of an entity is the last at the moment (``newest``), and a replica's
answer that does not reach it is asked for again.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from eventuary.engines.jetstream.api import (
    Message,
    NotYet,
    Refused,
    Stretch,
    begin_direct,
    direct_get,
    persevere,
)
from eventuary.engines.jetstream.histories import Histories, Placed
from eventuary.engines.jetstream.messages import StoredEvent, decode
from eventuary.engines.jetstream.newest import Newest
from eventuary.engines.jetstream.places import Places
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ServiceUnavailable

#: Entities whose last event is remembered.
_MOST_KNOWN = 50_000

#: Tokens of an entity that are remembered; of one with more they are read when they are needed.
_MOST_TOKENS = 1_000

#: Messages asked for at once.
_PAGE = 1_000


class Known(msgspec.Struct, gc=False):
    """An entity's last event. ``sequence`` 0: it does not exist."""

    sequence: int
    version: str
    doubtful: bool = False
    #: All tokens that its events carry; None: not known.
    tokens: frozenset[str] | None = None


NOTHING = Known(0, "", tokens=frozenset())


class History(msgspec.Struct, frozen=True):
    """An entity's events after a sequence, and the last of all."""

    events: list[Placed]
    last: Known


class Entities:
    """Reads entities by the subjects of their events. ``newest``: of each partition."""

    def __init__(self, wire: Wire, places: Places, newest: Sequence[Newest]) -> None:
        self._wire = wire
        self._places = places
        self._newest = newest
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._histories = Histories()

    def known(self, subject: str) -> Known | None:
        """Return what is remembered of an entity; it may be old."""
        found = self._known.get(subject)
        if found is not None:
            self._known.move_to_end(subject)
        return found

    def note(self, subject: str, known: Known) -> None:
        """Remember an entity's last event."""
        before = self._known.get(subject)
        if before is not None and before.sequence > known.sequence:
            return
        if known.tokens is None and before is not None and before.sequence == known.sequence:
            known.tokens = before.tokens
        if known.tokens is not None and len(known.tokens) > _MOST_TOKENS:
            known.tokens = None
        self._known[subject] = known
        self._known.move_to_end(subject)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def saw(self, message: Message, stored: StoredEvent) -> None:
        """Another server has appended this: what is remembered of its entity is old."""
        before = self._known.get(message.subject)
        if before is None or before.sequence >= message.sequence:
            return
        # Nobody knows what lies between: the log is not read without a gap here.
        self.note(message.subject, Known(message.sequence, stored.event_id, stored.doubtful))

    async def last(self, subject: str) -> Known:
        """Return an entity's last event as of now."""
        newest = self._newest[self._places.partition_of(subject).number]

        async def attempt() -> Message | None:
            return await newest.answer(await newest.begin(subject))

        try:
            found = await persevere(self._wire, attempt)
        except Refused as error:
            raise ServiceUnavailable(f"storage: {error}") from error
        if found is None:
            return NOTHING
        known = _known_of(found)
        self.note(subject, known)
        return known

    async def _up_to(
        self, sequence: int, read: Stretch, stream: str, subject: str
    ) -> list[Message]:
        """Return an entity's messages that were read, and those that follow, up to a sequence.

        Raises Lost and Refused; NotYet: a replica has not got so far.
        """
        messages = read.messages
        while read.pending and messages:
            read = await direct_get(self._wire, stream, _page(subject, messages[-1].sequence + 1))
            messages += read.messages
        if not messages or messages[-1].sequence < sequence:
            raise NotYet("a replica is behind")
        # A replica may be ahead of the leader: what others can't read yet is not read here.
        return [each for each in messages if each.sequence <= sequence]

    async def history(self, subject: str, after: int = 0) -> History:
        """Read an entity's events after a sequence, up to the last as of now."""
        partition = self._places.partition_of(subject)
        stream, of_stream = partition.stream, self._newest[partition.number]

        async def attempt() -> History:
            kept = self._histories.behind(subject, after)
            start = kept[-1][0] if kept else after
            asking = await of_stream.begin(subject)
            reading = None
            if not kept:
                # Asked at once, on one connection: two questions cost one way there and back.
                reading = await begin_direct(self._wire, stream, _page(subject, start + 1))
            newest = await of_stream.answer(asking)
            if kept and not _goes_on(kept, newest):
                self._histories.forget(subject)
                raise NotYet("events that were read before are not there")
            if newest is None:
                return History([], NOTHING)
            rest = []
            if newest.sequence > start:
                if reading is None:
                    reading = await begin_direct(self._wire, stream, _page(subject, start + 1))
                rest = await self._up_to(newest.sequence, await reading, stream, subject)
            events = [*kept, *((each.sequence, decode(each.data)) for each in rest)]
            self._histories.keep(subject, after, events)
            return History(events, _known(*events[-1]) if events else _known_of(newest))

        try:
            history = await persevere(self._wire, attempt)
        except Refused as error:
            raise ServiceUnavailable(f"storage: {error}") from error
        if after == 0:
            history.last.tokens = frozenset(
                token
                for _, stored in history.events
                if (token := stored.triggering_event_token) is not None
            )
        if history.last.sequence:
            self.note(subject, history.last)
        return history


def _known(sequence: int, stored: StoredEvent) -> Known:
    return Known(sequence, stored.event_id, stored.doubtful)


def _known_of(message: Message) -> Known:
    return _known(message.sequence, decode(message.data))


def _goes_on(kept: Sequence[Placed], newest: Message | None) -> bool:
    """Whether an entity's newest message is the last that is kept, or may follow it."""
    sequence, stored = kept[-1]
    if newest is None or newest.sequence < sequence:
        return False
    return newest.sequence > sequence or decode(newest.data).event_id == stored.event_id


def _page(subject: str, start: int) -> dict[str, object]:
    return {"next_by_subj": subject, "seq": start, "batch": _PAGE}
