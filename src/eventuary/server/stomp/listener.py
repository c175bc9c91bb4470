"""The STOMP side of the server: its port, its sessions, and how they end."""

import asyncio
import itertools
import secrets
import ssl

from eventuary.errors import ServiceUnavailable, Unauthorized
from eventuary.limits import Limits
from eventuary.server.principal import Authenticator
from eventuary.server.stomp.connection import StompConnection
from eventuary.server.stomp.session import Session
from eventuary.server.stomp.subscribing import Store
from eventuary.server.stomp.wire import Wire

#: Connections that the kernel keeps until they are accepted.
_BACKLOG = 1024

#: Seconds between two looks whether a session's key was revoked.
_LOOK_AT_KEYS_EVERY = 1.0

#: Seconds that sessions have to end once they have been told.
_GRACE = 3.0


class StompListener:
    """Listens from ``start`` to ``stop``; WebSockets get their sessions here as well."""

    def __init__(self, store: Store, authenticator: Authenticator, limits: Limits) -> None:
        self.limits = limits
        self.authenticator = authenticator
        self._store = store
        # A client may acknowledge late: on a later connection, to a server that was restarted. So
        # that this is never taken for what another SUBSCRIBE was sent, their numbers are not used
        # again, nor guessed. Of 48 bits the first is one: all numbers have 15 digits.
        self._numbers = itertools.count(1 << 47 | secrets.randbits(47))
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._empty = asyncio.Event()  # no session is open
        self._empty.set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._sessions)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Accept connections; returns the port, of the system's choice for 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: StompConnection(self), host, port, ssl=tls, backlog=_BACKLOG
        )
        self._timer = loop.call_later(_LOOK_AT_KEYS_EVERY, self._look_at_keys)
        actual: int = self._server.sockets[0].getsockname()[1]
        return actual

    def begin(self, wire: Wire) -> Session:
        """Return a new session; one over the limit of connections is told so, and ended."""
        session = Session(self._store, self.authenticator, self.limits, wire, self._numbers)
        if self._stopping:
            session.fail(ServiceUnavailable("the server is shutting down"))
        elif self._conversations() >= self.limits.connections:
            session.fail(
                ServiceUnavailable(
                    f"{self.limits.connections} connections are open, the limit connections; "
                    "try again later"
                )
            )
        self._sessions.add(session)
        self._empty.clear()
        return session

    def end(self, session: Session) -> None:
        """A session's wire is gone."""
        if session in self._sessions:
            self._sessions.discard(session)
            if not self._sessions:
                self._empty.set()
            session.close()
            if session.leaving is not None and not session.leaving.done():
                self._endings.add(session.leaving)
                session.leaving.add_done_callback(self._endings.discard)

    async def stop(self) -> None:
        """Accept nothing more, tell every subscriber, and let them go."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.fail(ServiceUnavailable("the server is shutting down"))
        try:
            async with asyncio.timeout(_GRACE):
                await self._empty.wait()
        except TimeoutError:
            for session in list(self._sessions):
                self.end(session)
        if self._endings:
            await asyncio.wait(self._endings)

    def _conversations(self) -> int:
        """How many connections are open and have not been told to go."""
        return sum(not session.closed for session in self._sessions)

    def _look_at_keys(self) -> None:
        for session in list(self._sessions):
            if session.principal is not None and session.principal.revoked:
                session.fail(Unauthorized(session.principal.revoked))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_AT_KEYS_EVERY, self._look_at_keys)
