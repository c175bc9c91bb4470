"""The installed command from outside: its own process, real HTTP, real STOMP."""
