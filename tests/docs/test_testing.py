"""The page about testing, word for word, after the tutorial that it goes on from."""

from tests.docs.reader import Reader


def test_testing(reader: Reader) -> None:
    reader.read("docs/tutorial.md", only_files=True)
    reader.read("docs/testing.md")
    reader.finish()
