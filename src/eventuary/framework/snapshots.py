"""Snapshots: how an aggregate's state becomes JSON and comes back.

The state is what the aggregate's class annotates. A snapshot is named for the shape of that state
(a hash of its JSON schema) and a version that the strategy may give; one of another name is ignored
and the aggregate rebuilt from its events, so that a changed class needs no clean-up.
"""

import hashlib
from typing import Any, ClassVar, Generic, TypeVar, get_origin, get_type_hints

import msgspec

from eventuary.events import NewSnapshot, Snapshot
from eventuary.framework.aggregate import Aggregate

_A = TypeVar("_A", bound=Aggregate)


class StateCodec(Generic[_A]):
    """Makes and reads the snapshots of one aggregate class.

    Raises TypeError for a class whose annotated state msgspec can't encode.
    """

    def __init__(self, aggregate_type: type[_A], version: int) -> None:
        self._aggregate_type = aggregate_type
        fields = _state_fields(aggregate_type)
        self._names = frozenset(name for name, _ in fields)
        shape = msgspec.defstruct(
            f"{aggregate_type.__name__}State",
            [(name, hint | msgspec.UnsetType, msgspec.UNSET) for name, hint in fields],
            kw_only=True,
        )
        try:
            schema = msgspec.json.encode(msgspec.json.schema(shape), order="sorted")
            self._decoder = msgspec.json.Decoder(shape)
        except TypeError as error:
            raise TypeError(
                f"{aggregate_type.__name__} can't have snapshots: {error}; annotate its state with "
                "types that have a JSON form"
            ) from error
        digest = hashlib.sha256(schema).hexdigest()[:12]
        #: The name under which snapshots are stored; another one's are ignored.
        self.snapshot_type = f"{aggregate_type.__name__}/{version}/{digest}"

    def encode(self, aggregate: _A) -> NewSnapshot:
        """Return the aggregate's state. Raises TypeError for state that is not as annotated."""
        unknown = set(getattr(aggregate, "__dict__", ())) - self._names - {"id", "version"}
        if unknown:
            raise TypeError(
                f"{self._aggregate_type.__name__}.{min(unknown)} is not annotated, so a snapshot "
                "would lose it: declare it in the class body"
            )
        state = {name: getattr(aggregate, name) for name in self._names if hasattr(aggregate, name)}
        encoded = msgspec.json.encode(state)
        try:
            self._decoder.decode(encoded)
        except msgspec.ValidationError as error:
            raise TypeError(
                f"{self._aggregate_type.__name__}'s state is not what its annotations say: {error}"
            ) from error
        return NewSnapshot(self.snapshot_type, encoded.decode())

    def decode(self, snapshot: Snapshot) -> _A | None:
        """Return the aggregate as it was; None when the snapshot is not of this shape."""
        if snapshot.snapshot_type != self.snapshot_type:
            return None
        state = self._decoder.decode(snapshot.json)
        aggregate = self._aggregate_type()
        for name in self._names:
            value = getattr(state, name)
            if value is not msgspec.UNSET:
                object.__setattr__(aggregate, name, value)  # it may be frozen
        return aggregate


def _state_fields(aggregate_type: type[Aggregate]) -> list[tuple[str, Any]]:
    try:
        hints = get_type_hints(aggregate_type)
    except NameError as error:
        raise TypeError(
            f"{aggregate_type.__name__} can't have snapshots: {error}; its annotations must be "
            "resolvable in its module"
        ) from error
    return [
        (name, hint)
        for name, hint in hints.items()
        if name not in ("id", "version")
        and not name.startswith("__")
        and get_origin(hint) is not ClassVar
        and hint is not ClassVar
    ]
