"""A process of its own: subscribers at the head that note how long each event took to arrive.

    python -m bench.live_latency HTTP_PORT STOMP_PORT SUBSCRIBERS APPENDS_PER_SECOND SECONDS

Starts a writer (``paced_writer``) in another process. Prints the median and the 99th percentile,
``{"p50": milliseconds, "p99": milliseconds}``, over all deliveries of all subscribers: from sending
the append to having received the event.
"""

import json
import os
import re
import selectors
import subprocess
import sys
import time

from bench.stomp_connection import StompConnection

_STAMP = re.compile(rb'"eventData":"(\d{19})')


def measure(
    http_port: int, stomp_port: int, subscribers: int, rate: float, seconds: float
) -> list[float]:
    """Return the milliseconds of each delivery, those of the first second left out, sorted."""
    selector = selectors.DefaultSelector()
    connections = [
        StompConnection(stomp_port, f"latency-{os.getpid()}-{number}", from_end=True)
        for number in range(subscribers)
    ]
    for each in connections:
        selector.register(each.socket, selectors.EVENT_READ, each)
    writer = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench.paced_writer"),
            *(str(http_port), str(rate), str(seconds + 1)),
        ],
        stdout=subprocess.DEVNULL,
    )
    expected = int(rate * (seconds + 1)) + 1  # one more that names the types
    nanoseconds: list[int] = []
    while any(each.messages < expected for each in connections):
        ready = selector.select(30)
        if not ready:
            raise TimeoutError(f"{[each.messages for each in connections]} of {expected} events")
        for key, _ in ready:
            frames = key.data.take()
            now = time.monotonic_ns()
            nanoseconds += [now - int(stamp) for stamp in _STAMP.findall(frames)]
    assert writer.wait(30) == 0
    for each in connections:
        each.leave()
    skipped = subscribers * (int(rate) + 1)
    return sorted(each / 1e6 for each in nanoseconds[skipped:])


def main() -> None:
    """Measure once."""
    http_port, stomp_port, subscribers, rate, seconds = sys.argv[1:]
    taken = measure(int(http_port), int(stomp_port), int(subscribers), float(rate), float(seconds))
    print(json.dumps({"p50": taken[len(taken) // 2], "p99": taken[len(taken) * 99 // 100]}))


if __name__ == "__main__":
    main()
