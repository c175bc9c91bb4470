"""An event store that is a client of a server: REST to write and read, STOMP to subscribe.

``RemoteEventStore`` is all that others need of this package.
"""

from eventuary.remote.store import RemoteEventStore

__all__ = ["RemoteEventStore"]
