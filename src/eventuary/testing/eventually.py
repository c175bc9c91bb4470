"""Waiting in tests for what comes by itself: looked at until it holds, with a deadline."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import FunctionType

from eventuary.errors import NotFound
from eventuary.testing.condition import text_of

#: Seconds between two looks: at first, and at most.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

#: What a condition may raise that only means: not yet.
_NOT_YET = (AssertionError, LookupError, NotFound)

Condition = Callable[[], bool | Awaitable[bool | None] | None]


async def eventually(condition: Condition, *, within: float = 10.0) -> None:
    """Return when a condition holds; it is looked at again and again, for ``within`` seconds.

    The condition is a function, ``async`` or not. Either it answers True or False, or it asserts,
    and answers nothing once its assertions hold:

        await eventually(lambda: view.state("order-1") == "APPROVED")

        async def approved() -> None:
            assert (await orders.load("order-1")).state is OrderState.APPROVED

        await eventually(approved, within=5)

    LookupError and NotFound (there is no such order yet) count as failed assertions; whatever else
    it raises is raised. Raises AssertionError with the last failure when time is up, and TypeError
    for an answer that is neither True nor False, such as that of ``lambda: orders.get("order-1")``.
    """
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    pause = _FIRST_PAUSE
    why, failure = "has not come to an end", None
    while True:
        try:
            async with asyncio.timeout_at(end) as deadline:
                if _holds(condition, await _answer(condition)):
                    return
            why, failure = "is False", None
        except _NOT_YET as error:
            why, failure = f"{type(error).__name__}: {error}", error
        except TimeoutError:
            if not deadline.expired():
                raise
        if loop.time() >= end:
            raise AssertionError(
                f"not within {within:g} s: {text_of(condition)}: {why}"
            ) from failure
        await asyncio.sleep(min(pause, end - loop.time()))
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _answer(condition: Condition) -> object:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer


def _holds(condition: Condition, answer: object) -> bool:
    """Decide by an answer. A function that answers nothing has asserted; a lambda can't have."""
    is_lambda = isinstance(condition, FunctionType) and condition.__name__ == "<lambda>"
    if answer is None and not is_lambda:
        return True
    if not isinstance(answer, bool):
        raise TypeError(
            f"{text_of(condition)} answers {answer!r}: compare, so that it is True or False"
        )
    return answer
