"""An event store that is a client of a server: REST to write and read, STOMP to subscribe."""
