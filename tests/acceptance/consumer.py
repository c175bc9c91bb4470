"""One of several connections that share a subscription, each to a server of its own."""

import threading
import time
from collections.abc import Callable

from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import Body, ConnectionEnded, StompClient, TryAgain, Types


class Consumer:
    """A connection to one server, made anew when it ends: records, then acknowledges."""

    def __init__(
        self,
        server: ServerProcess,
        subscriber_id: str,
        types: Types,
        record: Callable[[Body], None],
    ) -> None:
        #: By swimlane, when something of it came last.
        self.swimlanes: dict[int, float] = {}
        self.failure: BaseException | None = None
        self._server = server
        self._subscriber_id = subscriber_id
        self._types = types
        self._record = record
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End the connection. Raises what went wrong."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with StompClient(self._server.stomp_port) as client:
                    client.subscribe(self._subscriber_id, self._types)
                    self._consume(client)
            except (ConnectionEnded, TryAgain, OSError):
                self._stop.wait(0.05)
            except BaseException as error:  # noqa: BLE001 - raised again by stop
                self.failure = error
                return

    def _consume(self, client: StompClient) -> None:
        while not self._stop.is_set():
            try:
                message = client.next(patience=0.05)
            except TimeoutError:
                continue
            self._record(message.event)
            self.swimlanes[message.event.swimlane] = time.monotonic()
            client.ack(message)
