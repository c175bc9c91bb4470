"""Who may call: API keys given at the start or stored beside the events, and open access.

Secrets are kept as SHA-256: stored ones are generated with 256 bits of entropy, so a slow hash
would add nothing. A header that was once found valid is remembered as it came, so that checking
a key costs a request one look into a dictionary; whatever changes the keys empties that memory.
"""

import hmac
import logging
import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from eventuary.engines.engine import KeyRecord
from eventuary.errors import ConfigurationError, Unauthorized
from eventuary.seldom import Seldom
from eventuary.server.principal import ALL_SPACES, LoginFailed, Principal

_log = logging.getLogger("eventuary.auth")

#: Valid headers that are remembered; when there are more, remembering begins anew.
_REMEMBERED_HEADERS = 4096

#: Characters of a key's id that the log shows.
_MOST_SHOWN = 80

#: Compared with when there is no key of the id that was given, so that time tells nothing.
_NO_HASH = "0" * 64


class ApiKey(msgspec.Struct, frozen=True):
    """A key as ``--api-key ID:SECRET`` gives it: all spaces, read and write."""

    key_id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "ApiKey":
        """Read ``ID:SECRET``. Raises ConfigurationError, without repeating the secret."""
        key_id, colon, secret = text.partition(":")
        if not colon or not key_id or not secret:
            raise ConfigurationError("api-key: expected ID:SECRET, both not empty")
        return cls(key_id, secret)


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def generate_secret() -> str:
    """Return a new secret of 256 random bits, in URL-safe characters."""
    return secrets.token_urlsafe(32)


class KeyAuthenticator:
    """Satisfies ``Authenticator``.

    ``open_access`` holds while no key is known and ``allow_open`` was given; it ends with the first
    key that is stored, also for those who came before it, and does not come back while the process
    lives: revoking the last key must not open the server.
    """

    def __init__(
        self,
        api_keys: Iterable[ApiKey] = (),
        stored: Iterable[KeyRecord] = (),
        *,
        allow_open: bool = False,
    ) -> None:
        self._given = {
            key.key_id: (hash_secret(key.secret), Principal(key.key_id)) for key in api_keys
        }
        self._stored: dict[str, tuple[KeyRecord, Principal]] = {}
        self._remembered: dict[bytes, Principal] = {}
        self._open = allow_open
        #: Who calls when any credentials are accepted.
        self._anybody = Principal("anybody")
        self._failed_logins = Seldom()
        self.replace_stored(stored)

    @property
    def open_access(self) -> bool:
        """Whether any credentials, or none, are accepted."""
        return self._open

    @property
    def has_keys(self) -> bool:
        """Whether there is any key."""
        return bool(self._given or self._stored)

    def replace_stored(self, records: Iterable[KeyRecord]) -> None:
        """Take over the stored keys as they are now; those gone or changed are revoked."""
        known = self._stored
        self._stored = {}
        for record in records:
            old = known.pop(record.key_id, None)
            if old is not None and old[0] != record:
                old[1].revoke()
                old = None
            self._stored[record.key_id] = old or (
                record,
                Principal(record.key_id, record.spaces, read_only=record.read_only),
            )
        for _, principal in known.values():
            principal.revoke()
        self._remembered.clear()
        if self._open and self.has_keys:
            self._open = False
            self._anybody.revoke("open access has ended: there are API keys now")

    def authenticate(self, key_id: str, secret: str) -> Principal:
        """Return the holder of a key. Raises LoginFailed."""
        if self._open:
            return self._anybody
        expected, principal = self._find(key_id)
        matches = hmac.compare_digest(hash_secret(secret), expected)
        if principal is None or not matches:
            raise LoginFailed(key_id)
        return principal

    def authenticate_header(self, value: bytes | None) -> Principal:
        """Return whom an ``Authorization: Basic`` header names.

        Raises Unauthorized; LoginFailed when that is no key.
        """
        if value is not None:
            remembered = self._remembered.get(value)
            if remembered is not None:
                return remembered
        if self._open:
            return self._anybody
        if value is None:
            raise Unauthorized("credentials are missing: send Authorization: Basic with an API key")
        principal = self.authenticate(*_decode_basic(value))
        if len(self._remembered) >= _REMEMBERED_HEADERS:
            self._remembered.clear()
        self._remembered[value] = principal
        return principal

    def note(self, failed: LoginFailed, peer: str) -> None:
        """Log a failed login, unless one was a moment ago; ``peer`` is where it came from."""
        more = self._failed_logins.due()
        if more is not None:
            # Quoted, so that what anybody may send can't pretend to be another line.
            key_id = repr(failed.key_id[:_MOST_SHOWN])
            _log.warning("a login failed: %s", f"key {key_id}, from {peer}{more}")

    def _find(self, key_id: str) -> tuple[str, Principal | None]:
        given = self._given.get(key_id)
        if given is not None:
            return given
        stored = self._stored.get(key_id)
        if stored is not None:
            return stored[0].secret_hash, stored[1]
        return _NO_HASH, None


def _decode_basic(value: bytes) -> tuple[str, str]:
    """Read RFC 7617's ``Basic base64(id:secret)``. Raises Unauthorized."""
    scheme, _, encoded = value.strip().partition(b" ")
    if scheme.lower() != b"basic":
        raise Unauthorized("the Authorization header is not of the scheme Basic")
    try:
        text = b64decode(encoded.strip(), validate=True).decode()
    except (Base64Error, ValueError):
        raise Unauthorized("the Authorization header is not base64 of UTF-8 text") from None
    key_id, colon, secret = text.partition(":")
    if not colon:
        raise Unauthorized("the Authorization header does not hold ID:SECRET")
    return key_id, secret


def spaces_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the spaces of a new key: all of them when none is named."""
    return tuple(dict.fromkeys(names)) or (ALL_SPACES,)
