"""Mailer: what sends e-mails. Each way to do that satisfies it."""

from email.message import EmailMessage
from types import TracebackType
from typing import Protocol, Self


class Mailer(Protocol):
    """It may be used within ``async with``, by any number of tasks at once."""

    async def __aenter__(self) -> Self:
        """Open it. Raises ConfigurationError when that can't be."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""

    async def send(self, message: EmailMessage, key: str) -> str | None:
        """Send an e-mail, and return what the other side knows it by, if it says.

        ``key`` goes with it in the header ``X-Eventuary-Key``. Raises Refused when the other side
        will never take this message. Any other error may pass, and whether the message was sent is
        not known then.
        """
