"""The API of our own under ``/v1``: its document and page, health, metrics (protocol.md, 5)."""
