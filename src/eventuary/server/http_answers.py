"""HTTP answers as bytes: a whole response is one piece, so that it is one write to the socket."""

import time
from email.utils import formatdate
from http import HTTPStatus

import msgspec

from eventuary.errors import EventuaryError

_encode = msgspec.json.Encoder().encode


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every failure (protocol.md, section 2, "Errors")."""

    error: str
    explanation: str


class AnswerHeads:
    """Everything before a response's ``content-length``, by status; made anew each second.

    ``tick`` is called by the server's sweep: RFC 9110 wants a ``date``, and formatting one for each
    answer would be the dearest part of it.
    """

    def __init__(self) -> None:
        self.date = b""
        self.ok = b""
        self.tick()

    def tick(self) -> None:
        """Take the present date."""
        date = formatdate(time.time(), usegmt=True).encode()
        if date != self.date:
            self.date = date
            self.ok = self._head(200)

    def success(self, body: bytes, *, keep_alive: bool) -> bytes:
        """Return a whole 200 response."""
        close = b"" if keep_alive else b"connection: close\r\n"
        return b"%b%d\r\n%b\r\n%b" % (self.ok, len(body), close, body)

    def failure(
        self,
        status: int,
        error: str,
        explanation: str,
        *,
        keep_alive: bool,
        more_headers: bytes = b"",
        with_body: bool = True,
    ) -> bytes:
        """Return a whole response that says what is wrong.

        ``with_body`` False: the answer to a HEAD, which has the headers alone.
        """
        body = encode_error(error, explanation)
        close = b"" if keep_alive else b"connection: close\r\n"
        return b"%b%d\r\n%b%b\r\n%b" % (
            self._head(status),
            len(body),
            more_headers,
            close,
            body if with_body else b"",
        )

    def _head(self, status: int) -> bytes:
        return (
            b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: application/json\r\ncontent-length: "
            % (status, HTTPStatus(status).phrase.encode(), self.date)
        )


def encode_error(error: str, explanation: str) -> bytes:
    """Return an error's body. What a client sent may be quoted in it: lone surrogates are shown."""
    safe = explanation.encode("utf-8", "backslashreplace").decode()
    return _encode(ErrorAnswer(error, safe))


def headers_of(error: EventuaryError) -> bytes:
    """Return the header lines that an error's status asks for."""
    if error.status == HTTPStatus.UNAUTHORIZED:
        return b'www-authenticate: Basic realm="eventuary"\r\n'
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return b"retry-after: 1\r\n"
    return b""
