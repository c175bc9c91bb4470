"""How encrypted text looks: ``enc1:`` and the base64url form of nonce and ciphertext.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits and a tag of 128. What was stored
before encryption was turned on is JSON, which never begins so: the two can't be confused.
"""

import base64
import binascii
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it is an optional package
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "enc1:"

_NONCE_BYTES = 12


def is_encrypted(text: str) -> bool:
    """Whether a text has this form."""
    return text.startswith(_PREFIX)


def encrypt(aes: "AESGCM", text: str, bound_to: bytes) -> str:
    """Return text that only this key, and the same ``bound_to``, turn back."""
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = aes.encrypt(nonce, text.encode(), bound_to)
    return _PREFIX + base64.urlsafe_b64encode(nonce + ciphertext).decode("ascii")


def decrypt(aes: "AESGCM", encrypted: str, bound_to: bytes) -> str:
    """Return the text. Raises ValueError when key, text or ``bound_to`` are not those of before."""
    from cryptography.exceptions import InvalidTag

    try:
        sealed = base64.b64decode(encrypted[len(_PREFIX) :], altchars=b"-_", validate=True)
        return aes.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to).decode()
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"it is not what was stored: {error}") from error
    except InvalidTag:
        raise ValueError(
            "it was encrypted with another key or for another entity, or changed since"
        ) from None
