"""Outside systems, word for word: one e-mail, one that waits, one that nobody takes."""

import inspect

import msgspec

from eventuary import Circuit, OutsideSystem, Retries
from tests.docs.page import ROOT, blocks_of
from tests.docs.reader import Reader

_PAGE = "docs/outside-systems.md"


def test_outside_systems(reader: Reader) -> None:
    reader.read(_PAGE)
    reader.finish()


def test_its_numbers_are_those_that_hold_unless_told_otherwise() -> None:
    [shown] = [
        block.text for block in blocks_of(ROOT / _PAGE) if block.text.startswith("OutsideSystem(")
    ]
    names = {"OutsideSystem": OutsideSystem, "Retries": Retries, "Circuit": Circuit}
    system = eval(shown, names)  # it is our own page
    assert isinstance(system, OutsideSystem)
    defaults = OutsideSystem("bank")
    assert system.timeout == defaults.timeout
    assert system.timeout == inspect.signature(OutsideSystem).parameters["timeout"].default
    assert system.retries == defaults.retries
    assert msgspec.to_builtins(system.circuit.numbers) == msgspec.to_builtins(Circuit())
