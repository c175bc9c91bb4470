"""Place Order at work: a server, its services, and what a customer and an operator can do."""

from collections.abc import Mapping
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from tests.acceptance.server_process import ServerProcess
from tests.acceptance.service_process import ServiceProcess
from tests.acceptance.waiting import wait_until

#: Seconds within which an answer comes; the services themselves try for 30 seconds.
PATIENCE = 40.0

_HISTORY = "order-history."

#: The services' names, each with its subscriber id; of a view, with what that begins with: the
#: number of the generation and a tag of its own follow.
SUBSCRIBERS = {
    "customers": "customer-service",
    "orders": "order-service",
    "order_history": _HISTORY,
    "notifications": "notification-service",
}

CUSTOMER = "customers.Customer"
CREDIT_CHECK = "customers.CreditCheck"
ORDER = "orders.Order"


class CustomerShown(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the customer service answers."""

    customer_id: str
    name: str
    credit_limit: Decimal
    available_credit: Decimal


class OrderShown(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the order service answers."""

    order_id: str
    customer_id: str
    order_total: Decimal
    state: str
    rejection_reason: str | None


class OrderInHistory(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the order history answers, and has in its customers' documents."""

    order_id: str
    customer_id: str
    order_total: Decimal
    state: str
    placed_at: str
    rejection_reason: str | None = None


class CustomerInHistory(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A customer's document in the order history."""

    customer_id: str
    name: str
    credit_limit: Decimal
    credit_reserved: Decimal
    orders: list[OrderInHistory]


class Logged(msgspec.Struct, rename="camel"):
    """An event of the log."""

    position: int
    id: str
    entity_type: str
    entity_id: str
    event_type: str
    event_data: str
    metadata: str = "{}"
    triggering_event_token: str | None = None

    @property
    def data(self) -> dict[str, str]:
        """The event's data."""
        data: dict[str, str] = msgspec.json.decode(self.event_data)
        return data

    @property
    def cause(self) -> str | None:
        """The id of the event that triggered it."""
        return self.triggering_event_token and self.triggering_event_token[:33]


class Shop:
    """The services over a server; ``copies`` of each, which share what is theirs.

    ``mailer``: what sends e-mails, instead of the outbox.
    """

    def __init__(
        self,
        server: ServerProcess,
        directory: Path,
        *,
        copies: int = 1,
        mailer: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.server = server
        self.directory = directory
        self.outbox = directory / "outbox"
        self._mailer = mailer or f"outbox:{self.outbox}"
        self._environment = environment
        self.services: dict[str, list[ServiceProcess]] = {}
        for name in SUBSCRIBERS:
            self.services[name] = []
            for number in range(copies):
                own = directory / f"{name}-{number}"
                own.mkdir()
                self.services[name].append(self.copy(name, own))
        self.http = httpx.Client(timeout=PATIENCE, trust_env=False)

    def copy(self, name: str, directory: Path) -> ServiceProcess:
        """Return a process of a service, which is not started, in a folder of its own."""
        shared = {
            "order_history": ("--database", str(self.directory / "order-history.db")),
            "notifications": ("--mailer", self._mailer),
        }
        return ServiceProcess(
            f"customers_and_orders.{name}",
            f"{self.server.url}?stomp_port={self.server.stomp_port}",
            directory,
            *shared.get(name, ()),
            environment=self._environment,
        )

    @property
    def all_services(self) -> list[ServiceProcess]:
        """All processes but the server's."""
        return [each for copies in self.services.values() for each in copies]

    def start(self) -> None:
        """Start all at once, and wait until they are ready."""
        for each in self.all_services:
            each.begin()
        for each in self.all_services:
            each.wait_until_ready()

    def end(self) -> None:
        """End all as an operator does; they have nothing to complain about."""
        for each in self.all_services:
            each.process.terminate()
        for each in self.all_services:
            assert each.wait() == 0, each.log
            assert "Traceback" not in each.log, each.log

    def close(self) -> None:
        """End all that run."""
        self.http.close()
        for each in self.all_services:
            each.close()

    def url(self, name: str, copy: int = 0) -> str:
        """Where a service listens."""
        return self.services[name][copy].url

    # ── As a customer ─────────────────────────────────────────────────────────────────────────

    def create_customer(self, limit: str | float, name: str = "Ada") -> str:
        """Return the new customer's id."""
        answer = self.http.post(
            f"{self.url('customers')}/customers", json={"name": name, "creditLimit": limit}
        )
        return decoded(answer, CustomerShown, 201).customer_id

    def place_order(self, customer_id: str, total: str | float, *, copy: int = 0) -> str:
        """Return the new order's id."""
        answer = self.http.post(
            f"{self.url('orders', copy)}/orders",
            json={"customerId": customer_id, "orderTotal": total},
        )
        return decoded(answer, OrderShown, 201).order_id

    def cancel(self, order_id: str, *, copy: int = 0) -> OrderShown:
        """Cancel an order; the answer is its state after that."""
        return decoded(
            self.http.post(f"{self.url('orders', copy)}/orders/{order_id}/cancel"), OrderShown
        )

    def customer(self, customer_id: str) -> CustomerShown:
        """Ask the customer service."""
        return decoded(
            self.http.get(f"{self.url('customers')}/customers/{customer_id}"), CustomerShown
        )

    def order(self, order_id: str, *, copy: int = 0) -> OrderShown:
        """Ask the order service."""
        return decoded(self.http.get(f"{self.url('orders', copy)}/orders/{order_id}"), OrderShown)

    def customer_history(self, customer_id: str) -> CustomerInHistory:
        """Ask the order history."""
        return decoded(
            self.http.get(f"{self.url('order_history')}/customers/{customer_id}"),
            CustomerInHistory,
        )

    def order_history(self, order_id: str) -> OrderInHistory:
        """Ask the order history."""
        return decoded(
            self.http.get(f"{self.url('order_history')}/orders/{order_id}"), OrderInHistory
        )

    def wait_for_state(self, order_id: str, state: str) -> OrderShown:
        """Return the order once it has this state."""
        wait_until(lambda: self.order(order_id).state == state, f"order {order_id} becomes {state}")
        return self.order(order_id)

    @property
    def emails(self) -> list[EmailMessage]:
        """All that are in the outbox."""
        found = []
        for path in sorted(self.outbox.glob("*.eml")):
            message = message_from_bytes(path.read_bytes(), policy=SMTP)
            assert isinstance(message, EmailMessage)
            found.append(message)
        return found

    def emails_about(self, order_id: str) -> list[EmailMessage]:
        """Those that tell of an order."""
        return [each for each in self.emails if order_id in each["Subject"]]

    # ── As an operator ────────────────────────────────────────────────────────────────────────

    def log(self, *entity_types: str, after: int = 0) -> list[Logged]:
        """Return the log after a position, or what it has of these entity types."""
        events: list[Logged] = []
        position = after
        while True:
            answer = self.http.get(
                f"{self.server.url}/v1/spaces/default/log",
                params={"after": position, "limit": 5000, "entityType": entity_types},
            )
            page = decoded(answer, _Page)
            events += page.events
            if page.position >= page.head:
                return events
            position = page.position

    def events_of(self, entity_type: str, entity_id: str) -> list[Logged]:
        """Return an entity's events."""
        return [each for each in self.log(entity_type) if each.entity_id == entity_id]

    def subscription(self, name: str, verb: str = "", **body: object) -> "Subscription":
        """See, or with a verb change, a service's subscription."""
        url = f"{self.server.url}/v1/spaces/default/subscriptions/{self._subscriber_id(name)}"
        if verb == "policy":
            answer = self.http.put(f"{url}/policy", json=body)
        elif verb:
            answer = self.http.post(f"{url}/{verb}", json=body)
        else:
            answer = self.http.get(url)
        return decoded(answer, Subscription)

    def _subscriber_id(self, name: str) -> str:
        known = SUBSCRIBERS[name]
        if known != _HISTORY:
            return known
        answer = self.http.get(f"{self.server.url}/v1/spaces/default/subscriptions")
        of_view = [
            each
            for each in decoded(answer, _Subscriptions).subscriptions
            if each.subscriber_id.startswith(known)
        ]
        return max(of_view, key=lambda each: each.created_at).subscriber_id

    def settle(self, patience: float = PATIENCE) -> None:
        """Return when everything that follows from what happened has happened."""

        def quiet() -> bool:
            before = self._head
            if any(self.subscription(name).lag for name in SUBSCRIBERS):
                return False
            return self._head == before

        wait_until(quiet, "all events are handled", patience=patience)

    @property
    def _head(self) -> int:
        answer = self.http.get(f"{self.server.url}/v1/spaces/default/log", params={"limit": 1})
        return decoded(answer, _Page).head


class Subscription(msgspec.Struct, rename="camel"):
    """Where a subscription stands."""

    lag: int
    consumers: int
    dead_letters: int


class _Named(msgspec.Struct, rename="camel"):
    subscriber_id: str
    created_at: int


class _Subscriptions(msgspec.Struct):
    subscriptions: list[_Named]


class _Page(msgspec.Struct):
    events: list[Logged]
    position: int
    head: int


_Kind = TypeVar("_Kind")


def decoded(answer: httpx.Response, kind: type[_Kind], status: int = 200) -> _Kind:
    """Return an answer's body, which has this shape, decimals as strings."""
    assert answer.status_code == status, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return msgspec.json.decode(answer.content, type=kind)
