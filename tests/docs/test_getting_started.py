"""Getting started, word for word."""

from tests.docs.reader import Reader


def test_a_newcomer_types_it_word_for_word(reader: Reader) -> None:
    reader.read("docs/getting-started.md")
    reader.finish()
