"""Customers who order at the same time, each until all of theirs are answered."""

import threading
import time

from eventuary.demo.calls import Refused
from eventuary.demo.company import Company


class Crowd:
    """So many buyers, who place so many orders each for one customer."""

    def __init__(
        self, company: Company, customer_id: str, total: str, *, buyers: int, each: int
    ) -> None:
        #: The ids of the orders that were answered.
        self.answered: list[str] = []
        self.refusals: list[str] = []
        self._threads = [
            threading.Thread(target=self._buy, args=(company, customer_id, total, each))
            for _ in range(buyers)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, orders: int) -> None:
        """Wait until so many are answered, at most 20 seconds."""
        end = time.monotonic() + 20
        while len(self.answered) < orders and time.monotonic() < end:
            time.sleep(0.002)

    def join(self) -> None:
        """Wait until all are."""
        for thread in self._threads:
            thread.join()

    def _buy(self, company: Company, customer_id: str, total: str, each: int) -> None:
        for _ in range(each):
            try:
                order = company.post("orders", "/orders", customerId=customer_id, orderTotal=total)
            except (Refused, OSError) as error:
                self.refusals.append(str(error))
            else:
                self.answered.append(order["orderId"])
