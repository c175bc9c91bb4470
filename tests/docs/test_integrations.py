"""Integrations: the page's programs do what the page shows."""

from tests.docs.reader import Reader


def test_its_programs_do_what_it_shows(reader: Reader) -> None:
    reader.read("docs/integrations.md")
    reader.interrupt("server")
    reader.finish()
