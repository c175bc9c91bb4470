"""A service whose handler raises while there is a file ``broken`` in its folder.

Run as ``python -m tests.acceptance.clumsy_service --store=URL --port=N``. It writes the orders that
were approved into a file ``handled``, one a line.
"""

from pathlib import Path

import typer
from fastapi import APIRouter

from customers_and_orders.events.orders import OrderApproved
from customers_and_orders.service import Service
from customers_and_orders.serving import SERVER, Port, Store, serve
from eventuary import Context, Subscriber

BROKEN = "broken"
HANDLED = "handled"

clumsy = Subscriber("clumsy-service")


@clumsy.on(OrderApproved)
async def note(_: OrderApproved, context: Context) -> None:
    """Write the order down."""
    write_down(context.entity_id)


def write_down(order_id: str) -> None:
    """Add a line. Raises RuntimeError while it is broken."""
    if Path(BROKEN).exists():
        raise RuntimeError("it is broken")
    with Path(HANDLED).open("a") as handled:
        handled.write(f"{order_id}\n")


def main(store: Store = SERVER, port: Port = 0) -> None:
    """Serve it."""
    serve("clumsy service", {"": Service(APIRouter(), clumsy)}, store, "127.0.0.1", port)


if __name__ == "__main__":
    typer.run(main)
