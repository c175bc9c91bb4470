"""The law of delivery, tried by Hypothesis on the real store: any interleaving of subscribe,
acknowledge, refuse, disconnect, stall, restart and append loses no event and keeps order.
"""

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.delivery.interleaving import endings, play, steps


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=10, max_size=80), endings)
def test_any_interleaving_loses_nothing_and_keeps_order(
    script: list[tuple[str, int, int]], ending: str
) -> None:
    uvloop.run(play(script, ending))


@pytest.mark.torture
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=10, max_size=80), endings)
def test_nor_does_any_of_many_more(script: list[tuple[str, int, int]], ending: str) -> None:
    uvloop.run(play(script, ending))
