"""What is stored of subscriptions: two cells each, and one for each dead letter.

``main`` holds what its consumers and operators say of it, ``lanes`` what servers do with it: where
each swimlane is, who holds it under which epoch, how many consumers each server has, what is wanted
done with dead letters. Everything below ``NAME.st.sb.<space>.<subscriber>`` belongs to it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from eventuary.engines.engine import DeadLetterRecord, SubscriptionRecord, SwimlanePosition
from eventuary.engines.jetstream.api import Message
from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.subjects import Subjects, token_of
from eventuary.errors import Conflict, ServiceUnavailable
from eventuary.ids import NODE_LIMIT

KIND = "sb"
_SERVER = "server"

_T = TypeVar("_T")


class Main(msgspec.Struct, frozen=True):
    """A subscription as it was made, and last changed."""

    #: Another one: it was deleted, and made again.
    number: int
    revision: int
    space: str
    subscriber_id: str
    selection: dict[str, list[str]]
    policy: dict[str, int | float | str]
    paused: bool
    created_at: int


class Lane(msgspec.Struct, frozen=True, array_like=True):
    """A swimlane of a subscription. ``holder``: the server that has it, if it is still alive."""

    position: int
    epoch: int = 0
    holder: int | None = None


class Lanes(msgspec.Struct, frozen=True):
    """What changes while a subscription is delivered."""

    number: int
    lanes: list[Lane]
    #: Server to how many consumers it has.
    consumers: dict[int, int] = {}
    #: Position of a dead letter to what an operator wants done with it.
    wishes: dict[int, str] = {}


class Found(msgspec.Struct, frozen=True):
    """A subscription, and the sequences by which its cells are changed."""

    main: Main
    main_at: int
    lanes: Lanes
    lanes_at: int

    @property
    def record(self) -> SubscriptionRecord:
        """As delivery knows it."""
        main = self.main
        return SubscriptionRecord(
            main.space,
            main.subscriber_id,
            main.selection,
            tuple(lane.position for lane in self.lanes.lanes),
            main.policy,
            main.paused,
            main.created_at,
        )


_encode = msgspec.json.Encoder().encode
_decode_main = msgspec.json.Decoder(Main).decode
_decode_lanes = msgspec.json.Decoder(Lanes).decode
_decode_dead_letter = msgspec.json.Decoder(DeadLetterRecord).decode


class Subscriptions:
    """Reads and changes them."""

    def __init__(self, cells: Cells, subjects: Subjects, catalogue: Catalogue) -> None:
        self._cells = cells
        self._subjects = subjects
        self._catalogue = catalogue

    # ── Looking ───────────────────────────────────────────────────────────────────────────────

    async def look(
        self, names: Sequence[tuple[str, str]]
    ) -> tuple[list[Found | None], frozenset[int]]:
        """Return subscriptions by name, and the servers that were alive at that same moment."""
        filters = [self._cell(*name, part) for name in names for part in ("main", "lanes")]
        cells = await self._cells.look([*filters, self._subjects.cell(_SERVER) + ".*"])
        found = [
            _found(cells.get(self._cell(*name, "main")), cells.get(self._cell(*name, "lanes")))
            for name in names
        ]
        prefix = self._subjects.cell(_SERVER) + "."
        servers = frozenset(
            int(subject.removeprefix(prefix))
            for subject, message in cells.items()
            if subject.startswith(prefix) and message.data
        )
        return found, servers

    async def load(self, space: str | None, subscriber_id: str | None) -> list[SubscriptionRecord]:
        """Return the stored subscriptions that match; None matches all.

        One that is named is as new as what any server has answered before.
        """
        if space is not None and subscriber_id is not None:
            await self._cells.catch_up()
            [one], _ = await self.look([(space, subscriber_id)])
            return [] if one is None else [one.record]
        of_space = "*" if space is None else token_of(space)
        of_subscriber = "*" if subscriber_id is None else token_of(subscriber_id)
        start = f"{self._subjects.cell(KIND)}.{of_space}.{of_subscriber}"
        return records_of(await self._cells.look([f"{start}.main", f"{start}.lanes"]))

    # ── Changing ──────────────────────────────────────────────────────────────────────────────

    async def create(self, record: SubscriptionRecord) -> None:
        """Create a subscription. Raises Conflict when it exists."""
        await self._fix_swimlanes(record)
        number = secrets.randbelow(NODE_LIMIT)
        try:
            await self._put(record, None, number)
        except Moved:
            [found], _ = await self.look([(record.space, record.subscriber_id)])
            if found is None or found.main.number != number:
                raise Conflict(
                    f"subscription {record.subscriber_id!r} exists already in space "
                    f"{record.space!r}"
                ) from None

    async def store(self, record: SubscriptionRecord) -> None:
        """Create or replace a subscription: leases of before store no positions any more."""
        await self._fix_swimlanes(record)
        while True:
            [found], _ = await self.look([(record.space, record.subscriber_id)])
            try:
                await self._put(record, found, secrets.randbelow(NODE_LIMIT))
            except Moved:
                continue
            return

    async def change(self, record: SubscriptionRecord) -> None:
        """Store what may change of a subscription that exists; its positions stay as they are."""
        while True:
            [found], _ = await self.look([(record.space, record.subscriber_id)])
            if found is None:
                return
            main = _main(record, found.main.number, found.main.revision + 1)
            main = msgspec.structs.replace(main, created_at=found.main.created_at)
            subject = self._cell(record.space, record.subscriber_id, "main")
            try:
                await self._cells.put(Change(subject, _encode(main), found.main_at))
            except Moved:
                continue
            return

    async def delete(self, space: str, subscriber_id: str) -> None:
        """Delete a subscription and what belongs to it, in one step."""
        await self._cells.forget(self._cell(space, subscriber_id, "") + ">")

    async def update(
        self,
        space: str,
        subscriber_id: str,
        change: Callable[[Lanes, frozenset[int]], tuple[Lanes, _T]],
    ) -> _T | None:
        """Change a subscription's lanes, given the servers alive; None: there is none.

        ``change`` is called again when others were faster; it returns the very lanes that it was
        given when there is nothing to change, and what this method is to return.
        """
        while True:
            [found], servers = await self.look([(space, subscriber_id)])
            if found is None:
                return None
            lanes, result = change(found.lanes, servers)
            if lanes is found.lanes:
                return result
            subject = self._cell(space, subscriber_id, "lanes")
            try:
                await self._cells.put(Change(subject, _encode(lanes), found.lanes_at))
            except Moved:
                continue
            return result

    async def store_positions(self, positions: Sequence[SwimlanePosition], holder: int) -> None:
        """Store positions; those of unknown subscriptions, or leases not held, are passed over."""
        by_name: dict[tuple[str, str], list[SwimlanePosition]] = {}
        for each in positions:
            by_name.setdefault((each.space, each.subscriber_id), []).append(each)
        for name, of_this in by_name.items():

            def change(
                lanes: Lanes,
                servers: frozenset[int],
                of_this: list[SwimlanePosition] = of_this,
            ) -> tuple[Lanes, None]:
                moved = list(lanes.lanes)
                for each in of_this:
                    lane = moved[each.swimlane]
                    if each.epoch is None:
                        may = lane.holder is None or lane.holder not in servers
                    else:
                        may = lane.epoch == each.epoch and lane.holder == holder
                    if may:
                        moved[each.swimlane] = Lane(each.position, lane.epoch, lane.holder)
                if moved == lanes.lanes:
                    return lanes, None
                return msgspec.structs.replace(lanes, lanes=moved), None

            await self.update(*name, change)

    # ── Dead letters ──────────────────────────────────────────────────────────────────────────

    async def dead_letters(
        self, space: str | None, subscriber_id: str | None
    ) -> list[DeadLetterRecord]:
        """Return dead letters, lowest position first; None: of all.

        Those of one subscription are as new as what any server has answered before.
        """
        if space is not None and subscriber_id is not None:
            await self._cells.catch_up()
        of_space = "*" if space is None else token_of(space)
        of_subscriber = "*" if subscriber_id is None else token_of(subscriber_id)
        start = f"{self._subjects.cell(KIND)}.{of_space}.{of_subscriber}"
        return dead_letters_of(await self._cells.look([f"{start}.dead.*"]))

    async def store_dead_letter(
        self, record: DeadLetterRecord, epoch: int | None, holder: int
    ) -> None:
        """Park an event; nothing happens when its subscription, or the lease, is gone."""
        name = (record.space, record.subscriber_id)
        while True:
            [found], _ = await self.look([name])
            if found is None:
                return
            lane = found.lanes.lanes[record.swimlane]
            if epoch is not None and (lane.epoch, lane.holder) != (epoch, holder):
                return
            change = self.parked(record)
            change = msgspec.structs.replace(
                change, expected=found.lanes_at, expected_of=self._cell(*name, "lanes")
            )
            try:
                await self._cells.put(change)
            except Moved:
                continue
            return

    def parked(self, record: DeadLetterRecord) -> Change:
        """Return the change that parks an event, whatever its subscription is like."""
        name = (record.space, record.subscriber_id)
        return Change(self._cell(*name, "dead", str(record.position)), _encode(record), None)

    async def delete_dead_letter(self, space: str, subscriber_id: str, position: int) -> None:
        """Forget a dead letter."""
        await self._cells.forget(self._cell(space, subscriber_id, "dead", str(position)))

    # ── Cells ─────────────────────────────────────────────────────────────────────────────────

    def _cell(self, space: str, subscriber_id: str, *parts: str) -> str:
        return ".".join((self._subjects.cell(KIND, space, subscriber_id), *parts))

    async def _put(self, record: SubscriptionRecord, found: Found | None, number: int) -> None:
        """Write both cells as a record says, in place of those that were found.

        ``number``: that of a new one.
        """
        if found is None:
            revision, main_at, lanes_at = 0, 0, 0
            lanes = Lanes(number, [Lane(position) for position in record.positions])
        else:
            number, revision = found.main.number, found.main.revision + 1
            main_at, lanes_at = found.main_at, found.lanes_at
            # A new epoch: whoever delivers from the positions of before stores none of them.
            lanes = msgspec.structs.replace(
                found.lanes,
                lanes=[
                    Lane(position, lane.epoch + 1, lane.holder)
                    for lane, position in zip(found.lanes.lanes, record.positions, strict=True)
                ],
            )
        name = (record.space, record.subscriber_id)
        main = _main(record, number, revision)
        await self._cells.put_all(
            [
                Change(self._cell(*name, "main"), _encode(main), main_at),
                Change(self._cell(*name, "lanes"), _encode(lanes), lanes_at),
            ]
        )

    async def _fix_swimlanes(self, record: SubscriptionRecord) -> None:
        swimlanes = await self._catalogue.fix_space(record.space)
        if len(record.positions) != swimlanes:
            # Another server has just begun this space, with another number of swimlanes.
            raise ServiceUnavailable(
                f"space {record.space!r} has {swimlanes} swimlanes, and not "
                f"{len(record.positions)}: nothing was written, try again"
            )


def records_of(cells: Mapping[str, Message]) -> list[SubscriptionRecord]:
    """Return the subscriptions that these cells, by subject, hold."""
    records = []
    for subject, main in cells.items():
        name, _, part = subject.rpartition(".")
        if part == "main":
            found = _found(main, cells.get(f"{name}.lanes"))
            if found is not None:
                records.append(found.record)
    return sorted(records, key=lambda record: (record.space, record.subscriber_id))


def dead_letters_of(cells: Mapping[str, Message]) -> list[DeadLetterRecord]:
    """Return the dead letters that these cells, by subject, hold: lowest position first."""
    records = [
        _decode_dead_letter(each.data)
        for subject, each in cells.items()
        if subject.rsplit(".", 2)[1] == "dead"
    ]
    return sorted(records, key=lambda record: record.position)


def _main(record: SubscriptionRecord, number: int, revision: int) -> Main:
    return Main(
        number,
        revision,
        record.space,
        record.subscriber_id,
        record.selection,
        record.policy,
        record.paused,
        record.created_at,
    )


def _found(main: Message | None, lanes: Message | None) -> Found | None:
    """Return a subscription of its cells, which are there both or none of them."""
    if main is None or lanes is None:
        return None
    return Found(_decode_main(main.data), main.sequence, _decode_lanes(lanes.data), lanes.sequence)
