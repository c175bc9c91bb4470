"""An outbox: a folder of e-mails, each a file of its own, for whoever sends them.

A file is there as a whole or not at all, and its name is the token of the event that it tells of:
when the event comes again, its e-mail is found there, and no second one is written.

The one window: whoever takes a file away between an event's first delivery and one that repeats it
(a second at most, unless a process or the server was killed in between) gets it twice. That is so
with whatever lies outside the event store: it can't be told and acknowledged in one step.
"""

import os
import tempfile
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path


class Outbox:
    """Makes the folder when the first e-mail comes. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, message: EmailMessage) -> bool:
        """Write an e-mail, unless one of this name is there; return whether it was written.

        When it returns the e-mail is on disk. Raises OSError.
        """
        path = self.folder / f"{name}.eml"
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return False
        number, part = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(message.as_bytes(policy=SMTP))
                file.flush()
                os.fsync(file.fileno())
            # Whoever else writes it at this moment writes the same.
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
        self._sync()
        return True

    def _sync(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
