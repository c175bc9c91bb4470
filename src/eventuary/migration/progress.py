"""What a migration says of itself while it runs."""

from collections.abc import Callable

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """How far it has come."""

    #: What it does: ``copying`` or ``comparing``.
    doing: str
    #: Events that this run has done of it.
    done: int
    #: Events that are left of it, as far as the source had come when that was asked.
    left: int


Report = Callable[[Progress], None]
