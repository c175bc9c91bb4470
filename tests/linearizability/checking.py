"""The search for one order of operations in which each took effect at once, between call and end.

Wing and Gong's, with Lowe's memory of what was tried. An operation that changes nothing and fits is
placed as soon as it may be: whatever order there is goes on without it. So the search only branches
where several writes fit, which they do when some were never answered.
"""

from collections.abc import Sequence

from tests.linearizability.operations import Answer, Operation, Read, Write
from tests.linearizability.specification import Entity, after, answer_to, answers_as

#: Places tried; a history that needs more is too long, or too much of it was never answered.
MOST_STEPS = 200_000


class NotLinearizable(AssertionError):
    """There is no such order."""


class TooHard(Exception):
    """The search was given up: nothing is known of this history."""


def check(operations: Sequence[Operation], most_steps: int = MOST_STEPS) -> None:
    """Return if the operations on one entity have an order. Raises NotLinearizable and TooHard."""
    _Search(operations, most_steps).run()


class _Search:
    def __init__(self, operations: Sequence[Operation], most_steps: int) -> None:
        self._operations = sorted(operations, key=lambda each: each.called)
        self._left = most_steps
        self._tried: set[tuple[frozenset[int], Entity]] = set()
        #: The furthest that was got: what was placed, and the entity then.
        self._best: tuple[list[int], Entity] = ([], Entity())

    def run(self) -> None:
        """Depth first, on a list of our own: Python's stack is short."""
        ways = [(frozenset(range(len(self._operations))), Entity(), list[int]())]
        while ways:
            pending, entity, placed = ways.pop()
            pending, placed = self._place_what_changes_nothing(pending, entity, placed)
            if len(placed) >= len(self._best[0]):
                self._best = (placed, entity)
            if all(self._is_unknown(each) for each in pending):
                return
            if (pending, entity) in self._tried:
                continue
            self._tried.add((pending, entity))
            self._left -= 1
            if self._left < 0:
                raise TooHard(f"{len(self._operations)} operations: the search was given up")
            for each in self._may_be_next(pending):
                write = self._operations[each]
                if isinstance(write, Write) and _takes_effect(write, entity):
                    ways.append((pending - {each}, after(entity, write), [*placed, each]))
        raise NotLinearizable(self._explanation())

    def _place_what_changes_nothing(
        self, pending: frozenset[int], entity: Entity, placed: list[int]
    ) -> tuple[frozenset[int], list[int]]:
        while True:
            fitting = [
                each
                for each in self._may_be_next(pending)
                if _changes_nothing(self._operations[each], entity)
            ]
            if not fitting:
                return pending, placed
            pending, placed = pending - set(fitting), placed + fitting

    def _may_be_next(self, pending: frozenset[int]) -> list[int]:
        """Those of which nothing else that is pending had ended before they were called."""
        first_end = min(self._operations[each].ends for each in pending) if pending else 0.0
        return sorted(each for each in pending if self._operations[each].called <= first_end)

    def _is_unknown(self, number: int) -> bool:
        operation = self._operations[number]
        return isinstance(operation, Write) and operation.answer is Answer.UNKNOWN

    def _explanation(self) -> str:
        placed, entity = self._best
        pending = frozenset(range(len(self._operations))) - set(placed)
        state = list(entity.tags) or "no events"
        return "\n".join(
            [
                "no order of these operations explains their answers; the longest that was found:",
                *(f"  {self._operations[each]}" for each in placed),
                f"leaves the entity with {state}, and then none fits of:",
                *(f"  {self._operations[each]}" for each in self._may_be_next(pending)),
            ]
        )


def _changes_nothing(operation: Operation, entity: Entity) -> bool:
    """Whether an operation was answered as now, and is no change."""
    if isinstance(operation, Read):
        return answers_as(entity, operation)
    refused = operation.answer not in (Answer.DONE, Answer.UNKNOWN)
    return refused and answer_to(entity, operation) is operation.answer


def _takes_effect(write: Write, entity: Entity) -> bool:
    return write.answer in (Answer.DONE, Answer.UNKNOWN) and answer_to(entity, write) is Answer.DONE
