"""Refusals and what was on its way: the law, tried by Hypothesis against delivery's own swimlane.

Whatever is refused and however the two directions of the wire interleave, a receiver that keeps
order handles every event once, in the order of the log.
"""

from collections import deque
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from eventuary.delivery.consumer import AckMode, Delivery
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SwimlaneState
from eventuary.delivery.swimlane import Swimlane
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.remote.messages import Message
from eventuary.remote.outstanding import Outstanding, Refusal

_LANE = 3


def message(offset: int, ack: bytes = b"", event_type: str = "E", lane: int = _LANE) -> Message:
    event = LogEvent(offset, "id", "s", "T", "e", event_type, "", None, lane, None)
    named = -offset if event_type == END_OF_CURRENT_EVENTS else offset
    return Message(Delivery(event, lane, offset, 1), (lane, named), ack or b"a%d" % offset)


class Wire:
    """A swimlane of the server, a receiver that keeps order, and what is on its way between."""

    def __init__(self, events: int, window: int, mode: AckMode) -> None:
        self.events = events
        self.swimlane = Swimlane(_LANE, 0, DeliveryPolicy(window=window, max_attempts=10**6))
        self.outstanding = Outstanding(mode)
        self.to_client: deque[int | Refusal] = deque()
        self.to_server: deque[tuple[int, Refusal | None]] = deque()
        self.waiting: deque[int] = deque()
        self.handled: list[int] = []

    def feed(self) -> bool:
        """Let the server send what it may, as ``Subscription`` reads the log for a swimlane."""
        lane = self.swimlane
        lane.enter(has_consumer=True, paused=False, moving=False)
        if not lane.hungry:
            return False
        sent = len(self.to_client)
        for offset in range(lane.read_from + 1, self.events + 1):
            attempt = lane.accept(offset)
            if attempt is None:
                lane.read_through(max(offset - 1, lane.cursor))
                break
            if attempt:
                self.to_client.append(offset)
        else:
            lane.read_through(self.events)
            lane.reached_head()
        return len(self.to_client) > sent

    def answer(self) -> bool:
        """Let the server read one answer."""
        if not self.to_server:
            return False
        offset, refusal = self.to_server.popleft()
        if refusal is None:
            self.swimlane.acknowledge(offset)
            return True
        if self.swimlane.state is SwimlaneState.LIVE:
            self.swimlane.leave_head(self.events)
        self.swimlane.fail(offset)
        self.to_client.append(refusal)  # its receipt
        return True

    def arrive(self) -> bool:
        """Let the client read one frame."""
        if not self.to_client:
            return False
        item = self.to_client.popleft()
        if isinstance(item, Refusal):
            self.outstanding.took_effect(item)
            return True
        wanted = self.outstanding.wanted(message(item))
        if wanted is not None:
            self.outstanding.hand_over([wanted])
            self.waiting.append(item)
        return True

    def handle(self, *, fails: bool) -> bool:
        """Let the receiver handle one event."""
        if not self.waiting:
            return False
        offset = self.waiting.popleft()
        if fails:
            refused = self.outstanding.refuse(_LANE, offset, "")
            assert refused is not None
            self.to_server.append((offset, refused[0]))
            self.waiting.clear()
        else:
            assert self.outstanding.acknowledge(_LANE, offset)
            self.to_server.append((offset, None))
            self.handled.append(offset)
        return True


@settings(max_examples=400)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([AckMode.INDIVIDUAL, AckMode.CUMULATIVE]),
    st.lists(st.integers(0, 4), max_size=100),
)
def test_every_event_is_handled_once_in_order(
    events: int, window: int, mode: AckMode, choices: list[int]
) -> None:
    wire = Wire(events, window, mode)
    actions = (
        wire.feed,
        wire.answer,
        wire.arrive,
        partial(wire.handle, fails=False),
        partial(wire.handle, fails=True),
    )
    for choice in choices:
        actions[choice]()
        assert wire.handled == list(range(1, len(wire.handled) + 1))
    while wire.feed() | wire.answer() | wire.arrive() | wire.handle(fails=False):
        pass
    assert wire.handled == list(range(1, events + 1))
    assert wire.swimlane.position == events


def test_what_the_last_connection_brought_can_not_be_answered() -> None:
    outstanding = Outstanding(AckMode.INDIVIDUAL)
    outstanding.hand_over([message(1), message(2)])
    assert outstanding.acknowledge(_LANE, 1) == b"ACK\nid:a1\n\n\x00"
    last = outstanding.last_acknowledged
    assert last == b"a1"
    outstanding.forget()
    assert outstanding.last_acknowledged is None
    assert outstanding.acknowledge(_LANE, 2) == b""
    assert outstanding.refuse(_LANE, 2, "") is None


def test_a_new_message_is_acknowledged_by_its_own_header() -> None:
    outstanding = Outstanding(AckMode.CUMULATIVE)
    outstanding.hand_over([message(1, b"old"), message(2)])
    outstanding.hand_over([message(1, b"new")])
    assert outstanding.acknowledge(_LANE, 2) == b"ACK\nid:a2\n\n\x00", "it came before the new one"
    assert outstanding.acknowledge(_LANE, 1) == b"ACK\nid:new\n\n\x00"


def test_automatic_answers_are_those_of_what_was_handed_over() -> None:
    outstanding = Outstanding(AckMode.AUTO)
    frames = outstanding.hand_over([message(1), message(2)])
    assert frames == b"ACK\nid:a1\n\n\x00ACK\nid:a2\n\n\x00"
    assert outstanding.acknowledge(_LANE, 1) == b""


def test_a_notification_is_not_the_event_before_it() -> None:
    outstanding = Outstanding(AckMode.INDIVIDUAL)
    present = message(7, b"present", END_OF_CURRENT_EVENTS)
    outstanding.hand_over([message(7), present])
    assert outstanding.acknowledge(_LANE, -7) == b"ACK\nid:present\n\n\x00"
    assert outstanding.acknowledge(_LANE, 7) == b"ACK\nid:a7\n\n\x00"
    assert outstanding.wanted(present) is None, "it was told"
    assert outstanding.wanted(message(7, b"", END_OF_CURRENT_EVENTS, lane=1)) is not None


def test_a_reason_is_one_header_line_of_bounded_length() -> None:
    outstanding = Outstanding(AckMode.INDIVIDUAL)
    outstanding.hand_over([message(1)])
    refused = outstanding.refuse(_LANE, 1, "a:b\r\n\0\\" + "é" * 100_000)
    assert refused is not None
    name, ack, header, end = refused[1].split(b"\n")
    assert (name, ack, end) == (b"NACK", b"id:a1", b"")
    assert header.startswith(b"message:a\\cb\\r\\n\\\\" + "éé".encode())
    assert len(header) < 8200
