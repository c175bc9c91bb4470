"""Place Order: four services that share nothing but events.

An order is approved when its customer's credit suffices; no service calls another, and no
transaction spans two of them. ``README.md`` tells how to start them.
"""
