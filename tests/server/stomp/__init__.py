"""The STOMP side of the server."""
