"""The REST API of protocol.md, section 2: create, update and find, straight from the socket."""
