"""Principal: who a call comes from, and what it may do in which space.

The wires ask a Principal before each verb; where it came from (a command-line key, a stored key,
open access) they never see.
"""

from collections.abc import Collection
from typing import Protocol

from eventuary.errors import Forbidden, Unauthorized

#: A key with this among its spaces may use every space.
ALL_SPACES = "*"


class Principal:
    """The holder of a key. ``require`` is called before every verb, so it is cheap."""

    __slots__ = ("_all_spaces", "_read_only", "_revoked", "_spaces", "key_id")

    def __init__(
        self, key_id: str, spaces: Collection[str] = (ALL_SPACES,), *, read_only: bool = False
    ) -> None:
        self.key_id = key_id
        self._spaces = frozenset(spaces)
        self._all_spaces = ALL_SPACES in self._spaces
        self._read_only = read_only
        self._revoked = ""

    @property
    def revoked(self) -> str:
        """Why the key is no longer valid, and a connection opened with it should end; or empty."""
        return self._revoked

    def revoke(self, reason: str = "") -> None:
        """Refuse everything from now on, on connections that are open too."""
        self._revoked = reason or f"key {self.key_id!r} has been revoked"

    def require(self, space: str, *, write: bool) -> None:
        """Return if this key may read (or ``write``) in ``space``.

        Raises Forbidden; Unauthorized when the key was revoked after it had been shown.
        """
        if self._revoked:
            raise Unauthorized(self._revoked)
        if not self._all_spaces and space not in self._spaces:
            raise Forbidden(f"key {self.key_id!r} has no access to space {space[:80]!r}")
        if write and self._read_only:
            raise Forbidden(f"key {self.key_id!r} is read-only")


class LoginFailed(Unauthorized):
    """The credentials are those of no key; ``key_id`` as it was given."""

    def __init__(self, key_id: str) -> None:
        super().__init__("there is no key of this id and secret")
        self.key_id = key_id


class Authenticator(Protocol):
    """Turns credentials into a Principal."""

    @property
    def open_access(self) -> bool:
        """Whether any credentials, or none, are accepted."""

    def authenticate(self, key_id: str, secret: str) -> Principal:
        """Return the holder of a key. Raises LoginFailed, of which the wire tells ``note``."""

    def authenticate_header(self, value: bytes | None) -> Principal:
        """Return whom an HTTP ``Authorization`` header names; None: there was no such header.

        Raises Unauthorized; LoginFailed, of which the wire tells ``note``, when it names a key
        that there is not.
        """

    def note(self, failed: LoginFailed, peer: str) -> None:
        """Log a failed login, unless one was a moment ago; ``peer`` is where it came from."""
