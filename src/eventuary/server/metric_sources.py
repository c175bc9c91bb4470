"""What ``/metrics`` reads: counters that the rooms keep anyway, looked at when somebody asks."""

from dataclasses import dataclass

from eventuary.server.http_state import HttpState


@dataclass(frozen=True)
class MetricSources:
    """``stomp`` counts its connections; ``http`` its answers, refusals and connections."""

    http: HttpState
