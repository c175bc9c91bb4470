"""eventually: how long it waits, what counts as not yet, and what it says in the end."""

import asyncio
import time

import pytest

from eventuary import AggregateNotFound
from eventuary.testing import eventually


async def test_it_returns_when_a_condition_holds() -> None:
    seen: list[int] = []
    asyncio.get_running_loop().call_later(0.02, seen.append, 1)
    started = time.monotonic()
    await eventually(lambda: len(seen) == 1)
    assert time.monotonic() - started >= 0.019

    async def seen_too() -> bool:
        await asyncio.sleep(0)
        return len(seen) == 1

    await eventually(seen_too)


async def test_it_returns_when_assertions_hold() -> None:
    seen: dict[str, int] = {}
    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            seen["a"] = 1
        assert seen["a"] == 1, "never with a KeyError"

    async def check_too() -> None:
        check()

    await eventually(check_too)
    await eventually(check)
    assert len(looks) > 3


@pytest.mark.parametrize("error", [AssertionError, KeyError, IndexError, AggregateNotFound])
async def test_what_is_not_there_yet_may_come(error: type[Exception]) -> None:
    looks: list[int] = []

    def third() -> None:
        looks.append(1)
        if len(looks) < 3:
            raise error("not yet")

    await eventually(third)
    assert len(looks) == 3


async def test_any_other_error_is_raised_at_once() -> None:
    for error in (ValueError("broken"), TimeoutError("its own"), asyncio.CancelledError()):

        async def broken(error: BaseException = error) -> None:
            raise error

        started = time.monotonic()
        with pytest.raises(type(error)) as caught:
            await eventually(broken)
        assert caught.value is error
        assert time.monotonic() - started < 5


async def test_when_time_is_up_it_says_what_did_not_hold() -> None:
    number = 3
    with pytest.raises(AssertionError) as caught:
        await eventually(lambda: number == 4, within=0.03)
    assert str(caught.value) == "not within 0.03 s: number == 4: is False"

    def check() -> None:
        assert number == 4, f"it is {number}"

    with pytest.raises(
        AssertionError, match=r"within 0.03 s: check: AssertionError: it is 3"
    ) as of:
        await eventually(check, within=0.03)
    assert isinstance(of.value.__cause__, AssertionError), "its own traceback can be read"

    orders: dict[str, int] = {}

    async def there() -> bool:
        return orders["order-1"] == 1

    with pytest.raises(AssertionError, match=r"there: KeyError: 'order-1'"):
        await eventually(there, within=0)


async def test_a_condition_that_does_not_end_is_ended() -> None:
    ended: list[int] = []

    async def endless() -> bool:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(1)
        return True

    with pytest.raises(AssertionError, match=r"not within 0.02 s: endless: has not come to an end"):
        await eventually(endless, within=0.02)
    assert ended == [1]


async def test_the_last_failure_is_told_even_if_the_last_look_did_not_end() -> None:
    looks: list[int] = []

    async def slower() -> None:
        looks.append(1)
        if len(looks) > 1:
            await asyncio.sleep(3600)
        raise AssertionError("the first look's")

    with pytest.raises(AssertionError, match="the first look's"):
        await eventually(slower, within=0.05)


async def test_answers_that_are_neither_true_nor_false_are_refused() -> None:
    orders: dict[str, str] = {}
    with pytest.raises(TypeError, match=r'orders.get\("o"\) answers None: compare, so that it is'):
        await eventually(lambda: orders.get("o"))  # type: ignore[arg-type,return-value]  # the point

    def number() -> int:
        return 1

    with pytest.raises(TypeError, match="number answers 1: compare"):
        await eventually(number)  # type: ignore[arg-type]  # ditto


async def test_the_text_of_a_condition_is_what_was_written() -> None:
    numbers = [1, 2]
    with pytest.raises(AssertionError) as caught:
        await eventually(
            lambda: (
                sum(numbers) == 4  # over several lines, with ünïcödé
                and numbers[0] == 1
            ),
            within=0,
        )
    assert "sum(numbers) == 4" in str(caught.value)
    assert "numbers[0] == 1" in str(caught.value)
    words = ["a"]
    with pytest.raises(AssertionError, match='s: "ünïcödé" in words: is False'):
        await eventually(lambda: "ünïcödé" in words, within=0)
