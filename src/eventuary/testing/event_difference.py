"""How the events that came differ from those that were expected: as a list to be read."""

from collections.abc import Sequence

from eventuary.framework.event import AnyEvent
from eventuary.testing.difference import differences, shown

#: What a pair of events is worth when events are laid side by side.
_SAME = 1000
_SAME_TYPE = 1


def event_differences(expected: Sequence[AnyEvent], got: Sequence[AnyEvent]) -> str:
    """Return a numbered list, with the fields that differ; empty when nothing does."""
    lines: list[str] = []
    differ = False
    for number, (one, other) in enumerate(_side_by_side(expected, got), start=1):
        if one is None:
            lines.append(f"  {number}. additional: {shown(other)}")
        elif other is None:
            lines.append(f"  {number}. missing: {shown(one)}")
        elif fields := _of_two(one, other):
            lines.append(f"  {number}. {type(other).__name__}")
            lines += [f"       {each}" for each in fields]
        else:
            lines.append(f"  {number}. as expected: {shown(other)}")
            continue
        differ = True
    return "\n".join(lines) if differ else ""


def _of_two(expected: AnyEvent, got: AnyEvent) -> list[str]:
    if type(expected) is not type(got):
        return [f"expected {shown(expected)}, got {shown(got)}"]
    return differences(expected, got)


def _side_by_side(
    expected: Sequence[AnyEvent], got: Sequence[AnyEvent]
) -> list[tuple[AnyEvent | None, AnyEvent | None]]:
    """Pair as many as can be, in order: those that are the same first, then those of one type."""
    # worth[i][j]: the best that can be made of expected[i:] and got[j:]
    worth = [[0] * (len(got) + 1) for _ in range(len(expected) + 1)]
    for i in reversed(range(len(expected))):
        for j in reversed(range(len(got))):
            worth[i][j] = max(
                worth[i + 1][j], worth[i][j + 1], worth[i + 1][j + 1] + _worth(expected[i], got[j])
            )
    pairs: list[tuple[AnyEvent | None, AnyEvent | None]] = []
    i = j = 0
    while i < len(expected) and j < len(got):
        here = _worth(expected[i], got[j])
        if here and worth[i][j] == worth[i + 1][j + 1] + here:
            pairs.append((expected[i], got[j]))
            i, j = i + 1, j + 1
        elif worth[i][j] == worth[i + 1][j]:
            pairs.append((expected[i], None))
            i += 1
        else:
            pairs.append((None, got[j]))
            j += 1
    pairs += [(each, None) for each in expected[i:]]
    pairs += [(None, each) for each in got[j:]]
    return pairs


def _worth(expected: AnyEvent, got: AnyEvent) -> int:
    if type(expected) is not type(got):
        return 0
    return _SAME if not differences(expected, got) else _SAME_TYPE
