"""One request under ``/entity/``, from its last byte to its answer.

Stands in uvicorn's pipeline where its ``RequestResponseCycle`` stands, without a task, without
ASGI's messages: the future that the store returns calls back, and the answer is one write.
"""

import asyncio
import logging
from typing import Protocol

from eventuary.errors import EventuaryError, MethodNotAllowed
from eventuary.events import Appended, Entity
from eventuary.server.http_answers import headers_of
from eventuary.server.http_state import HttpState
from eventuary.server.principal import LoginFailed
from eventuary.server.rest.entities import Headers, allowed_methods, encode_answer
from eventuary.server.sockets import address_of

_log = logging.getLogger("eventuary.http")


class Connection(Protocol):
    """What a cycle needs of its connection."""

    transport: asyncio.Transport
    shared: HttpState

    def on_response_complete(self) -> None:
        """The answer is written; the next request may begin."""


class EntityCycle:
    """A request and, in the end, its answer."""

    __slots__ = (
        "_connection",
        "_headers",
        "_method",
        "_target",
        "body",
        "disconnected",
        "keep_alive",
    )

    def __init__(
        self,
        connection: Connection,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._method = method
        self._target = target
        self._headers = headers
        self.keep_alive = keep_alive
        self.disconnected = False
        self.body: bytes | bytearray = b""

    def start(self) -> None:
        """Ask the store; answer now if there is nothing to ask."""
        try:
            future = self._connection.shared.routes.begin(
                self._method, self._target, self._headers, self.body
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)
        else:
            future.add_done_callback(self._done)

    def _done(self, future: "asyncio.Future[Appended] | asyncio.Future[Entity]") -> None:
        try:
            body = encode_answer(future.result())
        except asyncio.CancelledError:
            self._answer(503, "service_unavailable", "the server is shutting down", b"")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)
        else:
            if self.disconnected:
                return
            connection = self._connection
            shared = connection.shared
            shared.counters.entity_answers[200] += 1
            connection.transport.write(shared.heads.success(body, keep_alive=self.keep_alive))
            self._finish()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, LoginFailed):
            connection = self._connection
            connection.shared.routes.authenticator.note(
                error, address_of(connection.transport.get_extra_info("peername"))
            )
        if isinstance(error, EventuaryError) and error.status != EventuaryError.status:
            headers = headers_of(error)
            if isinstance(error, MethodNotAllowed):
                headers = b"allow: %b\r\n" % allowed_methods(self._target).encode()
            self._answer(error.status, error.code, str(error), headers)
            return
        _log.error(
            "%s %s failed unexpectedly",
            self._method.decode("latin-1"),
            self._target[:200].decode("latin-1"),
            exc_info=error,
        )
        self._answer(500, "internal_error", "an unexpected error; the server's log has it", b"")

    def _answer(self, status: int, code: str, explanation: str, headers: bytes) -> None:
        if self.disconnected:
            return  # nobody is left to be told
        connection = self._connection
        shared = connection.shared
        shared.counters.entity_answers[status] += 1
        connection.transport.write(
            shared.heads.failure(
                status,
                code,
                explanation,
                keep_alive=self.keep_alive,
                more_headers=headers,
                with_body=self._method != b"HEAD",
            )
        )
        self._finish()

    def _finish(self) -> None:
        connection = self._connection
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()
