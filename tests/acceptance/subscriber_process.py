"""A subscriber in a process of its own, to be killed: prints each event, then acknowledges it.

Run as ``python -m tests.acceptance.subscriber_process PORT SUBSCRIBER ENTITY_TYPE EVENT_TYPE…``.
"""

import contextlib
import sys

from tests.acceptance.stomp_client import ConnectionEnded, StompClient


def main() -> None:
    """Subscribe, and go on until the server goes away or this process is killed."""
    port, subscriber_id, entity_type, *event_types = sys.argv[1:]
    with StompClient(int(port)) as client, contextlib.suppress(ConnectionEnded):
        client.subscribe(subscriber_id, {entity_type: event_types})
        print("subscribed", flush=True)
        while True:
            message = client.next(patience=3600)
            print(message.event.entity_id, message.event.id, flush=True)
            client.ack(message)


if __name__ == "__main__":
    main()
