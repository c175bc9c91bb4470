"""The company of the demonstration: an event store server and four services, each a process."""

from pathlib import Path
from typing import Any

from eventuary.demo.calls import call
from eventuary.demo.process import Process

#: Where the services are, in a checkout.
_EXAMPLES = Path(__file__).parents[3] / "examples"

#: What each service keeps for itself; all that they share is in the server's log.
KEEPS = {
    "customers": "nothing",
    "orders": "nothing",
    "order_history": "a view, in SQLite",
    "notifications": "an outbox of e-mails",
}


class NoExample(Exception):
    """There is no example beside this package: it was installed without a checkout."""


class Company:
    """All processes, in a folder. Raises NoExample."""

    def __init__(self, directory: Path) -> None:
        if not (_EXAMPLES / "customers_and_orders").is_dir():
            raise NoExample(
                f"the demonstration needs a checkout of Eventuary: {_EXAMPLES} is not there"
            )
        self.outbox = directory / "outbox"
        self.server = Process(
            (
                "eventuary",
                "serve",
                "--http-port={port}",
                "--stomp-port={stomp_port}",
                "--engine=sqlite:events.db",
            ),
            directory,
            _EXAMPLES,
        )
        self.services: dict[str, Process] = {}
        self._directory = directory

    @property
    def store(self) -> str:
        """The server, as the services are told of it."""
        return f"{self.server.url}?stomp_port={self.server.stomp_port}"

    def start(self) -> None:
        """Start the server, then all services at once. Raises DidNotStart."""
        self.server.start()
        for name in KEEPS:
            module = f"customers_and_orders.{name}"
            service = Process(
                (module, f"--store={self.store}", "--port={port}"), self._directory, _EXAMPLES
            )
            service.begin()
            self.services[name] = service
        for service in self.services.values():
            service.wait_until_ready()

    def stop(self) -> list[int]:
        """End the services and then the server, as an operator does; return the exit codes."""
        for service in self.services.values():
            service.ask_to_end()
        codes = [service.wait() for service in self.services.values()]
        self.server.ask_to_end()
        return [*codes, self.server.wait()]

    def kill(self) -> None:
        """End whatever runs."""
        for process in (*self.services.values(), self.server):
            process.kill()

    def get(self, service: str, path: str) -> Any:
        """Ask a service; None for what it does not know. Raises Refused and OSError."""
        return call(self.services[service].port, "GET", path)

    def post(self, service: str, path: str, **body: object) -> Any:
        """Tell a service to do something. Raises Refused and OSError."""
        return call(self.services[service].port, "POST", path, body or None)

    def log(self, after: int, wait: float) -> Any:
        """Return a page of the server's log; when it is empty, after so many seconds at most."""
        path = f"/v1/spaces/default/log?after={after}&wait={wait}&limit=5000"
        return call(self.server.port, "GET", path)
