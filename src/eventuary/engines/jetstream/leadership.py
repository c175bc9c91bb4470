"""Whether who answers as a stream's leader is its leader: a node that was deposed may not know it.

A leader that is cut off from the others, or stood still, takes itself for the leader for up to ten
seconds while another has been elected and appends go on; what it answers until then is old. What it
says of itself, or of when it heard from the others, proves nothing: answers of theirs may have
waited in its buffers, and nodes vote for any candidate, even when they hear their leader. So the
nodes are asked, each for itself (``raft_group``), and there are two proofs:

- **A tenure** needs no question when something is read. Twice a second all nodes are asked. When
  all of them are in one term, one leads, and each of the others has heard that one at most so long
  ago, then none begins an election before its time-out has passed, which is 4 seconds at least
  since it heard the leader: and a term has one leader. All of this is reckoned by our own clock,
  from before the question. What was asked in a tenure, and answered in the same one, was answered
  by the leader.
- **A confirmation** needs no clock. Somebody has answered as the leader; *then* the nodes are
  asked, and most of them are in the term in which that one leads, still without a break. No term
  has gone down meanwhile, so none had elected another leader before the answer.

The second is for when a node is down, or is not heard: a tenure needs all of them, since any node
whose time is up is elected at once by nodes that hear their leader well. So nothing is assumed of
the network, not even that those who hear each other hear the same.

A tenure does assume: that the clocks of this process and of the nodes differ in their rates by less
than one part in eight, and that none of them stands still for longer than the margin while the
others go on, as the clock of a virtual machine does that is suspended; nodes with nats-server's
time-outs (they can't be configured); that a leader that hands over to another, as one does that is
shut down, does not stand still between saying so and doing so; and that nobody forces an election,
as operators do who rescue a group that has lost its majority.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence

from eventuary.engines.jetstream.api import NotYet
from eventuary.engines.jetstream.raft_group import RaftGroup, View

_log = logging.getLogger("eventuary.jetstream")

#: Seconds that a node waits at least, since it heard the leader, before it stands for election.
ELECTION_TIMEOUT = 4.0

#: Seconds of that which are not relied on.
_MARGIN = 0.5

#: Seconds between two questions to all nodes.
_ASK_EVERY = 0.5


class Tenure:
    """One term, in which one node leads."""

    def __init__(self, term: int) -> None:
        self.term = term
        self._until = 0.0

    @property
    def lasts(self) -> bool:
        """Whether no other can have been elected by now."""
        return time.monotonic() < self._until

    def extend(self, until: float) -> None:
        """No other is elected before this time of our monotonic clock."""
        self._until = max(self._until, until)


class Belief:
    """Whoever answers as the leader is believed: it has no replicas, or nobody may ask them."""

    def __init__(self) -> None:
        self.tenure = Tenure(0)
        self.tenure.extend(math.inf)

    #: Whether most nodes were heard when they were asked last: nobody is asked.
    hears_most = True

    async def confirm(self, leader: str, since: str) -> None:
        """Take it for true."""

    async def stop(self) -> None:
        """Go on believing."""


class Leadership:
    """Knows of a tenure while there is one, and confirms leaders while there is none."""

    def __init__(self, group: RaftGroup) -> None:
        self._group = group
        self._tenure: Tenure | None = None
        #: Whether most nodes were heard when they were asked last.
        self.hears_most = False
        self._keeping: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._begun = 0
        #: The number of a question, and the views that answered it.
        self._seen: tuple[int, list[View]] = (0, [])

    async def start(self) -> None:
        """Learn what is known now, and go on learning."""
        await self._ask_all()
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Learn no more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    @property
    def tenure(self) -> Tenure | None:
        """The tenure that lasts now. Ask, be answered, and see whether the same one still lasts."""
        tenure = self._tenure
        return tenure if tenure is not None and tenure.lasts else None

    async def confirm(self, leader: str, since: str) -> None:
        """Return when the node of this name, which leads since then, led when this was called.

        Raises NotYet: another leads, or not enough nodes can be asked.
        """
        if not is_confirmed(await self._look(), leader, since):
            raise NotYet("no majority of the nodes confirms who leads")

    async def _look(self) -> list[View]:
        """Return views that were formed since this was called; who waits shares the question."""
        first = self._begun + 1
        async with self._asking:
            if self._seen[0] < first:
                self._begun += 1
                self._seen = (self._begun, await self._group.views(has_majority))
            return self._seen[1]

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_ASK_EVERY)
            try:
                await self._ask_all()
            except Exception:  # noqa: BLE001 - without it each read would have to be confirmed
                _log.exception("asking who leads failed unexpectedly")

    async def _ask_all(self) -> None:
        asked = time.monotonic()
        views = await self._group.views(are_all)
        self.hears_most = has_majority(views)
        found = quiet(views)
        if found is None:
            return
        term, silence = found
        if self._tenure is None or self._tenure.term != term:
            self._tenure = Tenure(term)
        self._tenure.extend(asked + ELECTION_TIMEOUT - silence - _MARGIN)


def are_all(views: Sequence[View]) -> bool:
    """Whether all nodes of a group have told their views."""
    return bool(views) and len(views) == max(view.size for view in views)


def has_majority(views: Sequence[View]) -> bool:
    """Whether one leads and most nodes are in its term, or all have told their views."""
    return are_all(views) or any(
        view.leads and is_confirmed(views, view.node, view.leader_since) for view in views
    )


def quiet(views: Sequence[View]) -> tuple[int, float] | None:
    """Return the one term of all nodes, and for how many seconds some have not heard its leader.

    None: they are not all there, or not of one term and one leader.
    """
    leaders = [view for view in views if view.leads]
    if len(leaders) != 1:
        return None
    [leader] = leaders
    members = {leader.id, *leader.peers}
    if len(members) != leader.size or members != {view.id for view in views}:
        return None
    silence = 0.0
    for view in views:
        if view.term != leader.term or view.leader != leader.id:
            return None
        if view is not leader:
            heard = view.heard(leader.id)
            if view.state != "FOLLOWER" or heard is None:
                return None
            silence = max(silence, heard)
    return leader.term, silence


def is_confirmed(views: Sequence[View], leader: str, since: str) -> bool:
    """Whether a node leads, since then and without a break, and most nodes are in its term."""
    found = next((view for view in views if view.node == leader), None)
    if found is None or not found.leads or not since or found.leader_since != since:
        return False
    members = {found.id, *found.peers}
    in_term = {view.id for view in views if view.term == found.term and view.id in members}
    return len(in_term) > found.size // 2
