"""The order service: who wants what, and whether they get it."""
