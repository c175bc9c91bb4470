"""The hash that never changes: stored positions depend on these very numbers."""

import pytest

from eventuary.swimlanes import swimlane_of


@pytest.mark.parametrize(
    ("entity_type", "entity_id", "swimlane"),
    [
        ("orders.Order", "one", 0),
        ("orders.Order", "0000018c1a2b3c4d-0000000000010000", 7),
        ("", "", 5),
        ("Kunde", "Müller", 2),
    ],
)
def test_a_swimlane_never_changes(entity_type: str, entity_id: str, swimlane: int) -> None:
    assert swimlane_of(entity_type, entity_id, 8) == swimlane


def test_generated_ids_spread_evenly() -> None:
    counts = [0] * 8
    for number in range(80_000):
        counts[
            swimlane_of("orders.Order", f"{number // 3:016x}-0000000000ab{number % 3:04x}", 8)
        ] += 1
    assert min(counts) > 9_000
    assert max(counts) < 11_000
