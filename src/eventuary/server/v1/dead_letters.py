"""Dead letters for operators: see what a subscriber could not handle, deliver it again, drop it."""

import re

import msgspec
from starlette.responses import Response

from eventuary.delivery.status import SubscriptionStatus
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import DeadLetterRecord
from eventuary.errors import BadRequest, Conflict, NotFound
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.log_query import MOST_POSITION
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.server.v1.subscriptions import STATUS, SUBSCRIPTION

_DEAD_LETTERS = SUBSCRIPTION + "/dead-letters"
_NUMBER = re.compile(r"[0-9]{1,19}")


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """An event that a subscriber could not handle. `parkedAt`: milliseconds since the epoch."""

    position: int
    swimlane: int
    event_id: str
    entity_type: str
    entity_id: str
    event_type: str
    attempts: int
    reason: str
    parked_at: int


class DeadLetterList(msgspec.Struct, frozen=True, rename="camel"):
    """A subscription's dead letters, lowest position first."""

    dead_letters: list[DeadLetter]


class DeadLetterRoutes:
    """What is under ``/v1/spaces/{space}/subscriptions/{subscriberId}/dead-letters``."""

    def __init__(self, store: EmbeddedEventStore) -> None:
        self._subscriptions = store.subscriptions

    async def list_all(self, call: Call) -> Response:
        """Answer all of a subscription."""
        records = await self._subscriptions.dead_letters(call.space, call.segment("subscriberId"))
        return json_answer(DeadLetterList([_shown(record) for record in records]))

    async def replay(self, call: Call) -> Response:
        """Deliver one again."""
        await self._subscriptions.replay(call.space, call.segment("subscriberId"), _position(call))
        return await self._status(call)

    async def discard(self, call: Call) -> Response:
        """Drop one."""
        await self._subscriptions.discard(call.space, call.segment("subscriberId"), _position(call))
        return await self._status(call)

    async def _status(self, call: Call) -> Response:
        status = await self._subscriptions.inspect(call.space, call.segment("subscriberId"))
        return json_answer(status)

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        tag = "Dead letters"
        return [
            Operation(
                method="GET",
                path=_DEAD_LETTERS,
                name="listDeadLetters",
                tag=tag,
                summary="List a subscription's dead letters",
                description="With why each could not be handled, as its subscriber said.",
                access=Access.READ,
                handle=self.list_all,
                answer=DeadLetterList,
                errors=(NotFound,),
                sample=Sample(answer={"deadLetters": [_DEAD_LETTER]}),
            ),
            Operation(
                method="POST",
                path=_DEAD_LETTERS + "/{position}/replay",
                name="replayDeadLetter",
                tag=tag,
                summary="Deliver a dead letter again",
                description=(
                    "To a consumer that is connected: 409 if there is none. It stays in the list "
                    "until it is acknowledged; if it fails again, it shows the new reason."
                ),
                access=Access.WRITE,
                handle=self.replay,
                answer=SubscriptionStatus,
                errors=(NotFound, Conflict),
                sample=Sample(answer=STATUS),
            ),
            Operation(
                method="DELETE",
                path=_DEAD_LETTERS + "/{position}",
                name="discardDeadLetter",
                tag=tag,
                summary="Drop a dead letter",
                description=(
                    "Its event stays in the log, and is not delivered to this subscriber; a "
                    "swimlane that waited goes on. 409 if events before it must be handled first."
                ),
                access=Access.WRITE,
                handle=self.discard,
                answer=SubscriptionStatus,
                errors=(NotFound, Conflict),
                sample=Sample(answer=STATUS),
            ),
        ]


def _shown(record: DeadLetterRecord) -> DeadLetter:
    return DeadLetter(
        record.position,
        record.swimlane,
        record.event_id,
        record.entity_type,
        record.entity_id,
        record.event_type,
        record.attempts,
        record.reason,
        record.parked_at,
    )


def _position(call: Call) -> int:
    text = call.segment("position")
    if _NUMBER.fullmatch(text) is None or int(text) > MOST_POSITION:
        raise BadRequest(f"position: {text[:80]!r} is not a number within 0..{MOST_POSITION}")
    return int(text)


_DEAD_LETTER = {
    "position": 1238,
    "swimlane": 0,
    "eventId": "00000192f0a1b2c3-5f3c9a7e12d40001",
    "entityType": "orders.Order",
    "entityId": "00000192f0a1b2c3-5f3c9a7e12d40000",
    "eventType": "OrderCreated",
    "attempts": 10,
    "reason": "KeyError: 'total'",
    "parkedAt": 1731000000000,
}
