"""The remote event store against real servers: what a server, a network and a restart do to it."""
