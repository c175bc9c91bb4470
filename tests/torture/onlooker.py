"""Looks at where a subscription stands in storage, through a server that has no consumer of it."""

import threading
import time

import httpx

from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.torture.lane_judge import Stored

#: Seconds between two looks.
_EVERY = 0.2


class Onlooker:
    """Looks until it is told to stop. A server without consumers knows only what is stored."""

    def __init__(self, server: ServerProcess, subscriber_id: str) -> None:
        self.seen: list[Stored] = []
        self.failure: BaseException | None = None
        self._rest = Rest(server.url)
        self._path = f"/v1/spaces/{self._rest.space}/subscriptions/{subscriber_id}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onlooker")
        self._thread.start()

    def stop(self) -> None:
        """End. Raises what went wrong."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._rest.http.close()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stop.wait(_EVERY):
                self._look()
        except BaseException as error:  # noqa: BLE001 - raised again by stop
            self.failure = error

    def _look(self) -> None:
        try:
            answer = self._rest.http.get(self._path)
        except httpx.TransportError:
            return
        if answer.status_code in {404, 503}:
            return  # nobody has subscribed yet, or storage can't be read now
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        swimlanes = answer.json()["swimlanes"]
        self.seen.append(
            Stored(time.monotonic(), {each["swimlane"]: each["position"] for each in swimlanes})
        )
