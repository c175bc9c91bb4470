"""The answering half of an HTTP connection: one request after the other, deadlines, the end.

Pipelined requests are answered in order. Entity routes are answered here, in the protocol
itself; the rest goes to the ASGI application in uvicorn's way. Deadlines: a request must arrive
whole in time, a connection must not idle too long, a client must take its answers. Who breaks a
limit is told so in the shape of every error, after the answers to what it asked before, and the
connection ends.
"""

import asyncio
from collections import deque
from math import inf

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from eventuary.server.entity_cycle import EntityCycle
from eventuary.server.http_reading import Cycle, RequestReader
from eventuary.server.http_refusals import Refused, too_many_connections, too_slow
from eventuary.server.http_state import HttpState

#: Seconds in which what a refused client still sends is read and thrown away: closing a socket with
#: unread bytes would take the answer from the client before it has read it.
_LINGER = 2.0

#: Seconds that a request has to arrive whole once the server is draining.
_DRAIN_GRACE = 5.0


class EventuaryHttpProtocol(RequestReader):
    """One connection. At any time at most one request is under way; the others wait in order."""

    def __init__(self, config: Config, shared: HttpState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, shared, loop)
        #: On the loop's clock; the server's sweep calls ``expire`` after it.
        self.deadline = inf
        #: The request under way, and the bytes of its body.
        self._active: Cycle | None = None
        self._active_bytes = 0
        #: Whole requests that wait for their turn.
        self._waiting: deque[Cycle] = deque()
        #: The answer to a broken request, until those before it are answered.
        self._refusal: bytes | None = None
        self._peer_finished = False
        self._advancing = False
        #: Bytes that the client had not taken when it was last looked at; -1: it takes them.
        self._unsent = -1
        self._deadline_before = inf

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn: asyncio says BaseTransport
        """Accept the connection, if there may be another."""
        super().connection_made(transport)
        self.shared.watched.add(self)
        self.deadline = self.loop.time() + self.limits.request_timeout
        if self.shared.draining:
            transport.close()  # it was accepted while the listening socket was being closed
        elif len(self.connections) > self.limits.connections:
            self.refuse(too_many_connections(self.limits))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; a request under way goes on, its answer is dropped."""
        shared = self.shared
        shared.watched.discard(self)
        shared.connections.discard(self)
        self.drop_partial()
        shared.body_bytes -= sum(len(each.body) for each in self._waiting)
        self._waiting.clear()
        self.refusing = True
        self.deadline = inf
        active = self._active
        if active is not None:
            shared.body_bytes -= self._active_bytes
            self._active = None
            active.disconnected = True
            if isinstance(active, RequestResponseCycle):
                active.message_event.set()
        self.flow.resume_writing()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio allows it, uvicorn says None
        """Close, or (without TLS) finish what was asked before the client said it had no more."""
        self._peer_finished = True
        active = self._active
        # Not behind a cycle of uvicorn's: it may be a stream, after which nothing is ever answered.
        answering = isinstance(active, EntityCycle) or (
            active is None and self._refusal is not None
        )
        return answering and self.scheme == "http"

    def shutdown(self) -> None:
        """Answer what has been asked, and close. Called once the server drains."""
        if self.idle and not self.partial:
            self.transport.close()
        elif self._active is None:
            self.deadline = min(self.deadline, self.loop.time() + _DRAIN_GRACE)
        elif not self._waiting and not self.partial:
            self._active.keep_alive = False

    @property
    def idle(self) -> bool:
        """Whether no request is being answered or waits to be."""
        return self._active is None and not self._waiting

    @property
    def answering(self) -> bool:
        """Whether a request is coming in or waits for the beginning of its answer."""
        active = self._active
        if isinstance(active, RequestResponseCycle) and active.response_started:
            return False
        return not self.idle or self.partial

    # Deadlines

    def expire(self) -> None:
        """The deadline has passed: say why, where somebody can be told, and close."""
        transport = self.transport
        if self._unsent >= 0:
            unsent = transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent = unsent
                self.deadline = self.loop.time() + self.limits.write_timeout
            else:
                transport.abort()
        elif self.refusing or transport.is_closing():
            transport.abort()
        elif self.partial:
            self.refuse(too_slow(self.limits))
        else:
            transport.close()
            self.deadline = self.loop.time() + _LINGER

    def postpone(self, seconds: float) -> None:
        """The server stood still for so long, which is not the client's fault."""
        self.deadline += seconds
        self._deadline_before += seconds

    def pause_writing(self) -> None:
        """The client is slow to take its answers: read no more requests from it."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline_before = self.deadline
        self.deadline = self.loop.time() + self.limits.write_timeout
        if not self.refusing:
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The client has taken enough: go on."""
        super().resume_writing()
        self._unsent = -1
        self.deadline = self._deadline_before
        if self._active is None:
            self._advance()
        elif not self._waiting:
            self.flow.resume_reading()

    # What the reading half has found

    def request_begins(self) -> None:
        """From now on it has so much time to become whole."""
        if self._active is None and self._unsent < 0:
            self.deadline = self.loop.time() + self.limits.request_timeout

    def head_received(self) -> None:
        """Tell a client that asked for it to send the body, when it is its turn."""
        if self.continue_owed and self.idle:
            self.continue_owed = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def request_received(self, cycle: Cycle) -> None:
        """Begin it, or let it wait for those before it."""
        if self._active is None and not self._waiting and not self.flow.write_paused:
            self._begin(cycle)
            return
        self._waiting.append(cycle)
        if self._active is not None:
            self.flow.pause_reading()

    def refuse(self, refused: Refused) -> None:
        """Answer what is broken, after what came before it, and end the connection."""
        self.shared.counters.refusals[refused.status] += 1
        self.drop_partial()
        self.refusing = True
        self._refusal = self.shared.heads.failure(
            refused.status, refused.code, str(refused), keep_alive=False
        )
        if self.idle:
            self._send_refusal(self._refusal)

    # What is answered

    def on_response_complete(self) -> None:
        """The active request is answered: go on with the next."""
        shared = self.shared
        shared.total_requests += 1
        shared.body_bytes -= self._active_bytes
        self._active = None
        if self._advancing or self.transport.is_closing():
            return
        if self._waiting:
            self._advance()
        else:
            self._wait_for_client()

    def _begin(self, cycle: Cycle) -> None:
        if not self._waiting and (
            self._peer_finished or (self.shared.draining and not self.partial)
        ):
            cycle.keep_alive = False
        self._active = cycle
        self._active_bytes = len(cycle.body)
        self.deadline = inf
        if isinstance(cycle, EntityCycle):
            cycle.start()
        else:
            self._start_asgi_task(cycle, self.app)

    def _advance(self) -> None:
        """Begin the next request that waits; without any, wait for the client.

        A loop, not a recursion: thousands of pipelined requests may each be answered at once.
        """
        if self._advancing:
            return
        self._advancing = True
        waiting = self._waiting
        while waiting and self._active is None and not self.flow.write_paused:
            if self.transport.is_closing():
                break
            self._begin(waiting.popleft())
        self._advancing = False
        if self._active is None and not waiting and not self.transport.is_closing():
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        if self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        draining = self.shared.draining
        if self._peer_finished or (draining and not self.partial):
            self.transport.close()
            return
        self.head_received()
        limits = self.limits
        if not self.partial:
            patience = limits.keep_alive_timeout
        else:
            patience = _DRAIN_GRACE if draining else limits.request_timeout
        self.deadline = self.loop.time() + patience
        if self.flow.write_paused:
            self._deadline_before = self.deadline
            self.deadline = self.loop.time() + limits.write_timeout
        else:
            self.flow.resume_reading()

    def _send_refusal(self, answer: bytes) -> None:
        self._refusal = None
        transport = self.transport
        transport.write(answer)
        self.deadline = self.loop.time() + _LINGER
        if self._peer_finished or self.shared.draining or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
            self.flow.resume_reading()
