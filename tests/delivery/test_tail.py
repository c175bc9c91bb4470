"""The tail is bounded, and tells where it begins."""

from eventuary.delivery.tail import Tail
from eventuary.engines.engine import Committed
from eventuary.events import LogEvent


def event(position: int, data: str = "x") -> LogEvent:
    return LogEvent(position, "id", "s", "T", "i", "E", data, None, 0, None)


def test_events_are_found_by_position() -> None:
    tail = Tail(10)
    tail.extend(Committed(15, [event(position) for position in range(11, 16)]))
    assert (tail.start, tail.head, len(tail)) == (10, 15, 5)
    assert [each.position for each in tail.after(10, 100)] == [11, 12, 13, 14, 15]
    assert [each.position for each in tail.after(12, 2)] == [13, 14]
    assert list(tail.after(15, 10)) == []


def test_it_holds_so_many_events_and_no_more() -> None:
    tail = Tail(0, most_events=100)
    for position in range(1, 1001):
        tail.extend(Committed(position, [event(position)]))
        assert len(tail) <= 100
    first = tail.after(tail.start, 1)[0]
    assert first.position == tail.start + 1
    assert tail.head == 1000
    assert len(tail) >= 75


def test_it_holds_so_many_characters_and_no_more() -> None:
    tail = Tail(0, most_characters=1000)
    for position in range(1, 50):
        tail.extend(Committed(position, [event(position, "x" * 300)]))
        assert len(tail) <= 3
        assert tail.start == position - len(tail)
    tail.extend(Committed(50, [event(50, "x" * 5000)]))
    assert (len(tail), tail.start) == (0, 50)


def test_commits_whose_events_are_unknown_empty_it() -> None:
    tail = Tail(0)
    tail.extend(Committed(1, [event(1)]))
    tail.extend(Committed(7, None))
    assert (len(tail), tail.start, tail.head) == (0, 7, 7)
