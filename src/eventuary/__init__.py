"""Eventuary: an event store server, and a framework for services that keep their state as events."""

__version__ = "0.1.0"
