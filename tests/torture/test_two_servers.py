"""Several servers started on one database at once: one serves, the others say why not, exit code 2.

Over and over, also in the very moment in which the one that served is killed.
"""

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import COMMAND
from tests.torture.conftest import Begin

pytestmark = pytest.mark.torture

#: Seconds within which a server has started, or ended.
_PATIENCE = 60.0


class Contender:
    """One ``eventuary serve`` that may or may not get the database."""

    def __init__(self, database: Path) -> None:
        self._process = subprocess.Popen(
            [
                *(COMMAND, "serve", "--http-port", "0", "--stomp-port", "0"),
                *("--engine", f"sqlite:{database}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._database = database
        self._line = ""
        self._known = threading.Thread(target=self._wait)
        self._known.start()

    def serves(self) -> bool:
        """Wait until it is ready, or has refused as it must."""
        self._known.join(_PATIENCE)
        assert not self._known.is_alive(), "it neither serves nor ends"
        if self._line:
            return True
        _, said = self._process.communicate(timeout=_PATIENCE)
        assert self._process.returncode == 2, f"exit code {self._process.returncode}: {said}"
        assert said.count("\n") == 1, said
        assert str(self._database) in said, said
        assert "another server" in said, said
        return False

    @property
    def url(self) -> str:
        """Where its HTTP side is."""
        return next(word for word in self._line.split() if word.startswith("http://"))

    def end(self, number: signal.Signals) -> None:
        """Send it a signal without waiting."""
        self._process.send_signal(number)

    def close(self) -> str:
        """Wait for its end, or kill it; return its log."""
        if self._process.poll() is None and self._known.is_alive():
            self._process.kill()
        _, said = self._process.communicate(timeout=_PATIENCE)
        self._known.join(_PATIENCE)
        return said

    def _wait(self) -> None:
        assert self._process.stdout is not None
        self._line = self._process.stdout.readline()


def test_two_servers(begin: Begin, tmp_path: Path) -> None:
    run = begin(30)
    database = tmp_path / "e.db"
    stored: list[str] = []
    rounds = refused = 0
    holder: Contender | None = None
    everybody: list[Contender] = []
    try:
        while not run.over:
            ending = run.chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            before = run.chance.random() < 0.5
            if holder is not None and before:
                # It is gone when they start: one of them must get the database.
                holder.end(ending)
                assert "Traceback" not in holder.close()
                holder = None
            contenders = [Contender(database) for _ in range(run.chance.choice((2, 2, 3)))]
            everybody += contenders
            if holder is not None:
                # It goes while they start: one of them gets the database, or none.
                time.sleep(run.chance.uniform(0, 1))
                holder.end(ending)
                assert "Traceback" not in holder.close()
            winners = [each for each in contenders if each.serves()]
            refused += len(contenders) - len(winners)
            assert len(winners) <= 1, f"{run.hint}: {len(winners)} servers on one database"
            if before or holder is None:
                assert winners, f"{run.hint}: the database was free, and nobody serves"
            holder = winners[0] if winners else None
            if holder is not None:
                _use(holder, stored, run.hint)
            rounds += 1
            if run.quiet:
                run.say(f"{rounds} rounds, {refused} refused, {len(stored)} events stored")
        run.say(f"{rounds} rounds, {refused} refused, {len(stored)} events stored")
    finally:
        for each in everybody:
            each.end(signal.SIGKILL)
            each.close()
    assert refused > 0


def _use(server: Contender, stored: list[str], hint: str) -> None:
    """Everything stored so far is there, and more can be stored."""
    with Rest(server.url) as rest:
        found = [each.id for each in rest.find("Order", "1")]
        assert found == stored, f"{hint}: {found} is there, {stored} was stored"
        if stored:
            stored += rest.update("Order", "1", stored[-1], [Event("Changed")]).event_ids
        else:
            stored += rest.create("Order", [Event("Ordered")], entity_id="1").event_ids
