"""The law of delivery, in longer scripts than the ordinary tests play, and many more of them."""

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.delivery.interleaving import endings, play, steps
from tests.torture.conftest import Begin

pytestmark = pytest.mark.torture

#: Scripts of one seed; the next ones have the next seed.
_EXAMPLES = 25


def test_schedules(begin: Begin) -> None:
    run = begin(70)
    played = steps_played = 0

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(10, 300).flatmap(_scripts), endings)
    def play_some(script: list[tuple[str, int, int]], ending: str) -> None:
        nonlocal played, steps_played
        uvloop.run(play(script, ending))
        played += 1
        steps_played += len(script)
        if run.quiet:
            run.say(f"{played} scripts of {steps_played / played:.0f} steps each")

    chunk = 0
    while not run.over:
        seed(run.seed + chunk)(play_some)()
        chunk += 1
    run.say(f"{played} scripts of {steps_played / played:.0f} steps each, all as the law says")


def _scripts(size: int) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    return st.lists(steps, min_size=size, max_size=size)
