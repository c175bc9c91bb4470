"""The order service as one thing."""

from customers_and_orders.orders.api import routes
from customers_and_orders.orders.handlers import subscriber
from customers_and_orders.service import Service

order_service = Service(routes, subscriber)
