"""The order history service: each customer with their recent orders, one document to read."""
