"""The newest message of a subject, and of the log, as of some moment between question and answer.

The stream's leader has it; but whoever answers as the leader may have been deposed and not know it.
In a tenure (``leadership``) the answer is taken as it comes. While there is none, whoever answers
is confirmed first: the leader says how far the log reaches, the nodes confirm that it leads, and a
replica that has got so far has the subject's newest.
"""

import msgspec
from nats.aio.msg import Msg

from eventuary.engines.jetstream.api import Asked, Message, NotYet, begin_last, direct_get
from eventuary.engines.jetstream.leadership import Belief, Leadership, Tenure
from eventuary.engines.jetstream.streams import StreamInfo, info
from eventuary.engines.jetstream.wire import Wire


class Question(msgspec.Struct, frozen=True, gc=False):
    """Which is the newest message of a subject. ``asked`` None: whoever leads is not asked yet."""

    subject: str
    tenure: Tenure | None
    asked: Asked[Msg, Message | None] | None


class Newest:
    """Of one stream."""

    def __init__(self, wire: Wire, stream: str, leadership: Leadership | Belief) -> None:
        self._wire = wire
        self._stream = stream
        self._leadership = leadership

    async def begin(self, subject: str) -> Question:
        """Ask for a subject's newest message. Raises Lost."""
        tenure = self._leadership.tenure
        if tenure is None:
            return Question(subject, None, None)
        return Question(subject, tenure, await begin_last(self._wire, self._stream, subject))

    async def answer(self, question: Question) -> Message | None:
        """Return a subject's newest message; None: it has none. Raises Lost, NotYet and Refused."""
        if question.asked is not None and question.tenure is not None:
            found = await question.asked
            if question.tenure.lasts:
                return found
        return await self._confirmed(question.subject)

    async def sequence(self) -> int:
        """Return the sequence of the newest message of all. Raises Lost, NotYet and Refused."""
        tenure = self._leadership.tenure
        found = await self._info("")
        if tenure is None or not tenure.lasts:
            await self._leadership.confirm(found.cluster.leader, found.cluster.leader_since)
        return found.state.last_seq

    async def _confirmed(self, subject: str) -> Message | None:
        found = await self._info(subject)
        await self._leadership.confirm(found.cluster.leader, found.cluster.leader_since)
        if not found.state.subjects:
            return None
        head = found.state.last_seq
        stretch = await direct_get(self._wire, self._stream, {"multi_last": [subject]})
        if not stretch.messages or stretch.through < head:
            raise NotYet("a replica is behind")
        [newest] = stretch.messages
        if newest.sequence > head:
            raise NotYet("a replica is ahead")  # of the leader, whom others read
        return newest

    async def _info(self, subject: str) -> StreamInfo:
        found = await info(self._wire, self._stream, subject)
        if found is None:
            raise NotYet(f"there is no stream {self._stream!r}")
        return found
