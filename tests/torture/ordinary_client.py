"""Somebody who wants nothing but to be served: writes, reads, and gets what was written."""

import threading
import time

import httpx

from tests.acceptance.rest_client import Event, Refused, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import StompClient

_SPACE = "ordinary"

#: Seconds within which it is served, whatever goes on.
PATIENCE = 30.0


class OrdinaryClient:
    """Works in a thread of its own until ``stop``."""

    def __init__(self, server: ServerProcess) -> None:
        self.served = 0
        #: Rounds in which the server was tired of waiting for it.
        self.given_up = 0
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
                Rest(self._server.url, space=_SPACE, patience=PATIENCE) as rest,
                StompClient(self._server.stomp_port) as stomp,
            ):
                stomp.subscribe("ordinary", {"Thing": ["Made"]}, space=_SPACE)
                while not self._stop.wait(0.02):
                    self._be_served(rest, stomp)
        except BaseException as error:  # noqa: BLE001 - check raises it
            self.failure = error

    def _be_served(self, rest: Rest, stomp: StompClient) -> None:
        began = time.monotonic()
        made, is_served = list[str](), False
        try:
            created = rest.create("Thing", [Event("Made")])
            made = created.event_ids
            found = rest.find("Thing", created.entity_id)
            assert [each.id for each in found] == made
            is_served = True
        except (Refused, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # One of the two processes has stood still, for longer than the server waits for a
            # request. It has taken nothing of that: otherwise an event too many is delivered.
            if isinstance(error, Refused) and error.status != 408:
                raise
            self.given_up += 1
        if made:
            assert [each.id for each in stomp.take(1, PATIENCE)] == made
        if is_served:
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.served += 1
