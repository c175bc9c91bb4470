"""A cluster whose network can be divided: all that its nodes and clients say goes through proxies.

A link that is cut carries nothing, and nobody is told: connections stay, and what was sent arrives
when it is mended, as it does when packets were lost.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Self

import nats
import nats.errors

from tests.nats.cluster import NatsCluster
from tests.nats.node import Node
from tests.ports import free_ports
from tests.torture.proxy import Proxy

#: Seconds until a node that does not lead never will.
_DEADLINE = 60.0

#: Seconds for an answer, before all is asked again.
_ANSWERED_WITHIN = 5.0


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
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
        self._stack.close()

    def url_for(self, server: int) -> str:
        """The URL of the log for the engine of a server."""
        ports = [self._doors[server, node].port for node in range(self._size)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"nats://{hosts}/eventuary?system=system:secret"

    def let_lead_all(self, node: Node) -> None:
        """Return when a node is the one that leads JetStream as a whole."""
        deadline = time.monotonic() + _DEADLINE
        while asyncio.run(self._leads_all_after_asking(node)) != node.name:
            assert time.monotonic() < deadline, f"{node.name} does not lead within {_DEADLINE:g} s"

    async def _leads_all_after_asking(self, node: Node) -> str:
        """Ask the leader of all to hand over to a node; returns the name of who has led."""
        url = f"nats://system:secret@127.0.0.1:{node.client_port}"
        connection = await nats.connect(url)
        wanted = {"placement": {"preferred": node.name}}
        leader = ""
        try:
            # Who does not answer stands still, or there is no leader: both are asked again.
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                answer = await connection.request(
                    f"$SYS.REQ.SERVER.{connection._server_info['server_id']}.JSZ",
                    timeout=_ANSWERED_WITHIN,
                )
                leader = str(json.loads(answer.data)["data"]["meta_cluster"].get("leader", ""))
                if leader != node.name:
                    await connection.request(
                        "$JS.API.META.LEADER.STEPDOWN",
                        json.dumps(wanted).encode(),
                        timeout=_ANSWERED_WITHIN,
                    )
        finally:
            await connection.close()
        return leader

    def divide(self, node: Node, server: int) -> None:
        """Leave a node and a server alone with each other, and the rest with the rest."""
        for proxy in self._between(self.nodes.index(node), server):
            proxy.stall()

    def cut_off(self, node: Node) -> None:
        """Let a node hear nothing of the others; the servers reach it as before."""
        for proxy in self._routes_of(self.nodes.index(node)):
            proxy.stall()

    @property
    def doors(self) -> list[Proxy]:
        """By which servers come to nodes."""
        return list(self._doors.values())

    def node_behind(self, port: int) -> Node:
        """Return the node to which a door of this port leads."""
        return next(
            self.nodes[node] for (_, node), door in self._doors.items() if door.port == port
        )

    def mend(self) -> None:
        """Let all hear each other again."""
        for proxy in (*self._routes.values(), *self._doors.values()):
            proxy.flow()

    def _between(self, node: int, server: int) -> Iterator[Proxy]:
        yield from self._routes_of(node)
        for (one, other), door in self._doors.items():
            if (one == server) != (other == node):
                yield door

    def _routes_of(self, node: int) -> Iterator[Proxy]:
        return (route for ends, route in self._routes.items() if node in ends)

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
