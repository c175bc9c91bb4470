"""What these routes ask the other rooms of the server for. They count anyway; nobody is told."""

from collections.abc import Mapping
from typing import Protocol


class Sources(Protocol):
    """Plain numbers, read when somebody asks for metrics; ``MetricSources`` satisfies it."""

    @property
    def draining(self) -> bool:
        """Whether the server takes nothing new: it is not ready, and waits and streams end."""

    @property
    def http_connections(self) -> int:
        """HTTP connections that are open."""

    @property
    def stomp_connections(self) -> int:
        """STOMP connections that are open, over TCP, TLS and WebSocket."""

    @property
    def entity_answers(self) -> Mapping[int, int]:
        """Answers of the routes under ``/entity/`` since the start, by status."""

    @property
    def refusals(self) -> Mapping[int, int]:
        """Requests and connections refused before they reached a route, by status."""
