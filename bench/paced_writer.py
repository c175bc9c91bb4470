"""A process of its own that appends at an even pace; each event's data say when it was sent.

    python -m bench.paced_writer PORT APPENDS_PER_SECOND SECONDS

``eventData`` begins with ``time.monotonic_ns()``, the same clock in all processes of a machine, and
has 300 bytes. An append that finds no idle connection is sent late, and its event says when it
should have been: the delay counts.
"""

import select
import socket
import sys
import time

from bench import events
from bench.http_connection import HttpConnection, content_length

_CONNECTIONS = 32
_STAMP = "0123456789012345678"


def write(port: int, rate: float, seconds: float) -> None:
    """Append for so long."""
    data = _STAMP + "y" * (len(events.DATA) - len(_STAMP))
    before, after = events.create(data).split(_STAMP.encode())
    with HttpConnection(port) as http:
        http.call(before + _STAMP.encode() + after)  # the types' names are known from here on
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(_CONNECTIONS):
        each = socket.create_connection(("127.0.0.1", port))
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[each.fileno()] = each
        poll.register(each, select.EPOLLIN)
    idle = list(sockets)
    pause = 1e9 / rate
    began = time.monotonic_ns()
    sent, late = 0, False
    while sent < rate * seconds:
        now = time.monotonic_ns()
        due = began + int(sent * pause)
        if now >= due and idle:
            stamp = due if late else now
            sockets[idle.pop(0)].sendall(before + b"%019d" % stamp + after)
            sent += 1
            late = False
            continue
        late = now >= due
        for descriptor, _ in poll.poll(1.0 if late else (due - now) / 1e9):
            answer = sockets[descriptor].recv(65_536)
            end = answer.find(b"\r\n\r\n") + 4
            while len(answer) < end + content_length(answer[:end]):
                answer += sockets[descriptor].recv(65_536)
            idle.append(descriptor)
    while len(idle) < len(sockets):
        for descriptor, _ in poll.poll():
            sockets[descriptor].recv(65_536)
            poll.unregister(descriptor)
            idle.append(descriptor)


def main() -> None:
    """Write once."""
    port, rate, seconds = sys.argv[1:]
    write(int(port), float(rate), float(seconds))
    print("{}")


if __name__ == "__main__":
    main()
