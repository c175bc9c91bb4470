"""Operations on one entity as those who called them saw them.

An event is known by its tag, which its writer chose: what was never answered can be recognised when
it is read. So a version is the tag of an entity's last event, whatever id the store gave it.
"""

import math
from enum import StrEnum

import msgspec


class Answer(StrEnum):
    """What became of an operation, other than the events that were read."""

    DONE = "done"  #: its events are stored
    EXISTS = "exists"  #: refused: there is such an entity already
    NOT_FOUND = "not found"  #: there is no such entity
    CONFLICT = "conflict"  #: refused: it is at another version
    DUPLICATE = "duplicate"  #: refused: the trigger was applied already
    UNKNOWN = "unknown"  #: no answer came: it takes effect at any time from its call on, or never


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """A creation (``expected`` None), or an append to the version ``expected``.

    ``called`` and ``returned`` are seconds of one clock.
    """

    called: float
    returned: float
    tags: tuple[str, ...]
    expected: str | None
    answer: Answer
    trigger: str | None = None

    @property
    def ends(self) -> float:
        """When it had taken effect, if it has any; what was not answered may do so for ever."""
        return math.inf if self.answer is Answer.UNKNOWN else self.returned


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was answered: with the events' tags, or (None) that there is no such entity."""

    called: float
    returned: float
    tags: tuple[str, ...] | None

    @property
    def ends(self) -> float:
        """When it had been carried out."""
        return self.returned


Operation = Write | Read
