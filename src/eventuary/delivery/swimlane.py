"""One swimlane of one subscription: what was sent, what was acknowledged, what comes next.

Three numbers order everything. ``position``: at and below it all is acknowledged; this is stored.
``cursor``: the log has been read up to here. Between them lies what is under way: sent and
unacknowledged, acknowledged ahead of an older one, or due to be sent again. Together these are
never more than the window.

Transitions between states happen in ``enter`` alone, which looks at the facts: no consumer, paused,
halted by a dead letter, moving, failing; otherwise behind, until a reader has brought the cursor
to the head (``reached_head``).
"""

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SwimlaneState


class Swimlane:
    """Knows no consumer, no event and no clock: offsets only."""

    __slots__ = (
        "acknowledged",
        "answered_at",
        "blocked_at",
        "cursor",
        "due",
        "failing",
        "number",
        "parked",
        "policy",
        "position",
        "rest_until",
        "resting",
        "state",
        "unacknowledged",
    )

    def __init__(self, number: int, position: int, policy: DeliveryPolicy) -> None:
        self.number = number
        self.policy = policy
        self.state = SwimlaneState.IDLE
        self.position = position
        self.cursor = position
        #: Offset to failures so far, for all that is beyond ``position`` and not acknowledged;
        #: in ascending order of offsets.
        self.unacknowledged: dict[int, int] = {}
        #: Offsets acknowledged although an older one is not.
        self.acknowledged: set[int] = set()
        #: Unacknowledged offsets that are in nobody's hands: they are to be sent again.
        self.due: set[int] = set()
        #: Unacknowledged offsets that have failed; while there are any, nothing behind the first of
        #: them is sent.
        self.failing: set[int] = set()
        #: The pause before the failing are sent again is not over.
        self.resting = False
        self.rest_until = 0.0
        #: The offset of the dead letter that holds the swimlane.
        self.blocked_at: int | None = None
        #: Dead letters further on, at which the swimlane will halt.
        self.parked: set[int] = set()
        #: When an answer came last, or something was sent while nothing was under way.
        self.answered_at = 0.0

    def enter(self, *, has_consumer: bool, paused: bool, moving: bool) -> None:
        """Enter the state that the facts call for. A live swimlane stays live if it may."""
        if not has_consumer:
            self.state = SwimlaneState.IDLE
        elif paused:
            self.state = SwimlaneState.PAUSED
        elif moving:
            self.state = SwimlaneState.MOVING
        elif self.blocked_at is not None:
            self.state = SwimlaneState.HALTED
        elif self.failing:
            self.state = SwimlaneState.RETRYING
        elif self.state is not SwimlaneState.LIVE:
            self.state = SwimlaneState.BEHIND

    @property
    def read_from(self) -> int:
        """After which position to read on. A live swimlane's cursor stays where it went live."""
        return max(self.cursor, self.position)

    @property
    def room(self) -> int:
        """How many new events the window has room for."""
        return self.policy.window - len(self.unacknowledged) - len(self.acknowledged)

    @property
    def in_hands(self) -> int:
        """How many messages are sent and unanswered."""
        return len(self.unacknowledged) - len(self.due) - (self.blocked_at is not None)

    @property
    def hungry(self) -> bool:
        """Whether reading the log for this swimlane is worth while now."""
        if self.state is SwimlaneState.BEHIND:
            # Half a window at a time: small reads would cost more than they bring.
            return bool(self.due) or self.room * 2 >= self.policy.window
        return (
            self.state is SwimlaneState.RETRYING
            and bool(self.due)
            and not self.resting
            and min(self.due) <= min(self.failing)
        )

    def has_done(self, position: int) -> bool:
        """Whether all selected events at or below ``position`` are acknowledged.

        ``position`` is not beyond the head: a live swimlane has been given all up to there.
        """
        return self.position >= position or (
            self.state is SwimlaneState.LIVE and not self.unacknowledged
        )

    def accept(self, offset: int) -> int | None:
        """Take the event at ``offset``, read from the log, for sending.

        Returns the number of the attempt; 0 when it is not to be sent (it was, or is done); None
        when it can't be taken now, so that reading must stop before it.
        """
        failures = self.unacknowledged.get(offset)
        if failures is not None:
            if offset not in self.due:
                return 0
            if self.failing and offset > min(self.failing):
                return None
            self.due.discard(offset)
            return failures + 1
        if offset <= self.position or offset in self.acknowledged:
            return 0
        if self.failing or self.room <= 0:
            return None
        if offset in self.parked:
            self.block(offset)
            return None
        self.unacknowledged[offset] = 0
        return 1

    def acknowledge(self, offset: int) -> bool:
        """An event is done. False when it was not under way."""
        if offset == self.blocked_at or self.unacknowledged.pop(offset, None) is None:
            return False
        self.due.discard(offset)
        self.failing.discard(offset)
        first = next(iter(self.unacknowledged), None)
        if first is None:
            self.position = max(offset, self.position, max(self.acknowledged, default=0))
            self.acknowledged.clear()
        elif offset < first:
            self.position = first - 1
            if self.acknowledged:
                self.acknowledged = {ahead for ahead in self.acknowledged if ahead > first}
        else:
            self.acknowledged.add(offset)
        return True

    def fail(self, offset: int) -> int | None:
        """A delivery failed: it is due again. Returns its failures; None: it was not in hands.

        What was sent behind it is due again as well, once it is done: a consumer that keeps order
        leaves it alone until then. One that does not may still acknowledge it.
        """
        failures = self.unacknowledged.get(offset)
        if failures is None or offset in self.due or offset == self.blocked_at:
            return None
        self.unacknowledged[offset] = failures + 1
        self.failing.add(offset)
        self.due.update(each for each in self.unacknowledged if each >= offset)
        if self.blocked_at is not None:
            self.due.discard(self.blocked_at)
        self._rewind()
        return failures + 1

    def send_again(self, behind: int | None = None) -> None:
        """All that is in hands, or behind an offset, is due again; nothing of it has failed."""
        self.due.update(
            offset for offset in self.unacknowledged if behind is None or offset > behind
        )
        if self.blocked_at is not None:
            self.due.discard(self.blocked_at)
        if self.due:
            self._rewind()

    def block(self, offset: int) -> None:
        """The event at ``offset`` is a dead letter, and holds the swimlane."""
        self.parked.discard(offset)
        self.unacknowledged[offset] = 0
        self.failing.discard(offset)
        self.due.discard(offset)
        self.blocked_at = offset

    def unblock(self) -> None:
        """The dead letter that holds the swimlane is to be sent again, as if for the first time."""
        if self.blocked_at is not None:
            self.failing.add(self.blocked_at)
            self.due.add(self.blocked_at)
            self.blocked_at = None
            self._rewind()

    def release(self) -> None:
        """The consumer is gone: all that was in its hands is due again."""
        self.due.update(self.unacknowledged)
        if self.blocked_at is not None:
            self.due.discard(self.blocked_at)
        self.cursor = self.position
        self.state = SwimlaneState.IDLE

    def _rewind(self) -> None:
        """Read again from the oldest event that is due."""
        self.cursor = min(self.cursor, min(self.due) - 1)

    def read_through(self, position: int) -> bool:
        """The log has been read up to ``position``; True when that moved ``self.position``.

        What is due and was not found on the way is no longer selected, and so it is done.
        """
        self.cursor = position
        gone = [offset for offset in self.due if offset <= position] if self.due else []
        for offset in gone:
            self.acknowledge(offset)
        return bool(gone)

    def reached_head(self) -> None:
        """The cursor is at the head: from here on, commits are offered as they happen."""
        if self.state is SwimlaneState.BEHIND:
            self.state = SwimlaneState.LIVE

    def leave_head(self, cursor: int) -> None:
        """An event after ``cursor`` could not be taken: it must be read from the log later."""
        self.cursor = cursor
        self.state = SwimlaneState.BEHIND

    def settle(self, head: int) -> bool:
        """With nothing under way, all up to the cursor is done; True when the position moved."""
        if self.unacknowledged:
            return False
        reached = head if self.state is SwimlaneState.LIVE else self.cursor
        if reached <= self.position:
            return False
        self.position = self.cursor = reached
        return True

    def reset(self, position: int) -> None:
        """Forget what is under way and begin after ``position``; dead letters stay in the way."""
        if self.blocked_at is not None:
            self.parked.add(self.blocked_at)
            self.blocked_at = None
        self.unacknowledged.clear()
        self.acknowledged.clear()
        self.due.clear()
        self.failing.clear()
        self.resting = False
        self.position = self.cursor = position
        if self.state is SwimlaneState.LIVE:
            self.state = SwimlaneState.BEHIND
