"""REST: the page's calls and answers, and its table of limits."""

import msgspec

from eventuary.limits import Limits
from tests.docs.page import ROOT, code_in, table_under
from tests.docs.reader import Reader


def test_its_calls_are_answered_as_it_shows(reader: Reader) -> None:
    reader.serve()
    reader.read("docs/rest.md")
    reader.finish()


def test_its_limits_are_those_of_the_server() -> None:
    limits = msgspec.to_builtins(Limits())
    for names, values, _ in table_under(ROOT / "docs/rest.md", "Limits"):
        shown = [float(value) for value in values.split(",")]
        assert shown == [limits[name] for name in code_in(names)], names
