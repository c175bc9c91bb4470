"""One HTTP/1.1 connection to the server: a request, its answer, the next request.

Bytes are made and read here and nowhere else; which request is worth asking again is not known
here. Nothing is pipelined: a connection that breaks leaves at most one request without answer.
"""

import asyncio
from typing import cast

import httptools
import msgspec


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A response, whole."""

    status: int
    body: bytes


class AnswerLost(Exception):
    """The request was sent, or may have been, and there is no whole answer to it."""


class HttpConnection(asyncio.Protocol):
    """``ask`` only when the answer before is there, and while ``usable``."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        #: Whether another request may be sent.
        self.usable = True
        #: When it was used last, and when the answer must be there, on the loop's clock.
        self.idle_since = 0.0
        self.deadline = 0.0

    def ask(self, request: bytes, patience: float) -> asyncio.Future[Answer]:
        """Send a request. The future raises AnswerLost; so does ``expire`` make it."""
        self._answer = answer = self._loop.create_future()
        self.deadline = self._loop.time() + patience
        self._transport.write(request)
        return answer

    def close(self) -> None:
        """Let it go, whatever is under way."""
        self.usable = False
        self._transport.abort()

    def expire(self, now: float) -> None:
        """End it if its answer should be there by now."""
        if self._answer is not None and now >= self.deadline:
            self._lose("no answer in time")
            self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.idle_since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Read a piece of the answer."""
        if self._answer is None:
            # Not asked for: the server says why it is about to close.
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lose(f"the answer is not HTTP/1.1: {error}")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.usable = False
        self._lose(f"the connection broke: {error}" if error else "the connection was closed")

    def _lose(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(AnswerLost(reason))

    # httptools

    def on_body(self, body: bytes) -> None:
        """A piece of the body is here."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        if status < 200:
            return  # informational: the answer follows
        if not self._parser.should_keep_alive():
            self.usable = False
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Answer(status, body))
