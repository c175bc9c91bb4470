"""The customer service as one thing."""

from customers_and_orders.customers.api import routes
from customers_and_orders.customers.handlers import subscriber
from customers_and_orders.service import Service

customer_service = Service(routes, subscriber)
