"""What this server holds of one durable subscription that several servers share.

A swimlane that is held by another server, or by nobody, is not touched here: its position is what
the last look at the storage showed.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eventuary.engines.engine import Lease, SharedSubscription

if TYPE_CHECKING:
    from eventuary.delivery.subscription import Subscription
    from eventuary.delivery.swimlane import Swimlane
    from eventuary.delivery.tenancy import Tenancy


class Tenure:
    """Belongs to one subscription."""

    def __init__(self, subscription: "Subscription", tenancy: "Tenancy") -> None:
        self._subscription = subscription
        self._tenancy = tenancy
        #: By swimlane.
        self.leases: dict[int, Lease] = {}
        #: Leases of swimlanes that nobody here has any more, until their positions are stored.
        self.going: dict[int, Lease] = {}
        #: As storage knows the subscription; 0: not looked at yet.
        self.number = 0
        self.revision = 0
        #: The server's number and its consumers, as they were last told to the others.
        self.announced: tuple[int, int] | None = None

    @property
    def in_force(self) -> bool:
        """Whether what is held is held now. If not, it is lost from here on."""
        return self._tenancy.in_force()

    def epoch(self, number: int) -> int | None:
        """Return the epoch under which a swimlane's position is stored; None: it is not held."""
        lease = self.leases.get(number) or self.going.get(number)
        return None if lease is None else lease.epoch

    def gain(self, leases: Iterable[Lease], parked: Sequence[tuple[int, int]]) -> None:
        """These are held now. ``parked``: swimlane and position of all dead letters that halt."""
        for lease in leases:
            self.going.pop(lease.swimlane, None)
            self.leases[lease.swimlane] = lease
            swimlane = self._subscription.swimlanes[lease.swimlane]
            self._begin(swimlane, lease.position)
            swimlane.parked.update(
                position
                for number, position in parked
                if number == lease.swimlane and position > lease.position
            )
        self._subscription.feeding.void_page()
        self._subscription.sharing.share_out()

    def lose(self, numbers: Iterable[int]) -> None:
        """These are held no more: nothing of them is delivered or stored."""
        for number in list(numbers):
            self.leases.pop(number, None)
            self.going.pop(number, None)
            swimlane = self._subscription.swimlanes[number]
            self._subscription.sharing.lose(swimlane)
            self._begin(swimlane, swimlane.position)
        self._subscription.progressed()

    def lose_all(self) -> None:
        """Nothing is held any more."""
        self.lose({**self.leases, **self.going})

    def let_go(self, swimlane: "Swimlane") -> None:
        """Nobody here has a swimlane any more that others are to have: store where it stands."""
        lease = self.leases.pop(swimlane.number, None)
        if lease is not None:
            self.going[swimlane.number] = lease
            self._tenancy.hand_on(self._subscription, lease)

    def note_others(self, shared: SharedSubscription) -> None:
        """Take over the positions of swimlanes that are not held here."""
        for lease in shared.leases:
            if lease.swimlane not in self.leases and lease.swimlane not in self.going:
                self._begin(self._subscription.swimlanes[lease.swimlane], lease.position)
        self._subscription.progressed()

    def _begin(self, swimlane: "Swimlane", position: int) -> None:
        swimlane.reset(position)
        swimlane.parked.clear()
