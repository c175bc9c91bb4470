"""What a cell says of the migration that made this log; and that servers keep away from it.

A migration and a server each say that they are here before they look for the other (presence.py),
so that one of the two sees the other and leaves.
"""

import msgspec

from eventuary.engines.copying import Migration, unfinished
from eventuary.engines.jetstream.api import Message
from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.presence import Kind, Presence, present
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ConfigurationError

_KIND = "migration"


class Mark(msgspec.Struct, frozen=True):
    """What is said of a migration."""

    migration: Migration
    #: The highest number of a server that is in an id which was copied here, if it was given.
    given_number: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


class FoundMark(msgspec.Struct, frozen=True):
    """A mark, and the sequence by which its cell is changed."""

    mark: Mark
    at: int


async def read_mark(cells: Cells, subjects: Subjects) -> FoundMark | None:
    """Return what is said of a migration; None if none has made this log."""
    found: Message | None = await cells.get(subjects.cell(_KIND))
    return None if found is None else FoundMark(_decode(found.data), found.sequence)


async def write_mark(cells: Cells, subjects: Subjects, mark: Mark, expected: int) -> FoundMark:
    """Say this of a migration, in place of what was said at ``expected``. Raises Moved."""
    return FoundMark(mark, await cells.put(Change(subjects.cell(_KIND), _encode(mark), expected)))


async def check_is_finished(cells: Cells, subjects: Subjects, shown: str) -> int:
    """Return the highest number of a server that was copied here, which may be 0.

    Raises ConfigurationError for a log that is still being made.
    """
    found = await read_mark(cells, subjects)
    if found is None:
        return 0
    if found.mark.migration.finished_at is None:
        raise unfinished(shown, found.mark.migration.source)
    return found.mark.given_number


async def join(wire: Wire, cells: Cells, subjects: Subjects, shown: str) -> tuple[Presence, int]:
    """Let a server join those of a log; returns that it is there, and its own number.

    The number, by which ids of events are told apart, was given to no other server of this log,
    nor of the one that it is a copy of. Raises ConfigurationError when it must not be served.
    """
    presence = Presence(wire, cells, subjects, Kind.SERVER)
    await presence.come()
    try:
        copied = await check_is_finished(cells, subjects, shown)
        migrations = await present(wire, cells, subjects, Kind.MIGRATION)
        if migrations:
            raise ConfigurationError(
                f"engine: {shown}: a migration has it at this moment ({', '.join(migrations)}): "
                "start when it has ended"
            )
        return presence, copied + await cells.number(subjects.cell("number"))
    except BaseException:
        await presence.go()
        raise
