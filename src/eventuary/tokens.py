"""Event tokens: the name of one delivery source, (subscriber id, event id).

A token is ``<event id>.<subscriber id in base64url without padding>``: URL-safe, because
clients put it into a query string unescaped (protocol.md, section 1). The store compares
tokens as opaque text; that the event id comes first lets an engine find, by prefix, what an
event triggered.
"""

from base64 import urlsafe_b64encode


def token_suffix(subscriber_id: str) -> str:
    """Return the part of a token that is the same for all events of a subscriber."""
    return "." + urlsafe_b64encode(subscriber_id.encode()).rstrip(b"=").decode()


def event_token(subscriber_id: str, event_id: str) -> str:
    """Return the token of ``event_id`` as delivered to ``subscriber_id``."""
    return event_id + token_suffix(subscriber_id)


def triggering_event_id(token: str) -> str:
    """Return the event id that a token of ours names (its first 33 characters)."""
    return token[:33]
