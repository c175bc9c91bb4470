"""What ``/metrics`` reads: numbers that the rooms keep anyway, looked at when somebody asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from eventuary.server.http_state import HttpState
from eventuary.server.stomp.listener import StompListener


@dataclass(frozen=True)
class MetricSources:
    """Satisfies the ``Sources`` of /v1."""

    http: HttpState
    stomp: StompListener

    @property
    def draining(self) -> bool:
        """Whether the server takes nothing new."""
        return self.http.draining

    @property
    def http_connections(self) -> int:
        """HTTP connections that are open."""
        return len(self.http.watched)

    @property
    def stomp_connections(self) -> int:
        """STOMP connections that are open, over TCP, TLS and WebSocket."""
        return self.stomp.connections

    @property
    def entity_answers(self) -> Mapping[int, int]:
        """Answers of the entity routes since the start, by status."""
        return self.http.counters.entity_answers

    @property
    def refusals(self) -> Mapping[int, int]:
        """Requests and connections refused before they reached a route, by status."""
        return self.http.counters.refusals
