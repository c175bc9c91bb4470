"""A process of its own with one subscriber that reads the log from its beginning.

    python -m bench.stomp_reader PORT SUBSCRIBER EVENTS

Acknowledges each event by a frame of its own. Prints ``{"rate": events per second}``, counted from
before it connects until the last event is there.
"""

import json
import sys
import time

from bench.stomp_connection import StompConnection


def main() -> None:
    """Read so many events."""
    port, subscriber_id, events = sys.argv[1:]
    began = time.perf_counter()
    connection = StompConnection(int(port), subscriber_id)
    while connection.messages < int(events):
        connection.take()
    seconds = time.perf_counter() - began
    connection.leave()
    assert connection.messages == int(events), f"{connection.messages} events, not {events}"
    print(json.dumps({"rate": int(events) / seconds}))


if __name__ == "__main__":
    main()
