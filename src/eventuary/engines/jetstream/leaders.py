"""Who leads the streams of a log's partitions, asked on a connection of the system's user."""

from collections.abc import Sequence

import msgspec

from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import persevere
from eventuary.engines.jetstream.isolation import Isolation
from eventuary.engines.jetstream.leadership import Belief, Leadership
from eventuary.engines.jetstream.raft_group import RaftGroup, account_of
from eventuary.engines.jetstream.streams import StreamInfo
from eventuary.engines.jetstream.wire import Wire


class Leaders:
    """``wire`` is the ordinary user's connection, by which the account is known."""

    def __init__(self, wire: Wire, address: Address) -> None:
        self._wire = wire
        self._address = address
        self._system: Wire | None = None
        self._isolation: Isolation | None = None
        #: Of each partition.
        self.each: list[Leadership | Belief] = []

    async def follow(self, streams: Sequence[StreamInfo]) -> None:
        """Begin to know who leads these. Raises ConfigurationError and ServiceUnavailable."""
        if self._address.system is None or len(streams[0].nodes) < 2:
            self.each = [Belief() for _ in streams]
            return
        user, password = self._address.system
        system = Wire(msgspec.structs.replace(self._address, user=user, password=password))
        await system.open()
        self._system = system
        account = await persevere(self._wire, lambda: account_of(self._wire))
        for stream in streams:
            leadership = Leadership(RaftGroup(system, account, stream.cluster.raft_group))
            self.each.append(leadership)
            await leadership.start()
        self._isolation = Isolation(system, self._hear_most)

    async def stop(self) -> None:
        """Know no more."""
        if self._isolation is not None:
            await self._isolation.stop()
        for leadership in self.each:
            await leadership.stop()
        if self._system is not None:
            await self._system.close()

    async def _hear_most(self) -> bool:
        return any(leadership.hears_most for leadership in self.each)
