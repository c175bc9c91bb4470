"""given events, when a command, then events: domain code tested without a store or an event loop.

    created = OrderCreated("ada", Decimal(10))

    given(Order).when_creating(Order.create, "ada", Decimal(10)).then(created)
    given(Order, created).when(Order.approve).then(OrderApproved())
    given(Order, created, OrderApproved()).when(Order.approve).then_nothing()
    given(Order, created).when(Order.cancel).then_raises(NotToBeCancelled, match="not approved")

Beside what is asked, each of these fails for what would go wrong in earnest: a command that changes
the state it is shown, ``@apply`` methods that make two states of the same events, and events that
would come back from a store otherwise than they went in.
"""

import re
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from eventuary.framework.aggregate import Aggregate, Decision, decided, fold
from eventuary.framework.event import AnyEvent
from eventuary.framework.loading import identify
from eventuary.framework.metadata import Metadata
from eventuary.testing.condition import text_of
from eventuary.testing.difference import attribute_differences, attributes, differences, shown
from eventuary.testing.event_difference import event_differences

_A = TypeVar("_A", bound=Aggregate)
_P = ParamSpec("_P")

#: The id that an aggregate has in a specification, unless another is given.
ENTITY_ID = "entity-1"
_VERSION = "0000000000000001-0000000000000001"


def given(aggregate_type: type[_A], *events: AnyEvent, entity_id: str = ENTITY_ID) -> "Given[_A]":
    """Begin a specification: an aggregate to which these events have happened, oldest first.

    ``entity_id``: what the aggregate takes for its id. Raises TypeError for an event that the
    aggregate does not apply.
    """
    return Given(aggregate_type, events, entity_id)


class Given(Generic[_A]):
    """An aggregate's past. Made by ``given``."""

    def __init__(
        self, aggregate_type: type[_A], events: tuple[AnyEvent, ...], entity_id: str
    ) -> None:
        __tracebackhide__ = True
        self._aggregate_type = aggregate_type
        self._events = events
        self._entity_id = entity_id
        self._check_that_they_come_back(events)
        self._state(events)

    def when(
        self,
        command: Callable[Concatenate[_A, _P], Decision],
        *arguments: _P.args,
        **keywords: _P.kwargs,
    ) -> "Outcome[_A]":
        """Run a command on the aggregate. Raises TypeError when nothing has happened to it yet."""
        __tracebackhide__ = True
        if not self._events:
            raise TypeError(
                f"given({self._aggregate_type.__name__}) has no events, so there is no "
                f"{self._aggregate_type.__name__} yet: give some, or say when_creating()"
            )
        aggregate = self._state(self._events)
        return self._outcome(
            text_of(command), lambda: command(aggregate, *arguments, **keywords), aggregate
        )

    def when_creating(
        self, command: Callable[_P, Decision], *arguments: _P.args, **keywords: _P.kwargs
    ) -> "Outcome[_A]":
        """Run a command that creates an aggregate. Raises TypeError when there are events."""
        __tracebackhide__ = True
        if self._events:
            raise TypeError(
                f"given({self._aggregate_type.__name__}, …) has events, so it exists already: "
                "leave them out, or say when()"
            )
        return self._outcome(text_of(command), lambda: command(*arguments, **keywords), None)

    def _outcome(
        self, name: str, command: Callable[[], Decision], shown_to_it: _A | None
    ) -> "Outcome[_A]":
        __tracebackhide__ = True
        events: tuple[AnyEvent, ...] = ()
        raised: Exception | None = None
        try:
            decision = command()
        except Exception as error:  # noqa: BLE001 - it may be what is specified
            raised = error.with_traceback(_from_outside(error.__traceback__))
        else:
            events = decided(decision)
        if shown_to_it is not None:
            self._check_that_nothing_changed(name, shown_to_it)
        self._check_that_they_come_back(events)
        return Outcome(name, events, raised, self._state((*self._events, *events)))

    def _state(self, events: tuple[AnyEvent, ...]) -> _A:
        """Return the aggregate, rebuilt from events."""
        __tracebackhide__ = True
        aggregate, again = self._folded(events), self._folded(events)
        found = attribute_differences(aggregate, again)
        if found:
            raise AssertionError(
                f"{self._aggregate_type.__name__}: the same events, applied twice, make two "
                "states; @apply methods take all they need from the event:\n" + _list(found)
            )
        return aggregate

    def _folded(self, events: tuple[AnyEvent, ...]) -> _A:
        aggregate = fold(self._aggregate_type(), events)
        if events:
            identify(aggregate, self._entity_id, _VERSION)
        return aggregate

    def _check_that_nothing_changed(self, name: str, aggregate: _A) -> None:
        __tracebackhide__ = True
        found = attribute_differences(self._folded(self._events), aggregate)
        if found:
            raise AssertionError(
                f"{name} changes the state it is shown (expected: what it was); commands decide, "
                "@apply methods change:\n" + _list(found)
            )

    def _check_that_they_come_back(self, events: tuple[AnyEvent, ...]) -> None:
        """Raise AssertionError for an event that a store would not give back as it is."""
        __tracebackhide__ = True
        codec = self._aggregate_type.__codec__
        for event in events:
            entity_type, event_type = event.__event__.type
            try:
                [stored] = codec.encode([event], Metadata())
                back = codec.decode(entity_type, event_type, stored.event_data, stored.metadata)
            except Exception as error:
                raise AssertionError(f"{shown(event)} can't be stored and read: {error}") from error
            if back is not None and (found := differences(event, back)):
                raise AssertionError(
                    f"{shown(event)} would be read from a store as {shown(back)}:\n" + _list(found)
                )


class Outcome(Generic[_A]):
    """What a command did. Made by ``when``; it wants to be checked by one of the ``then`` methods.

    They raise AssertionError with the difference as text, and return this, to go on.
    """

    def __init__(
        self, name: str, events: tuple[AnyEvent, ...], raised: Exception | None, state: _A
    ) -> None:
        self._name = name
        self._events = events
        self._raised = raised
        self._state = state
        self._checked = False

    def then(self, *events: AnyEvent) -> Self:
        """Expect these events, in this order."""
        __tracebackhide__ = True
        self._expect_no_error()
        found = event_differences(events, self._events)
        if found:
            expected = "other events than expected" if self._events else "no events"
            raise AssertionError(f"{self._name} emitted {expected}:\n{found}")
        return self

    def then_nothing(self) -> Self:
        """Expect that the command decided for nothing."""
        __tracebackhide__ = True
        self._expect_no_error()
        if self._events:
            raise AssertionError(
                f"{self._name} emitted events, and none was expected:\n"
                + event_differences((), self._events)
            )
        return self

    def then_raises(self, kind: type[Exception], *, match: str | None = None) -> Self:
        """Expect the command to refuse. ``match``: a regular expression found in the text."""
        __tracebackhide__ = True
        self._checked = True
        expected = kind.__name__ + (f" matching {match!r}" if match is not None else "")
        raised = self._raised
        if raised is None:
            raise AssertionError(
                f"{self._name} did not raise {expected}; it emitted "
                + (f"events:\n{event_differences((), self._events)}" if self._events else "nothing")
            )
        if not isinstance(raised, kind) or (match and not re.search(match, str(raised))):
            raise AssertionError(
                f"{self._name} did not raise {expected}, but {type(raised).__name__}: {raised}"
            ) from raised
        return self

    def and_state(self, condition: Callable[[_A], bool]) -> Self:
        """Expect something of the state after the events.

        Raises TypeError for a condition that answers neither True nor False.
        """
        __tracebackhide__ = True
        answer = condition(self.state)
        if not isinstance(answer, bool):
            raise TypeError(
                f"{text_of(condition)} answers {shown(answer)}: compare, so that it is True or "
                "False, or take .state and assert what you like"
            )
        if not answer:
            state = attributes(self._state)
            raise AssertionError(
                f"{self._name} does not lead to a state of which holds: {text_of(condition)}\n"
                + _list([f"{name} = {shown(value)}" for name, value in state.items()])
            )
        return self

    @property
    def state(self) -> _A:
        """The aggregate after the events. What the command raised is raised, unless expected."""
        if not self._checked:
            self._expect_no_error()
        return self._state

    @property
    def events(self) -> tuple[AnyEvent, ...]:
        """What the command emitted. What it raised is raised, unless expected."""
        if not self._checked:
            self._expect_no_error()
        return self._events

    def _expect_no_error(self) -> None:
        __tracebackhide__ = True
        self._checked = True
        if self._raised is not None:
            raise AssertionError(
                f"{self._name} raised {type(self._raised).__name__}: {self._raised}"
            ) from self._raised

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not getattr(self, "_checked", True):
            _warn(
                f"what {self._name} did was never checked: add .then(…), .then_nothing() or "
                ".then_raises(…)",
                RuntimeWarning,
                stacklevel=2,
            )


def _from_outside(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out our own part of a traceback: its reader looks for the command's."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


def _list(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
