"""Whether the cluster keeps what it acknowledges: replicas, files, and nodes that sync each write.

JetStream syncs to disk every two minutes unless told ``sync_interval: always``: several nodes that
lose power together then lose what they had acknowledged. Only a user of the system account may ask
the nodes how they are configured.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.streams import StreamInfo
from eventuary.engines.jetstream.wire import Lost, Wire

#: Fewer replicas have no majority once one is lost.
_FEWEST_REPLICAS = 3

#: Seconds within which nodes answer; one that is down does not.
_PATIENCE = 2.0

#: The same of the first that answers: all may stand still for a moment, or the question be lost.
_PATIENCE_FOR_ANY = 15.0

#: Seconds until they are asked again.
_ASK_EVERY = 0.5

_ASK_ALL = "$SYS.REQ.SERVER.PING.JSZ"


class _Server(msgspec.Struct, frozen=True):
    name: str = ""


class _Settings(msgspec.Struct, frozen=True):
    sync_always: bool = False


class _JetStream(msgspec.Struct, frozen=True):
    config: _Settings = _Settings()


class _Answer(msgspec.Struct, frozen=True):
    server: _Server = _Server()
    data: _JetStream = _JetStream()


async def dangers(address: Address, streams: Sequence[StreamInfo]) -> list[str]:
    """Return by what events could be lost, as sentences that name it; none: they are safe.

    Raises ConfigurationError when the system user can't connect.
    """
    found: list[str] = []
    for stream in streams:
        config = stream.config
        if config.num_replicas < _FEWEST_REPLICAS:
            found.append(
                f"the stream {config.name!r} has num_replicas = {config.num_replicas}, fewer than "
                f"{_FEWEST_REPLICAS}: with a node, what is on it can be lost"
            )
        if config.storage != "file":
            found.append(
                f"the stream {config.name!r} has storage = {config.storage}: all of it is lost "
                "when the nodes stop"
            )
        if config.persist_mode != "default":
            found.append(
                f"the stream {config.name!r} has persist_mode = {config.persist_mode}: a node that "
                "is killed loses what it had acknowledged last"
            )
    if address.system is None:
        found.append(
            "it is not known whether the nodes sync each write (sync_interval: always); without "
            "it, nodes that lose power together lose what they had acknowledged: name a user of "
            "the system account in the URL, as in ?system=USER:PASSWORD"
        )
        return found
    syncing = await _syncing(address, set().union(*(each.nodes for each in streams)))
    lax = sorted(name for name, always in syncing.items() if not always)
    if lax:
        found.append(
            f"{', '.join(lax)}: sync_interval is not always: nodes that lose power together lose "
            "what they had acknowledged"
        )
    if not syncing:
        found.append("no node has told the system user whether it syncs each write")
    return found


async def _syncing(address: Address, nodes: set[str]) -> dict[str, bool]:
    """Ask the nodes whether they sync each write; by name, of those that answer."""
    user, password = address.system or ("", "")
    wire = Wire(msgspec.structs.replace(address, user=user, password=password))
    await wire.open()
    try:
        answers: dict[str, bool] = {}
        all_answered = asyncio.Event()
        deadline = time.monotonic() + _PATIENCE_FOR_ANY

        def heard(said: bytes) -> None:
            nonlocal deadline
            if not answers:
                # Those that are there answer soon; a node that is down is asked at the next start.
                deadline = time.monotonic() + _PATIENCE
            answer = msgspec.json.decode(said, type=_Answer)
            answers[answer.server.name] = answer.data.config.sync_always
            if nodes and nodes <= answers.keys():
                all_answered.set()

        while not all_answered.is_set() and time.monotonic() < deadline:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_EVERY):
                    with suppress(Lost):  # not connected: it is, when they are asked again
                        await wire.ask_all(_ASK_ALL, heard)
                    await all_answered.wait()
        return answers
    finally:
        await wire.close()
