"""A process of its own with many subscribers, each on a connection and under a name of its own.

    python -m bench.crowd STOMP_PORT NAME SUBSCRIBERS live|silent

``live`` ones begin at the log's end and acknowledge; ``silent`` ones begin at its beginning, take
what the server sends and acknowledge nothing, so that each has a full window under way. Prints a
line when all are subscribed; for each number that it reads, one when so many messages have come.
"""

import selectors
import sys

from bench.stomp_connection import StompConnection


def main() -> None:
    """Subscribe, and read until standard input ends."""
    port, name, subscribers, manner = sys.argv[1:]
    live = manner == "live"
    connections = [
        StompConnection(int(port), f"{name}-{number}", from_end=live, acknowledge=live)
        for number in range(int(subscribers))
    ]
    print("subscribed", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    for each in connections:
        selector.register(each.socket, selectors.EVENT_READ, each)
    awaited: int | None = None
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                key.data.take()
            elif line := sys.stdin.readline():
                awaited = int(line)
            else:
                return
        if awaited is not None and sum(each.messages for each in connections) >= awaited:
            print("received", flush=True)
            awaited = None


if __name__ == "__main__":
    main()
