"""A process of its own: subscribers that are at the head, and one writer that keeps them busy.

    python -m bench.live_fan_out HTTP_PORT STOMP_PORT SUBSCRIBERS SECONDS

The writer appends as fast as the slowest subscriber follows, never further ahead than what the
server has in memory, so that nobody reads the database. Prints ``{"rate": deliveries per second}``,
all subscribers together.
"""

import json
import os
import selectors
import sys
import time

from bench import events
from bench.http_connection import HttpConnection
from bench.stomp_connection import StompConnection

#: Events of one call, and how far the slowest subscriber may be behind when the next is made.
_BATCH = 200
_BEHIND = 400

_WARM_UP = 1.0


def measure(http_port: int, stomp_port: int, subscribers: int, seconds: float) -> float:
    """Return deliveries per second."""
    request = events.several(_BATCH, 1)
    selector = selectors.DefaultSelector()
    connections = [
        StompConnection(stomp_port, f"fan-out-{os.getpid()}-{number}", from_end=True)
        for number in range(subscribers)
    ]
    for each in connections:
        selector.register(each.socket, selectors.EVENT_READ, each)
    sent = counted = 0
    began = time.perf_counter()
    counting = False
    with HttpConnection(http_port) as http:
        while True:
            slowest = min(each.messages for each in connections)
            if sent - slowest <= _BEHIND:
                http.call(request)
                sent += _BATCH
            for key, _ in selector.select():
                key.data.take()
            now = time.perf_counter()
            delivered = sum(each.messages for each in connections)
            if not counting and now - began >= _WARM_UP:
                counting, began, counted = True, now, delivered
            elif counting and now - began >= seconds:
                break
        rate = (delivered - counted) / (now - began)
        while any(each.messages < sent for each in connections):
            for key, _ in selector.select():
                key.data.take()
    assert all(each.messages == sent for each in connections)
    for each in connections:
        each.leave()
    return rate


def main() -> None:
    """Measure once."""
    http_port, stomp_port, subscribers, seconds = sys.argv[1:]
    rate = measure(int(http_port), int(stomp_port), int(subscribers), float(seconds))
    print(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
