"""The notification service: an e-mail for each order that is approved."""
