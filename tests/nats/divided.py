"""A cluster whose network can be divided: all that its nodes and clients say goes through proxies.

A link that is cut carries nothing, and nobody is told: connections stay, and what was sent arrives
when it is mended, as it does when packets were lost.
"""

import contextlib
from collections.abc import Iterator
from typing import Self

from tests.nats.cluster import NatsCluster
from tests.nats.node import Node
from tests.nats.ports import free_ports
from tests.torture.proxy import Proxy


class DividedCluster(NatsCluster):
    """``servers``: how many clients of the cluster have doors of their own to each node."""

    def __init__(self, servers: int, seed: str) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._number_of_servers = servers
        self._seed = seed
        #: From a node to another, and from a server to a node, by their numbers.
        self._routes: dict[tuple[int, int], Proxy] = {}
        self._doors: dict[tuple[int, int], Proxy] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
        self._stack.close()

    def url_for(self, server: int) -> str:
        """The URL of the log for the engine of a server."""
        ports = [self._doors[server, node].port for node in range(self._size)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"nats://{hosts}/eventuary?system=system:secret"

    def divide(self, node: Node, server: int) -> None:
        """Leave a node and a server alone with each other, and the rest with the rest."""
        for proxy in self._between(self.nodes.index(node), server):
            proxy.stall()

    def mend(self) -> None:
        """Let all hear each other again."""
        for proxy in (*self._routes.values(), *self._doors.values()):
            proxy.flow()

    def _between(self, node: int, server: int) -> Iterator[Proxy]:
        for (one, other), route in self._routes.items():
            if (one == node) != (other == node):
                yield route
        for (one, other), door in self._doors.items():
            if (one == server) != (other == node):
                yield door

    def _make_nodes(self, attempt: int) -> None:
        numbers = range(self._size)
        # A node that is told of another by a third would connect to it past the proxies: it is told
        # of a port where nobody is.
        *ports, nobody = free_ports(2 * self._size + 1)
        client_ports, cluster_ports = ports[: self._size], ports[self._size :]
        for one in numbers:
            for other in numbers:
                if one != other:
                    self._routes[one, other] = self._proxy(cluster_ports[other])
        for server in range(self._number_of_servers):
            for node in numbers:
                self._doors[server, node] = self._proxy(client_ports[node])
        self.nodes = [
            Node(
                self._directory / f"{attempt}-{number}",
                f"node-{number}",
                client_ports[number],
                cluster_ports[number],
                [self._routes[number, other].port for other in numbers if other != number],
                self._sync_interval,
                advertised=nobody,
            )
            for number in numbers
        ]

    def _proxy(self, port: int) -> Proxy:
        return self._stack.enter_context(Proxy(port, self._seed))
