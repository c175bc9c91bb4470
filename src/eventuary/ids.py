"""Identifiers of events, entity versions and generated entities: the protocol's "Int128".

Text form ``hhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh``: two unsigned 64-bit numbers, each 16 lower-case
hexadecimal digits. The high half is milliseconds since the epoch; the low half is a 48-bit node
number followed by a 16-bit counter (protocol.md, section 1). Zero-padded text sorts as the
numbers do, so ids are kept as text everywhere and compared as text.
"""

import re
import secrets
import time
from collections.abc import Callable

from eventuary.errors import BadRequest

#: Sorts before every id that a server hands out.
ZERO_ID = "0000000000000000-0000000000000000"

#: Exclusive upper bound of node numbers (48 bits).
NODE_LIMIT = 1 << 48

_COUNTER_LIMIT = 1 << 16
_LENIENT = re.compile(r"([0-9a-fA-F]{1,16})-([0-9a-fA-F]{1,16})")


def parse_id(text: str, field: str) -> str:
    """Return ``text`` as a zero-padded lower-case id; short halves (``1-2``) are accepted.

    Raises BadRequest naming ``field`` when the text is not two hexadecimal halves.
    """
    match = _LENIENT.fullmatch(text)
    if match is None:
        raise BadRequest(
            f"{field}: {text[:80]!r} is not an id; expected two hexadecimal numbers of up to "
            "16 digits each, joined by '-'"
        )
    high, low = match.groups()
    return f"{high.lower():0>16}-{low.lower():0>16}"


def new_node_number() -> int:
    """Return a random 48-bit node number."""
    return secrets.randbelow(NODE_LIMIT)


class IdGenerator:
    """Hands out strictly growing ids of one node; never goes back, even if the clock does.

    ``after`` is the highest id already used by this node's log: the first id handed out is
    above it whatever the clock says. When 65,536 ids fall into one millisecond, the next
    ones borrow the milliseconds that follow. Not thread-safe: one writer owns it.
    """

    def __init__(
        self,
        node: int,
        after: str = ZERO_ID,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if not 0 <= node < NODE_LIMIT:
            raise ValueError(f"node number {node} is outside 0..{NODE_LIMIT - 1}")
        self._node_digits = f"{node:012x}"
        self._prefix = ""  # all but the counter, of the current millisecond
        self._clock = clock
        self._begin(int(after[:16], 16))
        # Whatever `after` has used of its millisecond: begin the next.
        self._counter = 0 if after == ZERO_ID else _COUNTER_LIMIT

    def next_id(self) -> str:
        """Return the next id, above all those returned before."""
        counter = self._counter
        now = self._clock() // 1_000_000
        if now > self._millisecond:
            self._begin(now)
            counter = 0
        elif counter >= _COUNTER_LIMIT:
            self._begin(self._millisecond + 1)
            counter = 0
        self._counter = counter + 1
        return f"{self._prefix}{counter:04x}"

    def _begin(self, millisecond: int) -> None:
        self._millisecond = millisecond
        self._prefix = f"{millisecond:016x}-{self._node_digits}"
