"""Places orders one after the other, and waits for each to be approved.

    python -m bench.place_order_calls CUSTOMER_PORT ORDER_PORT ORDERS

Prints ``{"p50": …, "p99": …}``: milliseconds from sending ``POST /orders`` until a ``GET`` says
APPROVED. An order is asked for again as soon as the answer before has come.
"""

import http.client
import json
import sys
import time
from statistics import quantiles
from typing import Any


def _call(connection: http.client.HTTPConnection, method: str, path: str, body: object) -> Any:
    connection.request(
        method,
        path,
        None if body is None else json.dumps(body),
        {"Content-Type": "application/json"},
    )
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status < 300, answer
    return answer


def main() -> None:
    """Measure once."""
    customers_port, orders_port, orders_wanted = map(int, sys.argv[1:])
    customers = http.client.HTTPConnection("127.0.0.1", customers_port, timeout=20)
    orders = http.client.HTTPConnection("127.0.0.1", orders_port, timeout=20)
    customer = _call(customers, "POST", "/customers", {"name": "Ada", "creditLimit": "1000000"})
    taken = []
    for number in range(orders_wanted + 10):
        began = time.perf_counter()
        order = _call(
            orders,
            "POST",
            "/orders",
            {"customerId": customer["customerId"], "orderTotal": "1"},
        )
        while order["state"] != "APPROVED":
            order = _call(orders, "GET", f"/orders/{order['orderId']}", None)
        if number >= 10:  # the first ones open connections
            taken.append((time.perf_counter() - began) * 1000)
    parts = quantiles(taken, n=100)
    print(json.dumps({"p50": parts[49], "p99": parts[98]}))


if __name__ == "__main__":
    main()
