"""Somebody who wants nothing but to be served: writes, reads, and gets what was written."""

import threading
import time

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import StompClient

_SPACE = "ordinary"


class OrdinaryClient:
    """Works in a thread of its own until ``stop``."""

    def __init__(self, server: ServerProcess) -> None:
        self.served = 0
        #: Seconds that the slowest round took.
        self.slowest = 0.0
        self.failure: BaseException | None = None
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def check(self) -> None:
        """Raise what has happened to it."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with (
                Rest(self._server.url, space=_SPACE) as rest,
                StompClient(self._server.stomp_port) as stomp,
            ):
                stomp.subscribe("ordinary", {"Thing": ["Made"]}, space=_SPACE)
                while not self._stop.wait(0.02):
                    began = time.monotonic()
                    created = rest.create("Thing", [Event("Made")])
                    found = rest.find("Thing", created.entity_id)
                    assert [each.id for each in found] == created.event_ids
                    assert [each.id for each in stomp.take(1)] == created.event_ids
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.served += 1
        except BaseException as error:  # noqa: BLE001 - check raises it
            self.failure = error
