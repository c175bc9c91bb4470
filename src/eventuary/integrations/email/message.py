"""An e-mail on its way: its bytes with the key in front, and who it is from and to."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import NamedTuple

from eventuary.framework.outside_errors import Refused

#: The header that tells which call of which event sent it.
KEY_HEADER = "X-Eventuary-Key"

#: In bytes that every mail server takes: not all take more than seven bits of each.
_SEVEN_BITS = SMTP.clone(cte_type="7bit")

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class Envelope(NamedTuple):
    """What is handed to a mail server."""

    sender: str
    recipients: list[str]
    data: bytes


def enveloped(message: EmailMessage, key: str, *, keep_bcc: bool = False) -> Envelope:
    """Return a message as it is sent. ``keep_bcc``: whoever takes it reads, and removes, that.

    Raises Refused for one that nobody could send, and ValueError for a key that is none.
    """
    if _KEY.fullmatch(key) is None:
        raise ValueError(
            f"key: {key[:120]!r} has other characters than letters, digits, dots, hyphens and "
            "underscores, or begins with a dot"
        )
    senders = _addresses(message, "Sender") or _addresses(message, "From")
    if not senders:
        raise Refused("the message has no From")
    recipients = [each for field in ("To", "Cc", "Bcc") for each in _addresses(message, field)]
    if not recipients:
        raise Refused("the message has neither To nor Cc nor Bcc")
    head = f"{KEY_HEADER}: {key}\r\n".encode("ascii")
    return Envelope(senders[0], recipients, head + _written(message, keep_bcc=keep_bcc))


def _written(message: EmailMessage, *, keep_bcc: bool) -> bytes:
    try:
        data = message.as_bytes(policy=_SEVEN_BITS)
    except (ValueError, LookupError) as error:
        raise Refused(f"the message can't be written: {error}") from error
    if keep_bcc or "Bcc" not in message:
        return data
    head, blank, body = data.partition(b"\r\n\r\n")
    kept: list[bytes] = []
    hidden = False
    for line in head.split(b"\r\n"):
        if not line.startswith((b" ", b"\t")):
            hidden = line.lower().startswith(b"bcc:")
        if not hidden:
            kept.append(line)
    return b"\r\n".join(kept) + blank + body


def _addresses(message: EmailMessage, field: str) -> list[str]:
    found: list[str] = []
    for header in message.get_all(field, []):
        addresses: tuple[Address, ...] = header.addresses
        found += [address.addr_spec for address in addresses if address.addr_spec != "<>"]
    return found
