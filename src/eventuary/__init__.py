"""Eventuary: an event store server, and a framework for services whose state is events."""

__version__ = "0.1.0"
