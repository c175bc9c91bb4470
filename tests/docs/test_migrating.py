"""Migrating: the page's cut-over from SQLite to PostgreSQL, word for word."""

from tests.docs.reader import Reader


def test_its_cut_over_goes_as_it_shows(reader_with_postgres: Reader) -> None:
    reader_with_postgres.read("docs/migrating.md")
    reader_with_postgres.finish()
