"""The tutorial, word for word: files saved, programs run, and what they say compared."""

from tests.docs.reader import Reader


def test_the_tutorial(reader: Reader) -> None:
    reader.read("docs/tutorial.md")
    reader.finish()
