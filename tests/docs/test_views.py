"""Views, word for word: documents that are fed, read, listed and rebuilt."""

from tests.docs.reader import Reader


def test_views(reader: Reader) -> None:
    reader.read("docs/views.md")
    reader.interrupt("server")
    reader.finish()
