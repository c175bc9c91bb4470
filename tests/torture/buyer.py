"""A buyer, who places orders and cancels some, whatever is killed; they note what was answered."""

import random
import threading
from collections.abc import Sequence

import httpx

from tests.acceptance.shop import OrderShown, Shop, decoded

#: Seconds between two calls, and after one that was not answered.
_PACE = 0.03
_REST = 0.1


class Buyer:
    """A thread of its own; calls go to the two copies of the order service in turn."""

    def __init__(self, shop: Shop, customers: Sequence[str], seed: str) -> None:
        #: The ids of orders whose placing was answered, and of those whose cancelling was.
        self.placed: list[str] = []
        self.cancelled: list[str] = []
        #: How many calls were not answered: whether something came of them, nobody knows.
        self.unanswered = 0
        self.failure: BaseException | None = None
        #: Orders that may be there to be cancelled.
        self._open: list[str] = []
        self._shop = shop
        self._customers = customers
        self._chance = random.Random(seed)
        self._http = httpx.Client(timeout=40, trust_env=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"buyer {seed}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the call under way is over."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._http.close()

    def _run(self) -> None:
        try:
            while not self._ended.wait(_PACE):
                try:
                    self._act()
                except httpx.TransportError:
                    self.unanswered += 1
                    self._ended.wait(_REST)
        except BaseException as failure:  # noqa: BLE001 - the judge asks for it
            self.failure = failure

    def _act(self) -> None:
        url = self._shop.url("orders", self._chance.randrange(2))
        if self._open and self._chance.random() < 0.4:
            self._cancel(url, self._chance.choice(self._open))
            return
        # Some order for nobody, and some for more than anybody may owe.
        chance = self._chance.random()
        customer = "nobody" if chance < 0.03 else self._chance.choice(self._customers)
        total = 1000 if 0.03 <= chance < 0.06 else self._chance.randint(1, 40)
        answer = self._http.post(
            f"{url}/orders", json={"customerId": customer, "orderTotal": total}
        )
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.unanswered += 1
            return
        order = decoded(answer, OrderShown, 201).order_id
        self.placed.append(order)
        self._open.append(order)
        if self._chance.random() < 0.3:
            # While its approval is on its way.
            self._cancel(url, order)

    def _cancel(self, url: str, order: str) -> None:
        answer = self._http.post(f"{url}/orders/{order}/cancel")
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.unanswered += 1
            return
        if answer.status_code != httpx.codes.CONFLICT:  # it was rejected
            assert decoded(answer, OrderShown).state == "CANCELLED"
            self.cancelled.append(order)
            if self._chance.random() < 0.2:
                return  # it will be cancelled again
        self._open.remove(order)
