"""Turns at entities: in order, and not waited for without end."""

import asyncio

import pytest

from eventuary.engines.jetstream.turns import Turns
from eventuary.errors import ServiceUnavailable


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_turns_come_in_order() -> None:
    turns, had = Turns(), list[int]()

    async def have(number: int) -> None:
        async with turns.of(["a", "b"], _in(30)):
            had.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(have(number) for number in range(6)))
    assert had == list(range(6))


async def test_one_that_does_not_come_is_given_up() -> None:
    """While nobody leads, each append ahead takes its time; nobody waits for all of them."""
    turns = Turns()
    async with turns.of(["a"], _in(30)):
        waiting = [asyncio.create_task(_have(turns, "a")) for _ in range(10)]
        done, late = await asyncio.wait(waiting, timeout=20)
        assert not late
        for each in done:
            assert isinstance(each.exception(), ServiceUnavailable)
        async with turns.of(["b"], _in(30)):
            pass
    async with turns.of(["a"], _in(30)):
        pass
    assert not turns._queues, "nothing is left of them"


async def _have(turns: Turns, name: str) -> None:
    async with turns.of([name], _in(0.05)):
        pytest.fail("others had the turn")
