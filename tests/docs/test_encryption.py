"""Encryption: the page's program says what the page shows."""

from tests.docs.reader import Reader


def test_its_program_encrypts_and_forgets(reader: Reader) -> None:
    reader.read("docs/encryption.md")
    reader.finish()
