"""The API of our own under ``/v1``, its document and page, health and metrics (protocol.md, section 5)."""
