"""The law of delivery, tried by Hypothesis on the real store: any interleaving of subscribe,
acknowledge, refuse, disconnect, stall, restart and append loses no event and keeps order.
"""

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.delivery.interleaving import endings, play, steps
from tests.torture.run import Run

#: Seconds for which scripts are played, however many that are; so many have one seed.
_SECONDS = 30
_EXAMPLES = 25

_scripts = st.lists(steps, min_size=10, max_size=80)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_scripts, endings)
def test_any_interleaving_loses_nothing_and_keeps_order(
    script: list[tuple[str, int, int]], ending: str
) -> None:
    uvloop.run(play(script, ending))


@pytest.mark.torture
def test_nor_does_any_of_many_more() -> None:
    run = Run("many more interleavings", _SECONDS)
    played = 0

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(_scripts, endings)
    def play_some(script: list[tuple[str, int, int]], ending: str) -> None:
        nonlocal played
        uvloop.run(play(script, ending))
        played += 1

    chunk = 0
    while not run.over:
        seed(run.seed + chunk)(play_some)()
        chunk += 1
    run.say(f"{played} scripts, all as the law says")
