"""What the order history notes when something happens to customers and orders."""

from customers_and_orders.events.customers import (
    CreditReleased,
    CreditReserved,
    CustomerCreated,
)
from customers_and_orders.events.orders import (
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
)
from customers_and_orders.order_history.documents import (
    OrderDocument,
    add_order,
    change_reserved,
    describe_customer,
    move_order,
)
from customers_and_orders.order_history.sqlite_history import SqliteHistory
from eventuary import Context, Subscriber


def history_subscriber(history: SqliteHistory) -> Subscriber:
    """Keep this history."""
    subscriber = Subscriber("order-history-service")

    @subscriber.on(CustomerCreated)
    async def customer_created(event: CustomerCreated, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: describe_customer(
                documents, context.entity_id, event.name, event.credit_limit
            ),
        )

    @subscriber.on(CreditReserved)
    async def credit_reserved(event: CreditReserved, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: change_reserved(documents, context.entity_id, event.amount),
        )

    @subscriber.on(CreditReleased)
    async def credit_released(event: CreditReleased, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: change_reserved(documents, context.entity_id, -event.amount),
        )

    @subscriber.on(OrderCreated)
    async def order_created(event: OrderCreated, context: Context) -> None:
        order = OrderDocument(
            context.entity_id, event.customer_id, event.order_total, "CREATED", context.time
        )
        await history.once(
            context.swimlane, context.position, lambda documents: add_order(documents, order)
        )

    @subscriber.on(OrderApproved)
    async def order_approved(_: OrderApproved, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: move_order(documents, context.entity_id, "APPROVED"),
        )

    @subscriber.on(OrderRejected)
    async def order_rejected(event: OrderRejected, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: move_order(documents, context.entity_id, "REJECTED", event.reason),
        )

    @subscriber.on(OrderCancelled)
    async def order_cancelled(_: OrderCancelled, context: Context) -> None:
        await history.once(
            context.swimlane,
            context.position,
            lambda documents: move_order(documents, context.entity_id, "CANCELLED"),
        )

    return subscriber
