"""What all HTTP connections of a server share: limits, routes, counters, and the clock's sweep."""

import asyncio
from collections import Counter
from math import inf
from typing import Protocol

from uvicorn.server import ServerState

from eventuary.limits import Limits
from eventuary.server.http_answers import AnswerHeads
from eventuary.server.rest.entities import EntityRoutes

#: Seconds between two looks at the connections' deadlines, at most.
_SWEEP = 1.0


class Watched(Protocol):
    """An HTTP connection, as its server sees it."""

    deadline: float
    transport: asyncio.Transport

    @property
    def answering(self) -> bool:
        """Whether a request is coming in or waits for the beginning of its answer."""

    def expire(self) -> None:
        """The deadline has passed."""

    def postpone(self, seconds: float) -> None:
        """The deadline is so much later."""

    def shutdown(self) -> None:
        """Answer what has been asked, and close."""


class HttpCounters:
    """What has happened, as plain numbers that are read when metrics are."""

    def __init__(self) -> None:
        #: Answers of the entity routes by status.
        self.entity_answers: Counter[int] = Counter()
        #: Connections refused and requests refused before they reached a route, by status.
        self.refusals: Counter[int] = Counter()


class HttpState(ServerState):
    """uvicorn's state of a server, and ours.

    One sweep a second closes what is over its deadline: a timer for each request would cost more
    than the request's parsing.
    """

    def __init__(self, routes: EntityRoutes, limits: Limits) -> None:
        super().__init__()
        self.routes = routes
        self.limits = limits
        self.heads = AnswerHeads()
        self.counters = HttpCounters()
        #: Bytes of request bodies in memory, of all connections.
        self.body_bytes = 0
        #: Most of them: a server whose every connection sends the longest body stays bounded.
        self.most_body_bytes = max(limits.waiting_bytes, 2 * limits.body_size)
        self.draining = False
        self.watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        shortest = min(limits.request_timeout, limits.keep_alive_timeout, limits.write_timeout)
        self._interval = min(_SWEEP, shortest / 4)
        self._next_sweep = inf

    def start_sweeping(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the deadlines and the date from now on."""
        self.heads.tick()
        self.default_headers = [(b"date", self.heads.date)]
        now = loop.time()
        late = now - self._next_sweep
        self._next_sweep = now + self._interval
        self._timer = loop.call_at(self._next_sweep, self.start_sweeping, loop)
        # A sweep that is late itself judges nobody: the server stood still, and may have requests
        # that it has not read yet. That time counts for nobody.
        stood_still = late > self._interval / 2
        for connection in list(self.watched):
            if stood_still:
                connection.postpone(late)
            elif connection.deadline <= now:
                connection.expire()

    def stop_sweeping(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
