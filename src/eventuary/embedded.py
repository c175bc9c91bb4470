"""The event store in this process: an engine, and delivery on top of it."""
