"""REST and HTTP, over real sockets, on a real SQLite file."""
