"""Names of views and collections: they become parts of names of tables and subscriptions."""

import re

#: Together with a generation's number within what PostgreSQL allows a name: 63 bytes.
MOST_VIEW_CHARACTERS = 30
MOST_COLLECTION_CHARACTERS = 25

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_view_name(name: str) -> None:
    """Raise ValueError for a name that can't be a view's."""
    _check("view", name, MOST_VIEW_CHARACTERS)


def check_collection_name(name: str) -> None:
    """Raise ValueError for a name that can't be a collection's."""
    _check("collection", name, MOST_COLLECTION_CHARACTERS)


def _check(what: str, name: str, most: int) -> None:
    if not _NAME.fullmatch(name) or len(name) > most:
        raise ValueError(
            f"{what}: {name[:80]!r} is not a name of 1 to {most} letters, digits, _ and -, the "
            "first of them a letter"
        )
