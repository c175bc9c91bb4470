"""Clients that place orders, all at once, until the server goes away; they note what was stored."""

import contextlib
import http.client
import threading
import time

from eventuary.demo.entities import Entities, Event


class Crowd:
    """So many clients, each with a connection of its own."""

    def __init__(self, port: int, clients: int) -> None:
        #: The events of each acknowledged order: entity id → event ids.
        self.acknowledged: dict[str, list[str]] = {}
        self._port = port
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._place_orders) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, orders: int) -> float:
        """Wait for so many orders, at most 20 seconds; return how many a second there were."""
        while len(self.acknowledged) < orders and time.monotonic() - self._began < 20:
            time.sleep(0.002)
        return len(self.acknowledged) / (time.monotonic() - self._began)

    def join(self) -> None:
        """Wait for all to notice that the server is gone."""
        for thread in self._threads:
            thread.join()

    def _place_orders(self) -> None:
        entities = Entities(self._port)
        # No answer: the order may be stored, or not; only an answer is a promise.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                placed = entities.create(
                    "Order", [Event("OrderPlaced", {"total": 25}), Event("OrderPriced", {})]
                )
                self.acknowledged[placed.entity_id] = placed.event_ids
        entities.close()
