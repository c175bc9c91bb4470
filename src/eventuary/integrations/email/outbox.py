"""An outbox: a folder of e-mails, each a file of its own, for whoever sends them.

A file is there as a whole or not at all, and its name is the key that it was sent under: sent
again, it is found there, and no second one is written. So while files stay where they are, there is
no window in which one could be written twice.
"""

import asyncio
import hashlib
import os
import tempfile
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

from eventuary.integrations.email.message import enveloped

#: Characters of a key that a file's name has room for.
_MOST_OF_KEY = 200


class Outbox:
    """Satisfies ``Mailer``. Makes the folder when the first e-mail comes; several may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __aenter__(self) -> Self:
        """Nothing needs opening."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing needs closing."""

    async def send(self, message: EmailMessage, key: str) -> str:
        """Put an e-mail into the folder, and return the file's name. Raises Refused, OSError."""
        return await asyncio.to_thread(self.put, message, key)

    def put(self, message: EmailMessage, key: str) -> str:
        """Write an e-mail, unless that of this key is there; return the file's name.

        When it returns the e-mail is on disk. Raises Refused, ValueError for a bad key, OSError.
        """
        data = enveloped(message, key, keep_bcc=True).data
        path = self.folder / f"{_name_of(key)}.eml"
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return path.name
        number, part = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # Whoever else writes it at this moment writes the same.
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
        self._sync()
        return path.name

    def _sync(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name_of(key: str) -> str:
    """Return a key as the name of a file: what it has too much is replaced by its hash."""
    if len(key) <= _MOST_OF_KEY:
        return key
    return f"{key[: _MOST_OF_KEY // 2]}.{hashlib.sha256(key.encode()).hexdigest()}"
