"""The streams: made when they are not there, refused when they can't keep what is promised.

One for each partition of the log, and one for state that is replaced. The first of the log says in
its metadata how many there are; it is made first, and never changed.
"""

import msgspec

from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import (
    NAME_EXISTS,
    NO_PEERS,
    STREAM_NOT_FOUND,
    NotYet,
    Refused,
    call,
    persevere,
)
from eventuary.engines.jetstream.partitions import Partition, partitions_of
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ConfigurationError

#: How the log is laid out, as its stream's metadata says; a newer one is not understood.
FORMAT = 1
_FORMAT_KEY = "eventuary.format"
_STREAMS_KEY = "eventuary.streams"

#: Seconds for which a stream is made: a cluster that has just started has no leader yet.
_PATIENCE = 15.0

#: In the text of ``NO_PEERS``: there are enough nodes, one of which may be back soon.
_PEER_AWAY = "peer offline"


class _State(msgspec.Struct, frozen=True):
    last_seq: int = 0
    #: How many messages each subject has of those asked for; None: there are none.
    subjects: dict[str, int] | None = None


class _Configuration(msgspec.Struct, frozen=True):
    name: str
    subjects: list[str] = []
    retention: str = ""
    storage: str = ""
    num_replicas: int = 1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age: int = 0
    max_msgs_per_subject: int = -1
    allow_direct: bool = False
    allow_atomic: bool = False
    persist_mode: str = "default"
    metadata: dict[str, str] = {}


class _Replica(msgspec.Struct, frozen=True):
    name: str
    #: Nanoseconds since the leader has heard from it; 0: it has not, since it leads.
    active: int = 0


class _Cluster(msgspec.Struct, frozen=True):
    leader: str = ""
    #: When the node that answers began to lead, as it writes times; empty: it does not lead.
    leader_since: str = ""
    raft_group: str = ""
    replicas: list[_Replica] = []

    def hears_most(self, within: float) -> bool:
        """Whether the leader, who says this, has heard from most nodes within so many seconds."""
        heard = sum(0 < each.active < within * 1e9 for each in self.replicas)
        return 1 + heard > (1 + len(self.replicas)) // 2


class StreamInfo(msgspec.Struct, frozen=True):
    """A stream as its leader describes it."""

    config: _Configuration
    state: _State
    cluster: _Cluster = _Cluster()
    #: How many subjects there are, of those that were asked for.
    total: int = 0

    @property
    def nodes(self) -> set[str]:
        """The names of the nodes that hold it; none of a node that is no cluster."""
        return {self.cluster.leader, *(each.name for each in self.cluster.replicas)} - {""}


class ListedSubjects(msgspec.Struct, frozen=True):
    """Subjects of a stream; ``total``: of how many."""

    subjects: list[str]
    total: int


_decode_info = msgspec.json.Decoder(StreamInfo).decode


async def info(wire: Wire, stream: str, subject: str = "") -> StreamInfo | None:
    """Return what a stream's leader says of it, and of a subject; None: there is none.

    Raises Lost and Refused.
    """
    asked = {"subjects_filter": subject} if subject else None
    try:
        return _decode_info(await call(wire, f"STREAM.INFO.{stream}", asked))
    except Refused as error:
        if error.code == STREAM_NOT_FOUND:
            return None
        raise


async def last_sequence(wire: Wire, stream: str) -> int:
    """Return the sequence of a stream's last message, as its leader has it.

    Raises NotYet when there is no such stream, Lost and Refused.
    """
    found = await info(wire, stream)
    if found is None:
        raise NotYet(f"there is no stream {stream!r}")
    return found.state.last_seq


async def subjects_after(
    wire: Wire, stream: str, subject_filter: str, *, offset: int
) -> ListedSubjects:
    """Return subjects that have messages, in their order, and how many there are in all.

    As the stream's leader has them; so many of them as it tells at once, after ``offset``.
    Raises Lost and Refused.
    """
    asked = {"subjects_filter": subject_filter, "offset": offset}
    found = _decode_info(await call(wire, f"STREAM.INFO.{stream}", asked))
    subjects = sorted(found.state.subjects or ())
    return ListedSubjects(subjects, found.total)


async def find_log(wire: Wire, subjects: Subjects, address: Address) -> Partition | None:
    """Return the log's one partition, for a migration; None: its streams are not there.

    Raises ConfigurationError for a stream that will not do, and for a log of several partitions.
    """
    [alone] = partitions_of(address.name, 1)
    for wanted in (_log(alone, address, {}), _state(subjects, address)):
        name = str(wanted["name"])
        try:
            found = await persevere(wire, lambda name=name: info(wire, name))  # type: ignore[misc]
        except Refused as error:
            raise ConfigurationError(f"engine: {address.shown}: {error}") from error
        if found is None:
            return None
        _check(found.config, name, wanted, address)
        _check_is_one(_count(found), address)
    return alone


async def make_log(wire: Wire, subjects: Subjects, address: Address) -> Partition:
    """Make the streams of a log of one partition that are not there, for a migration.

    Raises ConfigurationError for a stream that will not do, and for a log of several partitions.
    """
    _check_is_one(address.streams or 1, address)
    [partition, *others], _ = await make_streams(wire, subjects, address)
    _check_is_one(1 + len(others), address)
    return partition


def _check_is_one(count: int, address: Address) -> None:
    if count > 1:
        raise ConfigurationError(
            f"engine: {address.shown}: streams: {count}, and a log of several streams can't be "
            "migrated: their positions are not those of one order"
        )


async def make_streams(
    wire: Wire, subjects: Subjects, address: Address
) -> tuple[tuple[Partition, ...], list[StreamInfo]]:
    """Make the streams that are not there; returns the log's partitions, and what there is.

    Raises ConfigurationError for a stream that will not do.
    """
    [alone] = partitions_of(address.name, 1)
    wanted = address.streams or 1
    first = _log(alone, address, {_STREAMS_KEY: str(wanted)} if wanted > 1 else {})
    found = [await _make(wire, first, address)]
    count = _count(found[0])
    if address.streams not in (None, count):
        raise ConfigurationError(
            f"engine: {address.shown}: streams: {address.streams}, and this log has {count}, which "
            "can't be changed"
        )
    partitions = partitions_of(address.name, count)
    found += [await _make(wire, _log(each, address, {}), address) for each in partitions[1:]]
    return partitions, [*found, await _make(wire, _state(subjects, address), address)]


def _count(first: StreamInfo) -> int:
    """Return how many partitions a log has, by the first stream of it."""
    return int(first.config.metadata.get(_STREAMS_KEY, "1"))


def _state(subjects: Subjects, address: Address) -> dict[str, object]:
    configuration = _configuration(subjects.state_stream, subjects.state, address.replicas)
    return configuration | {"max_msgs_per_subject": 1}


def _log(partition: Partition, address: Address, metadata: dict[str, str]) -> dict[str, object]:
    configuration = _configuration(partition.stream, partition.events, address.replicas)
    # What is in the log stays: not even an operator's slip deletes an event.
    configuration |= {"deny_delete": True, "deny_purge": True}
    configuration["metadata"] = {_FORMAT_KEY: str(FORMAT), **metadata}
    return configuration


def _configuration(name: str, prefix: str, replicas: int) -> dict[str, object]:
    return {
        "name": name,
        "subjects": [f"{prefix}.>"],
        "retention": "limits",
        "discard": "new",
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_atomic": True,
        # Nothing here has a message id of JetStream's: the version check tells what was stored.
        "duplicate_window": 100_000_000,
        "metadata": {_FORMAT_KEY: str(FORMAT)},
    }


async def _make(wire: Wire, configuration: dict[str, object], address: Address) -> StreamInfo:
    name = str(configuration["name"])

    async def attempt() -> StreamInfo:
        found = await info(wire, name)
        if found is not None:
            return found
        try:
            await call(wire, f"STREAM.CREATE.{name}", configuration)
        except Refused as error:
            if error.code == NO_PEERS and _PEER_AWAY in error.error.description:
                raise NotYet(str(error)) from error
            if error.code != NAME_EXISTS:
                raise
        # What one node has made another may not have heard of yet.
        found = await info(wire, name)
        if found is None:
            raise NotYet(f"the stream {name!r} is not there")
        return found

    try:
        found = await persevere(wire, attempt, _PATIENCE)
    except Refused as error:
        raise ConfigurationError(
            f"engine: {address.shown}: the stream {name!r} can't be made: {error}"
        ) from error
    _check(found.config, name, configuration, address)
    return found


def _check(found: _Configuration, name: str, wanted: dict[str, object], address: Address) -> None:
    """Refuse a stream that is not ours, is newer than this program, or drops messages."""
    version = found.metadata.get(_FORMAT_KEY, "")
    if not version.isdecimal():
        raise ConfigurationError(
            f"engine: {address.shown}: the stream {name!r} is not one of Eventuary's"
        )
    if int(version) > FORMAT:
        raise ConfigurationError(
            f"engine: {address.shown}: the stream {name!r} has format {version}, and this program "
            f"knows formats up to {FORMAT}: upgrade it"
        )
    for field in ("subjects", "retention", "allow_direct", "allow_atomic"):
        if getattr(found, field) != wanted[field]:
            raise ConfigurationError(
                f"engine: {address.shown}: the stream {name!r} has {field} = "
                f"{getattr(found, field)!r}, and must have {wanted[field]!r}"
            )
    for field, without in (("max_msgs", -1), ("max_age", 0)):
        if getattr(found, field) != without:
            raise ConfigurationError(
                f"engine: {address.shown}: the stream {name!r} has {field} = "
                f"{getattr(found, field)}: it would lose events"
            )
