"""HTTP/1.1 on one connection: uvicorn's protocol, with the entity routes answered in it, and limits.

A request begins when its last byte is here, so a slow or broken one never reaches a route. Pipelined
requests are answered in order. Paths under ``/entity/`` become an ``EntityCycle``; everything else is
an ordinary ASGI cycle of uvicorn, and ``/stomp`` may become a WebSocket.

Limits: connections, one header line, all header lines, the body, the time from a request's first byte
to its last, the time without a request, the time in which a client takes no bytes of its answer.
Whatever breaks one is told so in the shape of every error, and the connection ends.
"""

import asyncio
import logging
import urllib.parse
from collections import deque
from math import inf

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from eventuary.server.entity_cycle import EntityCycle
from eventuary.server.http_state import HttpState
from eventuary.server.rest.paths import PREFIX

_log = logging.getLogger("eventuary.http")

#: The path at which a WebSocket may be opened.
WEBSOCKET_PATH = "/stomp"

#: Seconds in which what a refused client still sends is read and thrown away: closing a socket with
#: unread bytes would take the answer from the client before it has read it.
_LINGER = 2.0

#: Seconds that a request has to arrive whole once the server is draining.
_DRAIN_GRACE = 5.0


class _Refused(Exception):
    """Raised in a parser's callback: this request goes no further, and the connection ends."""

    def __init__(self, status: int, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.code = code


class EventuaryHttpProtocol(HttpToolsProtocol):
    """One connection. At any time at most one request is under way; the others wait in order."""

    def __init__(self, config: Config, shared: HttpState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, shared, {}, loop)
        self.shared = shared
        self.limits = shared.limits
        self.deadline = inf
        #: The request under way, from its last byte to its answer.
        self._active: EntityCycle | RequestResponseCycle | None = None
        self._active_body = 0
        #: Whole requests that wait for their turn.
        self._waiting: deque[EntityCycle | RequestResponseCycle] = deque()
        #: The request whose head is here and whose body is coming.
        self._receiving: EntityCycle | RequestResponseCycle | None = None
        #: Whether some bytes of a request are here, and not all.
        self._partial = False
        self._upgrading = False
        self._head_size = 0
        self._body: bytes | bytearray = b""
        #: Bytes fed since the parser last came to the end of something.
        self._without_progress = 0
        self._progress = 0
        self._continue_owed = False
        #: The answer to a broken request, until those before it are answered.
        self._refusal: bytes | None = None
        #: Nothing more is read from this connection.
        self._refusing = False
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
        if len(self.connections) > self.limits.connections:
            self._refuse(
                503,
                "service_unavailable",
                f"{self.limits.connections} connections are open, the limit `connections`; "
                "try again",
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; a request under way goes on, its answer is dropped."""
        shared = self.shared
        shared.watched.discard(self)
        shared.connections.discard(self)
        shared.body_bytes -= len(self._body) + sum(len(each.body) for each in self._waiting)
        self._body = b""
        self._waiting.clear()
        active = self._active
        if active is not None:
            shared.body_bytes -= self._active_body
            self._active = None
            active.disconnected = True
            if isinstance(active, RequestResponseCycle):
                active.message_event.set()
        self.flow.resume_writing()
        self.deadline = inf

    def eof_received(self) -> bool:
        """Close, or (without TLS) finish what was asked before the client said it had no more."""
        self._peer_finished = True
        answering = isinstance(self._active, EntityCycle) or self._refusal is not None
        return answering and self.scheme == "http"

    def shutdown(self) -> None:
        """Answer what has been asked, and close. Called once the server drains."""
        if self._active is None and not self._waiting and not self._partial:
            self.transport.close()
        elif self._active is None:
            self.deadline = min(self.deadline, self.loop.time() + _DRAIN_GRACE)
        elif not self._waiting and not self._partial:
            self._active.keep_alive = False

    @property
    def answering(self) -> bool:
        """Whether a request is coming in or waits for the beginning of its answer."""
        active = self._active
        if isinstance(active, RequestResponseCycle) and active.response_started:
            return False
        return active is not None or self._partial or bool(self._waiting)

    def expire(self) -> None:
        """Say why, where there is somebody to be told, and close."""
        transport = self.transport
        if self._unsent >= 0:
            unsent = transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent = unsent
                self.deadline = self.loop.time() + self.limits.write_timeout
            else:
                transport.abort()
        elif self._refusing or transport.is_closing():
            transport.abort()
        elif self._partial:
            self._refuse(
                408,
                "request_timeout",
                f"the request was not complete after {self.limits.request_timeout:g} seconds, "
                "the limit `request_timeout`",
            )
        else:
            transport.close()
            self.deadline = self.loop.time() + _LINGER

    def pause_writing(self) -> None:
        """The client is slow to take its answers: read no more requests from it."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline_before = self.deadline
        self.deadline = self.loop.time() + self.limits.write_timeout
        if not self._refusing:
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

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Parse; tell a client what is wrong with what it sent."""
        if self._refusing:
            return
        progress = self._progress
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:
                    if self._upgrading:
                        self.shared.watched.discard(self)
                        self.handle_websocket_upgrade()
                        return
                    # An upgrade that is not ours (h2c): go on in HTTP/1.1 behind the request.
                    data = data[upgrade.args[0] :]
                    if data:
                        continue
                break
        except httptools.HttpParserError as error:
            self._refuse_unparsed(error)
            return
        if self._progress != progress:
            self._without_progress = 0
            return
        self._without_progress += len(data)
        if self._without_progress > self.limits.headers_size:
            self._refuse(*self._headers_too_large())

    def _refuse_unparsed(self, error: httptools.HttpParserError) -> None:
        """Tell what the parser, or a callback within it, found wrong."""
        cause = error.__context__
        if isinstance(cause, _Refused):
            self._refuse(cause.status, cause.code, str(cause))
        elif isinstance(error, httptools.HttpParserCallbackError) and not isinstance(
            cause, httptools.HttpParserError
        ):
            _log.error("a request's parsing failed unexpectedly", exc_info=error)
            self._refuse(500, "internal_error", "an unexpected error; the server's log has it")
        else:
            self._refuse(400, "bad_request", f"not HTTP/1.1: {cause or error}")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url = b""
        self.headers = []
        self._partial = True
        self._head_size = 0
        self._continue_owed = False
        if self._active is None and self._unsent < 0:
            self.deadline = self.loop.time() + self.limits.request_timeout

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self.url += url
        if len(self.url) > self.limits.header_line_size:
            raise _Refused(
                431,
                "headers_too_large",
                f"the request line is over the limit header_line_size of "
                f"{self.limits.header_line_size} bytes",
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line (or a trailer's), whole."""
        size = len(name) + len(value)
        self._head_size += size + 4
        if size > self.limits.header_line_size:
            raise _Refused(
                431,
                "headers_too_large",
                f"the header {name[:40].decode('latin-1')!r} has {size} bytes, over the limit "
                f"header_line_size of {self.limits.header_line_size}",
            )
        if self._head_size > self.limits.headers_size:
            raise _Refused(*self._headers_too_large())
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is here: make the cycle that will answer."""
        self._progress += 1
        parser = self.parser
        headers = dict(self.headers)
        length = headers.get(b"content-length")
        if length is not None and int(length) > self.limits.body_size:
            raise _Refused(*self._body_too_large(f"{int(length)} bytes"))
        version = parser.get_http_version()
        keep_alive = version != "1.0" and parser.should_keep_alive()
        target = self.url
        if not target.startswith(b"/"):
            target = self._origin_form(target)
        if target.startswith(PREFIX):
            self._receiving = EntityCycle(
                self, parser.get_method(), target, headers, keep_alive=keep_alive
            )
        else:
            self._make_scope(target, version)
            if self._opens_websocket(headers):
                self._upgrading = True
                return
            self._receiving = self._asgi_cycle(keep_alive=keep_alive)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._continue_owed = True
            self._send_continue()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._progress += 1
        self.shared.body_bytes += len(body)
        self._continue_owed = False
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self.limits.body_size:
            raise _Refused(*self._body_too_large("it has more"))
        if self.shared.body_bytes > self.shared.most_body_bytes:
            raise _Refused(
                503,
                "service_unavailable",
                f"overload: requests of {self.shared.most_body_bytes} bytes are under way; "
                "try again",
            )

    def on_message_complete(self) -> None:
        """The last byte of a request: begin it, or let it wait for those before it."""
        self._progress += 1
        self._partial = False
        cycle = self._receiving
        if cycle is None:
            return  # the head of a WebSocket
        self._receiving = None
        if isinstance(cycle, RequestResponseCycle):
            cycle.body = bytearray(self._body)
            cycle.more_body = False
            cycle.message_event.set()
        else:
            cycle.body = self._body
        self._body = b""
        self._waiting.append(cycle)
        if self._active is None:
            self._advance()
        else:
            self.flow.pause_reading()

    # What is answered

    def on_response_complete(self) -> None:
        """The active request is answered: go on with the next."""
        shared = self.shared
        shared.total_requests += 1
        shared.body_bytes -= self._active_body
        self._active = None
        if not self.transport.is_closing():
            self._advance()

    def _advance(self) -> None:
        """Begin the next request that waits; without any, wait for the client."""
        if self._advancing:
            return  # the loop below is at it: an answer came before `start` returned
        self._advancing = True
        while self._waiting and self._active is None and not self.flow.write_paused:
            if self.transport.is_closing():
                break
            cycle = self._waiting.popleft()
            if (self.shared.draining or self._peer_finished) and not self._waiting:
                cycle.keep_alive = cycle.keep_alive and self._partial and not self._peer_finished
            self._active = cycle
            self._active_body = len(cycle.body)
            self.deadline = inf
            if isinstance(cycle, EntityCycle):
                cycle.start()
            else:
                self.cycle = cycle
                self._start_asgi_task(cycle, self.app)
        self._advancing = False
        if self._active is None and not self._waiting and not self.transport.is_closing():
            self._become_idle()

    def _become_idle(self) -> None:
        if self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        shared = self.shared
        if self._peer_finished or (shared.draining and not self._partial):
            self.transport.close()
            return
        self._send_continue()
        limits = self.limits
        if not self._partial:
            patience = limits.keep_alive_timeout
        elif shared.draining:
            patience = _DRAIN_GRACE
        else:
            patience = limits.request_timeout
        self.deadline = self.loop.time() + patience
        if self.flow.write_paused:
            self._deadline_before = self.deadline
            self.deadline = self.loop.time() + limits.write_timeout
        else:
            self.flow.resume_reading()

    def _send_continue(self) -> None:
        """Tell a client that asked for it to send the body, when it is its turn."""
        if self._continue_owed and self._active is None and not self._waiting:
            self._continue_owed = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, status: int, code: str, explanation: str) -> None:
        """Answer what is broken, after what came before it, and end the connection."""
        shared = self.shared
        shared.counters.refusals[status] += 1
        shared.body_bytes -= len(self._body)
        self._body = b""
        self._receiving = None
        self._partial = False
        self._refusing = True
        self._refusal = shared.heads.failure(status, code, explanation, keep_alive=False)
        if self._active is None and not self._waiting:
            self._send_refusal(self._refusal)

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

    # Requests for the ASGI application

    def _origin_form(self, target: bytes) -> bytes:
        """Return path and query of an absolute target, as a proxy sends it."""
        if target == b"*":
            return target
        parsed = httptools.parse_url(target)
        path: bytes = parsed.path or b"/"
        return path + b"?" + parsed.query if parsed.query else path

    def _make_scope(self, target: bytes, version: str) -> None:
        raw_path, _, query = target.partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": self.root_path,
            "headers": self.headers,
            "state": {},
            "method": self.parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(raw_path.decode("latin-1")),
            "raw_path": raw_path,
            "query_string": query,
            "extensions": {},
        }

    def _asgi_cycle(self, *, keep_alive: bool) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.shared.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _opens_websocket(self, headers: dict[bytes, bytes]) -> bool:
        if (
            not self.parser.should_upgrade()
            or headers.get(b"upgrade", b"").lower() != b"websocket"
            or self.scope["path"] != WEBSOCKET_PATH
        ):
            return False
        if self._active is not None or self._waiting:
            raise _Refused(400, "bad_request", "a WebSocket can't be opened behind other requests")
        return True

    # What is said

    def _headers_too_large(self) -> tuple[int, str, str]:
        return (
            431,
            "headers_too_large",
            f"the headers are over the limit headers_size of {self.limits.headers_size} bytes",
        )

    def _body_too_large(self, size: str) -> tuple[int, str, str]:
        return (
            413,
            "payload_too_large",
            f"body: {size}, over the limit body_size of {self.limits.body_size} bytes",
        )
