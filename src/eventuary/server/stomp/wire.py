"""What a STOMP conversation needs of whatever carries its bytes."""

from typing import Protocol


class Wire(Protocol):
    """What carries the bytes."""

    @property
    def peer(self) -> str:
        """The client's address, for people."""

    def write(self, data: bytes) -> None:
        """Send bytes, after those before them."""

    def finish(self) -> None:
        """Send what is written, then close."""

    def pause_reading(self) -> None:
        """Bring no more bytes for now."""

    def resume_reading(self) -> None:
        """Bring bytes again."""
