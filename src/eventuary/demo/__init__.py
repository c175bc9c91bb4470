"""``make demo``: Place Order, across a server and four services, some of them killed.

It starts them as a person would, and sees them from outside: HTTP, the log, and an outbox.
"""
