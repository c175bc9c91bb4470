"""The server: its wires and what surrounds them."""
