"""The order history service: each customer with their recent orders, as one document to read."""
