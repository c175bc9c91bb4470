"""A durable subscriber of several connections, the journal they share, and the laws it must obey.

Each connection records a delivery before it answers it. It acknowledges most; some it refuses, some
it answers late or, if it does nothing with them, never, and sometimes it cuts its connection in the
middle. What it does with an event (``react``) it does in order.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Rest
from tests.acceptance.stomp_client import (
    Body,
    ConnectionEnded,
    Message,
    StompClient,
    TryAgain,
)
from tests.torture.log_judge import LogJudge
from tests.torture.ordered_client import OrderedClient

#: Does something with an event; False when it could not be done, and the event must come again.
Reaction = Callable[[Body], bool]

#: What an ERROR says that is no fault of the client's.
_AWAY = ("shutting down", "try again")

#: Seconds until a late answer: more than the crew's ack time-out.
_LATE = 3.0


class Journal:
    """What all connections got, in the order in which they got it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        #: The event ids that were acknowledged, each noted before its ACK was sent.
        self.acknowledged: set[str] = set()
        self._lock = threading.Lock()

    def delivered(self, event: Body) -> None:
        """Note a delivery."""
        with self._lock:
            self.deliveries.append(Delivery(event.entity_id, event.id))

    def acknowledging(self, event: Body) -> None:
        """Note an acknowledgement that is about to be sent."""
        with self._lock:
            self.acknowledged.add(event.id)

    def copy(self) -> list[Delivery]:
        """Return the deliveries so far."""
        with self._lock:
            return list(self.deliveries)


class Subscriber:
    """``types``: entity type and event types. ``calm`` ends refusing, forgetting and cutting."""

    def __init__(
        self,
        port: int,
        subscriber_id: str,
        types: tuple[str, Sequence[str]],
        seed: str,
        *,
        connections: int = 2,
        reaction: Callable[[], Reaction] | None = None,
    ) -> None:
        self.subscriber_id = subscriber_id
        self.types: Mapping[str, Sequence[str]] = {types[0]: types[1]}
        self.journal = Journal()
        self.calm = threading.Event()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self._port = port
        self._entity_type, self._event_types = types[0], frozenset(types[1])
        self._looked_at = 0
        self._by_swimlane: dict[int, deque[tuple[int, Delivery]]] = {}
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(random.Random(f"{seed}/{subscriber_id}/{n}"), reaction),
                name=f"{subscriber_id}-{n}",
            )
            for n in range(connections)
        ]

    def start(self) -> None:
        """Connect."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Cut all connections."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"{self.subscriber_id} hangs"

    def check_positions(self, rest: Rest, judge: LogJudge) -> None:
        """No position may be beyond an event that was not acknowledged. Read the log before."""
        answer = rest.http.get(f"/v1/spaces/{rest.space}/subscriptions/{self.subscriber_id}")
        if answer.status_code == 404:
            return  # it has not subscribed yet
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        for each in answer.json()["swimlanes"]:
            self.check_position(each["swimlane"], each["position"], judge)

    def check_position(self, swimlane: int, stored: int, judge: LogJudge) -> None:
        """All selected events of a swimlane up to a position must have been acknowledged."""
        self._look_at(judge)
        waiting = self._by_swimlane.get(swimlane, deque())
        # What is at or below a position stays acknowledged: it need not be looked at again.
        while waiting and waiting[0][0] <= stored:
            position, delivery = waiting.popleft()
            assert delivery.event_id in self.journal.acknowledged, (
                f"{judge.hint}: {self.subscriber_id}: swimlane {swimlane} stands at {stored}, and "
                f"{delivery} at {position} was not acknowledged"
            )

    def missing(self, judge: LogJudge) -> set[Delivery]:
        """Return what has not been delivered yet."""
        return missing(self.journal.copy(), self._stored(judge))

    def check_order(self, judge: LogJudge) -> None:
        """Nothing was delivered before what precedes it in its entity, or is not stored."""
        hint = f"{judge.hint}: {self.subscriber_id}"
        check_order(self.journal.copy(), self._stored(judge), hint=hint)

    def _stored(self, judge: LogJudge) -> dict[str, list[str]]:
        stored: dict[str, list[str]] = {}
        for event in judge.events:
            if event.entity_type == self._entity_type and event.event_type in self._event_types:
                stored.setdefault(event.entity_id, []).append(event.id)
        return stored

    def _look_at(self, judge: LogJudge) -> None:
        for event in judge.events[self._looked_at :]:
            if event.entity_type == self._entity_type and event.event_type in self._event_types:
                self._by_swimlane.setdefault(event.swimlane, deque()).append(
                    (event.position, Delivery(event.entity_id, event.id))
                )
        self._looked_at = len(judge.events)

    def _run(self, chance: random.Random, reaction: Callable[[], Reaction] | None) -> None:
        try:
            react = None if reaction is None else reaction()
            while not self.stopping.is_set():
                try:
                    with OrderedClient(self._port) as client:
                        client.subscribe(self.subscriber_id, self.types)
                        self._consume(client, chance, react)
                except (ConnectionEnded, TryAgain, OSError):  # a TimeoutError is an OSError
                    self.stopping.wait(0.02)  # the server is away
                except AssertionError as error:
                    if not any(each in str(error) for each in _AWAY):
                        raise
                    self.stopping.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - the crew raises it
            self.failure = error

    def _consume(
        self, client: OrderedClient, chance: random.Random, react: Reaction | None
    ) -> None:
        """Go on until the connection is to end, or ends."""
        while not self.stopping.is_set():
            try:
                message = client.next(patience=0.1)
            except TimeoutError:
                continue
            self.journal.delivered(message.event)
            if client.drops(message):
                continue
            lot = 1.0 if self.calm.is_set() else chance.random()
            if lot < 0.002:
                return  # without a word
            if lot < 0.0025:
                self.stopping.wait(_LATE)  # and answer then
            if 0.0025 <= lot < 0.0035 and react is None:
                continue  # no answer at all
            if 0.0035 <= lot < 0.0135 or (react is not None and not react(message.event)):
                client.refuse(message)
            else:
                self.acknowledge(client, message)

    def acknowledge(self, client: StompClient, message: Message) -> None:
        """Note, then send."""
        self.journal.acknowledging(message.event)
        client.ack(message)
