"""The reading half of an HTTP connection: from bytes to whole requests, within the limits.

uvicorn's httptools protocol with its parser's callbacks replaced. A request is handed on when
its last byte is here, so a slow, broken or endless one never reaches a route. Paths under
``/entity/`` become an ``EntityCycle``, everything else a cycle of uvicorn for the ASGI
application.
"""

import asyncio
import logging
from abc import abstractmethod
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from eventuary.server.entity_cycle import EntityCycle
from eventuary.server.http_refusals import (
    Refused,
    body_too_large,
    headers_too_large,
    line_too_large,
    too_many_bodies,
)
from eventuary.server.http_state import HttpState
from eventuary.server.rest.paths import PREFIX

_log = logging.getLogger("eventuary.http")

#: The path at which a WebSocket may be opened.
WEBSOCKET_PATH = "/stomp"

Cycle = EntityCycle | RequestResponseCycle


class RequestReader(HttpToolsProtocol):
    """Reads requests one after the other; what becomes of them is the other half's."""

    def __init__(self, config: Config, shared: HttpState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, shared, {}, loop)
        self.shared = shared
        self.limits = shared.limits
        #: Whether some bytes of a request are here, and not all.
        self.partial = False
        #: Nothing more is read from this connection.
        self.refusing = False
        #: The client waits for "100 Continue" before it sends the body.
        self.continue_owed = False
        #: Bytes of the body that is coming in.
        self.body: bytes | bytearray = b""
        #: The request whose head is here and whose body is coming.
        self._receiving: Cycle | None = None
        self._upgrading = False
        #: What a request's head would be if it asked for no other protocol.
        self._plain_head = b""
        self._head_size = 0
        #: No line of a head within so many bytes, and not all of them, can be over a limit.
        self._small_head = min(self.limits.header_line_size, self.limits.headers_size)
        #: How often the parser has come to the end of something, and bytes fed since.
        self._progress = 0
        self._without_progress = 0

    @abstractmethod
    def request_begins(self) -> None:
        """The first byte of a request is here."""

    @abstractmethod
    def head_received(self) -> None:
        """A request's head is here; ``continue_owed`` says whether its client waits."""

    @abstractmethod
    def request_received(self, cycle: Cycle) -> None:
        """A whole request is here."""

    @abstractmethod
    def refuse(self, refused: Refused) -> None:
        """Tell the client, after the answers to what came before, and end the connection."""

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether no request is being answered or waits to be."""

    def data_received(self, data: bytes) -> None:
        """Parse; tell a client what is wrong with what it sent."""
        if self.refusing:
            return
        progress = self._progress
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse_unparsed(error)
            return
        if self._progress != progress:
            self._without_progress = 0
            return
        # Within a head, a trailer or a chunk's extension, which the parser keeps until it ends.
        self._without_progress += len(data)
        if self._without_progress > self.limits.headers_size:
            self.refuse(headers_too_large(self.limits))

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._upgrading:
                    self.shared.watched.discard(self)
                    self.handle_websocket_upgrade()
                    return
                # The parser takes what is behind this head for another protocol, and the body is
                # there: have a new one read the head again, with nothing in it of an upgrade.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                data = self._plain_head + data[upgrade.args[0] :]
            else:
                return

    def _refuse_unparsed(self, error: httptools.HttpParserError) -> None:
        """Tell what the parser, or a callback within it, found wrong."""
        cause = error.__context__
        if isinstance(cause, Refused):
            self.refuse(cause)
        elif isinstance(error, httptools.HttpParserCallbackError) and not isinstance(
            cause, httptools.HttpParserError
        ):
            _log.error("a request's parsing failed unexpectedly", exc_info=error)
            self.refuse(
                Refused(500, "internal_error", "an unexpected error; the server's log has it")
            )
        else:
            self.refuse(Refused(400, "bad_request", f"not HTTP/1.1: {cause or error}"))

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url = b""
        self.headers = []
        self.partial = True
        self.continue_owed = False
        self._head_size = 0
        self.request_begins()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self.url += url
        if len(self.url) > self.limits.header_line_size:
            raise line_too_large("the request line", self.limits)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line (or a trailer's), whole."""
        self._head_size = size = self._head_size + len(name) + len(value) + 4
        if size > self._small_head:
            self._check_sizes(name, value)
        self.headers.append((name.lower(), value))

    def _check_sizes(self, name: bytes, value: bytes) -> None:
        if len(name) + len(value) > self.limits.header_line_size:
            raise line_too_large(f"the header {name[:40].decode('latin-1')!r}", self.limits)
        if self._head_size > self.limits.headers_size:
            raise headers_too_large(self.limits)

    def on_headers_complete(self) -> None:
        """The head is here: make the cycle that will answer."""
        self._progress += 1
        parser = self.parser
        headers = dict(self.headers)
        length = headers.get(b"content-length")
        if length is not None and int(length) > self.limits.body_size:
            raise body_too_large(f"{int(length)} bytes", self.limits)
        version = parser.get_http_version()
        keep_alive = version != "1.0" and parser.should_keep_alive()
        if parser.should_upgrade() and not self._opens_websocket(headers):
            if parser.get_method() == b"CONNECT":
                raise Refused(400, "bad_request", "CONNECT: this is not a proxy")
            self._plain_head = self._without_upgrade(version)
            return
        target = self.url
        if not target.startswith(b"/"):
            target = _origin_form(target)
        if target.startswith(PREFIX):
            self._receiving = EntityCycle(
                self, parser.get_method(), target, headers, keep_alive=keep_alive
            )
        else:
            self._make_scope(target, version)
            if self._upgrading:
                return
            self._receiving = self._asgi_cycle(keep_alive=keep_alive)
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            self.continue_owed = True
            self.head_received()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._progress += 1
        self.continue_owed = False
        shared = self.shared
        shared.body_bytes += len(body)
        if not self.body:
            self.body = body
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += body
        if len(self.body) > self.limits.body_size:
            raise body_too_large("it has more", self.limits)
        if shared.body_bytes > shared.most_body_bytes:
            raise too_many_bodies(shared.most_body_bytes)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._progress += 1
        self.partial = False
        cycle = self._receiving
        if cycle is None:
            return  # the head of an upgrade
        self._receiving = None
        if isinstance(cycle, EntityCycle):
            cycle.body = self.body
        else:
            cycle.body = bytearray(self.body)
            cycle.more_body = False
            cycle.message_event.set()
        self.body = b""
        self.request_received(cycle)

    def drop_partial(self) -> None:
        """Forget a request that is not whole."""
        self.shared.body_bytes -= len(self.body)
        self.body = b""
        self.partial = False
        self._receiving = None

    # Requests for the ASGI application

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
            "path": unquote(raw_path.decode("latin-1")),
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
            headers.get(b"upgrade", b"").lower() != b"websocket"
            or self.url.partition(b"?")[0] != WEBSOCKET_PATH.encode()
        ):
            return False
        if not self.idle:
            raise Refused(400, "bad_request", "a WebSocket can't be opened behind other requests")
        self._upgrading = True
        return True

    def _without_upgrade(self, version: str) -> bytes:
        """Return the head that is here without its wish for another protocol.

        Java's client sends ``Upgrade: h2c`` with its first request, be it a POST with a body.
        """
        method: bytes = self.parser.get_method()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                kept = b", ".join(each for each in options if each.lower() != b"upgrade")
                lines.append(b"connection: " + kept)
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])


def _origin_form(target: bytes) -> bytes:
    """Return path and query of an absolute target, as a proxy sends it."""
    if target == b"*":
        return target
    parsed = httptools.parse_url(target)
    path: bytes = parsed.path or b"/"
    query: bytes = parsed.query
    return path + b"?" + query if query else path
