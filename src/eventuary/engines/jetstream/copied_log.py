"""Events that have their positions already, written to the end of a log at just those.

A position is the sequence that the stream gives, one after the other. So a batch is published under
the check that the stream's last message is the one before it (``Nats-Expected-Last-Sequence``):
then its sequences are what its events' positions say, or nothing of it is stored. When an answer
got lost, the batch is published again under the same check: it is not stored twice, and whoever
else writes to the log is found out.
"""

import asyncio
from collections.abc import Sequence

from eventuary.engines.jetstream.api import (
    EXPECTED_LAST,
    WRONG_LAST_SEQUENCE,
    ApiError,
    Message,
    NotYet,
    PublishAnswer,
    Refused,
    direct_get,
    persevere,
    publish,
)
from eventuary.engines.jetstream.batches import MOST_MESSAGES, is_to_be_sent_again, publish_batch
from eventuary.engines.jetstream.streams import last_sequence
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.errors import ServiceUnavailable

#: Seconds for which a batch is tried: a new leader is elected in less.
_PATIENCE = 20.0

#: Seconds until a batch is tried again, at first and at most.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25

#: A message to be: its subject and its payload.
NewMessage = tuple[str, bytes]


class CopiedLog:
    """The end of a log."""

    def __init__(self, wire: Wire, stream: str) -> None:
        self._wire = wire
        self._stream = stream

    async def head(self) -> int:
        """Return the sequence of the last message, as the stream's leader has it."""
        return await persevere(self._wire, lambda: last_sequence(self._wire, self._stream))

    async def write(self, messages: Sequence[NewMessage], after: int) -> None:
        """Write messages behind the one at ``after``: each batch of them whole or not at all.

        Raises ServiceUnavailable, PayloadTooLarge, and Refused.
        """
        for start in range(0, len(messages), MOST_MESSAGES):
            await self._write(messages[start : start + MOST_MESSAGES], after + start)

    async def _write(self, messages: Sequence[NewMessage], after: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        pause = _FIRST_PAUSE
        lost = False
        while True:
            try:
                await self._wire.is_there(max(0.0, deadline - loop.time()))
                answer = await self._send(messages, after)
            except Lost as error:
                lost = True
                answer = PublishAnswer(error=ApiError(503, 0, str(error)))
            if answer.error is None:
                if answer.seq != after + len(messages):
                    raise _others(after)
                return
            refusal = answer.error
            if refusal.err_code == WRONG_LAST_SEQUENCE:
                # The head is still before them when they are on their way, or their leader went.
                if await self.head() != after:
                    if lost and await self._are_there(messages, after):
                        return
                    raise _others(after)
            elif not is_to_be_sent_again(refusal):
                raise Refused(refusal)
            if loop.time() + pause > deadline:
                raise ServiceUnavailable(f"storage: {refusal.description}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _send(self, messages: Sequence[NewMessage], after: int) -> PublishAnswer:
        check = {EXPECTED_LAST: str(after)}
        (subject, payload), *others = messages
        if not others:
            return await publish(self._wire, subject, payload, check)
        return await publish_batch(
            self._wire,
            [(subject, payload, check), *((subject, payload, {}) for subject, payload in others)],
        )

    async def _are_there(self, messages: Sequence[NewMessage], after: int) -> bool:
        """Whether these, and nothing else, are where they were to be written."""
        end = after + len(messages)

        async def attempt() -> Message:
            stretch = await direct_get(self._wire, self._stream, {"seq": end, "batch": 1})
            if not stretch.messages:
                raise NotYet("a replica is behind")
            return stretch.messages[0]

        if await self.head() != end:
            return False
        # A batch is stored whole, so its last message tells.
        found = await persevere(self._wire, attempt)
        return (found.sequence, found.subject, found.data) == (end, *messages[-1])


def _others(after: int) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"storage: position {after + 1} is not the next one of this log any more: something else "
        "writes to it"
    )
