"""Writers that remember what they were told, and the judge that compares it with what is stored.

Each append is a batch of several events that names itself: writer, number, place, size. So half
a batch, a lost one, one that was refused and yet is there, and one out of order are all visible.
"""

import random
import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import httpx
import msgspec

from tests.acceptance.rest_client import (
    PATIENCE,
    Created,
    Event,
    Refused,
    Rest,
    Stored,
    is_in_doubt,
)

#: The entity type that writers write.
ENTITY_TYPE = "load.Account"

#: The event types that writers write.
EVENT_TYPES = ("Opened", "Changed")


class Outcome(StrEnum):
    """What a writer was told of a batch."""

    ACKNOWLEDGED = "acknowledged"  #: it is stored
    REFUSED = "refused"  #: nothing of it is stored
    UNKNOWN = "unknown"  #: no answer came, or one that does not know: all is stored, or nothing


class Place(msgspec.Struct, frozen=True):
    """An event's data: its batch, its place there, and the batch's size."""

    batch: int
    place: int
    size: int


class Batch(NamedTuple):
    """One append as its writer remembers it."""

    number: int
    size: int
    outcome: Outcome
    event_ids: list[str]


class Writer:
    """Writes to entities of its own, one batch after another, until it is told to stop.

    ``patience``: seconds within which an answer comes.
    """

    def __init__(
        self,
        url: str,
        name: str,
        seed: int,
        *,
        space: str = "default",
        patience: float = PATIENCE,
    ) -> None:
        self.batches: dict[str, list[Batch]] = {}
        self.failure: BaseException | None = None
        self._patience = patience
        self._rest = Rest(url, space=space, patience=patience)
        self._name = name
        self._random = random.Random(f"{seed}/{name}")
        self._versions: dict[str, str | None] = {}
        self._numbers = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way."""
        self._stop.set()
        self._thread.join(self._patience + 40)
        assert not self._thread.is_alive(), f"{self._name} hangs"
        self._rest.http.close()
        if self.failure is not None:
            raise self.failure

    @property
    def acknowledged(self) -> int:
        """How many batches were acknowledged."""
        return sum(
            batch.outcome is Outcome.ACKNOWLEDGED
            for batches in list(self.batches.values())
            for batch in list(batches)
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._write_one()
        except BaseException as error:  # noqa: BLE001 - raised again by stop
            self.failure = error

    def _write_one(self) -> None:
        known = list(self.batches)
        if not known or (len(known) < 20 and self._random.random() < 0.2):
            entity_id = f"{self._name}-{len(known)}"
            self.batches[entity_id] = []
            self._versions[entity_id] = None
        else:
            entity_id = self._random.choice(known)
        self._numbers += 1
        number, size = self._numbers, self._random.randint(1, 8)
        kind = EVENT_TYPES[bool(self.batches[entity_id])]
        filler = "x" * self._random.choice((0, 100, 2000))
        events = [
            Event(
                kind,
                msgspec.json.encode(
                    {"batch": number, "place": i, "size": size, "filler": filler}
                ).decode(),
            )
            for i in range(size)
        ]
        outcome, event_ids = Outcome.UNKNOWN, list[str]()
        try:
            appended = self._append(entity_id, events)
            outcome, event_ids = Outcome.ACKNOWLEDGED, appended.event_ids
            self._versions[entity_id] = appended.entity_version
        except Refused as error:
            if error.status != 503:
                raise
            if not is_in_doubt(error.body["explanation"]):
                outcome = Outcome.REFUSED
        except httpx.TransportError:
            pass
        self.batches[entity_id].append(Batch(number, size, outcome, event_ids))
        if outcome is Outcome.UNKNOWN:
            self._look_up(entity_id)
        elif outcome is Outcome.REFUSED:
            self._stop.wait(0.02)  # as a polite client does

    def _append(self, entity_id: str, events: Sequence[Event]) -> Created:
        version = self._versions[entity_id]
        if version is None:
            return self._rest.create(ENTITY_TYPE, events, entity_id=entity_id)
        return self._rest.update(ENTITY_TYPE, entity_id, version, events)

    def _look_up(self, entity_id: str) -> None:
        """Learn the entity's version from the server, when it is there again."""
        while not self._stop.is_set():
            try:
                events = self._rest.find(ENTITY_TYPE, entity_id)
            except (httpx.TransportError, Refused):
                self._stop.wait(0.05)
            else:
                self._versions[entity_id] = events[-1].id if events else None
                return


def check_stored(
    entity_id: str, batches: Sequence[Batch], stored: Sequence[Stored], *, hint: str
) -> None:
    """Every acknowledged batch is there, every batch whole, none that was refused, all in order."""
    ids = [event.id for event in stored]
    assert ids == sorted(set(ids)), f"{hint}: {entity_id}: the ids do not grow: {ids}"
    places = [msgspec.json.decode(event.event_data, type=Place) for event in stored]
    found: dict[int, list[int]] = {}
    for index, place in enumerate(places):
        found.setdefault(place.batch, []).append(index)
    assert list(found) == sorted(found), f"{hint}: {entity_id}: batches out of order: {found}"
    for number, indexes in found.items():
        size = places[indexes[0]].size
        assert [places[i].place for i in indexes] == list(range(size)), (
            f"{hint}: {entity_id}: half a batch {number}: {[places[i] for i in indexes]}"
        )
        assert indexes == list(range(indexes[0], indexes[0] + size))
    known = {batch.number: batch for batch in batches}
    assert found.keys() <= known.keys(), f"{hint}: {entity_id}: {found.keys() - known.keys()}"
    for batch in batches:
        there = [ids[i] for i in found.get(batch.number, [])]
        if batch.outcome is Outcome.ACKNOWLEDGED:
            assert there == batch.event_ids, (
                f"{hint}: {entity_id}: batch {batch.number} was acknowledged, and {there} is there"
            )
        if batch.outcome is Outcome.REFUSED:
            assert not there, (
                f"{hint}: {entity_id}: batch {batch.number} was answered 503, and it is stored"
            )


def check_all(
    url: str, writers: Sequence[Writer], *, space: str = "default", hint: str = ""
) -> dict[str, list[str]]:
    """Check every entity of these writers; return the stored event ids of each that exists.

    One does not if its creation was never answered, and had not been done.
    """
    stored: dict[str, list[str]] = {}
    with Rest(url, space=space) as rest:
        for writer in writers:
            for entity_id, batches in writer.batches.items():
                events = rest.find(ENTITY_TYPE, entity_id)
                check_stored(entity_id, batches, events, hint=hint)
                if events:
                    stored[entity_id] = [event.id for event in events]
    return stored
