"""The partitions of the log: a stream each, an entity always in the same one.

Which one is decided by the entity's swimlane (its number modulo the number of streams), so that
all events of a swimlane are in one stream, and have one order. An event's position holds both the
sequence that its stream gave it and the number of the partition: ``sequence * count + number``.
With one stream, positions are sequences.

How many there are is fixed when the log is made: another number would look for entities elsewhere.
"""

import msgspec

from eventuary.engines.jetstream.subjects import token_of


class Partition(msgspec.Struct, frozen=True):
    """One stream of the log."""

    number: int
    #: How many partitions there are.
    count: int
    stream: str
    #: What the subjects of its events begin with.
    events: str
    #: Not stored: on this subject the servers tell each other how far it reaches.
    head: str

    def subject(self, space: str, entity_type: str, entity_id: str) -> str:
        """Return the subject of an entity's events, if they are in this partition."""
        return f"{self.events}.{token_of(space)}.{token_of(entity_type)}.{token_of(entity_id)}"

    def position(self, sequence: int) -> int:
        """Return the position of the event with this sequence."""
        return sequence * self.count + self.number

    def sequence(self, position: int) -> int:
        """Return the last sequence whose position is not beyond ``position``; 0: there is none."""
        return max(0, (position - self.number) // self.count)


def partitions_of(name: str, count: int) -> tuple[Partition, ...]:
    """Return the partitions of a log. The first is named like the only one of another log."""

    def each(number: int) -> Partition:
        mark = f"-{number}" if number else ""
        return Partition(
            number, count, f"{name}-log{mark}", f"{name}.ev{mark}", f"{name}.head{mark}"
        )

    return tuple(each(number) for number in range(count))
