"""CreditCheck: the customer service's answer to an order when there is no customer to give it."""

from customers_and_orders.events.customers import CustomerUnknown
from eventuary import Aggregate, apply


class CreditCheck(Aggregate):
    """Its id is the order's."""

    customer_id: str

    @classmethod
    def customer_unknown(cls, customer_id: str) -> CustomerUnknown:
        """Answer that there is no such customer."""
        return CustomerUnknown(customer_id)

    @apply
    def _unknown(self, event: CustomerUnknown) -> None:
        self.customer_id = event.customer_id
