"""What the nodes themselves say of a stream's Raft group: who leads it, in which term, heard when.

All nodes are asked at once, and each speaks for itself alone. Only a user of the system account may
ask this.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
from nats.aio.msg import Msg

from eventuary.engines.jetstream.wire import Lost, Wire

#: Seconds within which nodes answer; one that is down, or cut off, does not.
PATIENCE = 1.0

_ASK_ALL = "$SYS.REQ.SERVER.PING.RAFTZ"
_ASK_USER = "$SYS.REQ.USER.INFO"

_PART = re.compile(r"([\d.]+)(ms|µs|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


class Peer(msgspec.Struct, frozen=True):
    """Another node of a group."""

    #: How long ago this node has heard from it last; empty: it does not know.
    last_seen: str = ""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A group as one of its nodes sees it. ``peers``: all of the group but itself, by id."""

    #: The node's name, which its answer has elsewhere.
    node: str = ""
    id: str
    state: str
    term: int
    #: How many nodes the group has.
    size: int
    #: The id of the node that it follows, or its own; empty: it knows of none.
    leader: str = ""
    #: When it began to lead, as it writes times; empty: it does not.
    leader_since: str = ""
    peers: Mapping[str, Peer] = {}

    @property
    def leads(self) -> bool:
        """Whether it takes itself for the leader."""
        return self.state == "LEADER" and self.leader == self.id

    def heard(self, peer: str) -> float | None:
        """Return how many seconds ago it heard from a peer last; None: it does not know."""
        found = self.peers.get(peer)
        return seconds(found.last_seen) if found is not None and found.last_seen else None


class _Server(msgspec.Struct, frozen=True):
    name: str = ""


class _Answer(msgspec.Struct, frozen=True):
    server: _Server = _Server()
    #: Views by account and group.
    data: dict[str, dict[str, View]] | None = None


class _User(msgspec.Struct, frozen=True):
    account: str = ""


class _UserAnswer(msgspec.Struct, frozen=True):
    data: _User = _User()


_decode = msgspec.json.Decoder(_Answer).decode
_decode_user = msgspec.json.Decoder(_UserAnswer).decode


async def account_of(wire: Wire) -> str:
    """Return the name of the account of a connection's user. Raises Lost."""
    return _decode_user((await wire.ask(_ASK_USER, b"")).data).data.account


class RaftGroup:
    """A group, asked about on the system user's connection."""

    def __init__(self, wire: Wire, account: str, group: str) -> None:
        self._wire = wire
        self._account = account
        self._group = group
        self._question = msgspec.json.encode({"account": account, "group": group})

    async def views(self, is_enough: Callable[[Sequence[View]], bool]) -> list[View]:
        """Return the nodes' views when they are enough, or those that came within a second.

        All of them were formed between question and answer.
        """

        def enough(messages: list[Msg]) -> bool:
            return is_enough(self._read(messages))

        try:
            return self._read(await self._wire.collect(_ASK_ALL, self._question, enough, PATIENCE))
        except Lost:
            return []

    def _read(self, messages: Sequence[Msg]) -> list[View]:
        views = []
        for message in messages:
            try:
                answer = _decode(message.data)
            except msgspec.DecodeError:
                continue  # it tells of an error, or nothing that is known here
            view = (answer.data or {}).get(self._account, {}).get(self._group)
            if view is not None:
                views.append(msgspec.structs.replace(view, node=answer.server.name))
        return views


def seconds(duration: str) -> float:
    """Return a duration as Go writes it, like ``1m2.5s`` or ``350.1µs``."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
