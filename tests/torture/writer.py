"""Writers that contend for the same accounts: creates, updates, triggers, snapshots, many at once.

They are meant to be refused often: two create the same account, update it at the same version, or
carry the same trigger. Who gets no answer sometimes repeats the call as it was, which is safe, and
sometimes looks the account up.
"""

import random
import threading
from collections.abc import Sequence

import httpx

from tests.torture.appender import Appender
from tests.torture.attempts import ACCOUNT, Ledger, Leg, Outcome, Verdict

#: Accounts that writers name; those whose ids the store chooses come on top.
_MOST_NAMED = 60

#: Tokens in use at a time, so that the same one is carried to an account again and again.
_TOKENS = 4


class Accounts:
    """The accounts that all writers share."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._named = 0
        self._tokens = 0
        self._lock = threading.Lock()

    def new_id(self, chance: random.Random) -> str | None:
        """Return an id for a creation: a new one, one that exists, or None for the store's own."""
        if chance.random() < 0.1:
            return None
        with self._lock:
            if self._named < _MOST_NAMED and chance.random() < 0.8:
                self._named += 1
                self._ids.append(f"account-{self._named}")
            return chance.choice(self._ids[-3:]) if self._ids else "account-0"

    def known(self, chance: random.Random, count: int = 1) -> list[str]:
        """Return so many different accounts that were created, or tried to be."""
        with self._lock:
            return chance.sample(self._ids, min(count, len(self._ids)))

    def add(self, entity_id: str) -> None:
        """Let an account whose id the store has chosen be written to as well, up to a number."""
        with self._lock:
            if len(self._ids) < 2 * _MOST_NAMED and entity_id not in self._ids:
                self._ids.append(entity_id)

    def token(self, chance: random.Random) -> str:
        """Return an event token that others carry too."""
        with self._lock:
            self._tokens += chance.random() < 0.05
            number = self._tokens + chance.randrange(_TOKENS)
        return f"{number:016x}-0000000000000000.dG9ydHVyZQ"


class Writer:
    """One connection that writes until it is told to stop. ``pace``: seconds between two calls.

    ``snapshots``: the share of updates that carry one.
    """

    def __init__(
        self,
        url: str,
        number: int,
        seed: str,
        ledger: Ledger,
        accounts: Accounts,
        pace: float,
        *,
        snapshots: float = 0.1,
    ) -> None:
        self.failure: BaseException | None = None
        self._name = f"w{number}"
        self._appender = Appender(url, self._name, ledger)
        self._accounts = accounts
        self._chance = random.Random(f"{seed}/{self._name}")
        self._pace = pace
        self._snapshots = snapshots
        self._versions: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self._name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call under way."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self._name} hangs"
        self._appender.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._write_once()
                self._stop.wait(self._chance.uniform(0, 2 * self._pace))
        except BaseException as error:  # noqa: BLE001 - the crew raises it
            self.failure = error

    def _write_once(self) -> None:
        try:
            kind = self._chance.random()
            if kind < 0.15:
                self._settle(*self._try_one(self._creation()))
            elif kind < 0.75:
                leg = self._update()
                if leg is not None:
                    self._settle(*self._try_one(leg))
            else:
                self._try_several()
        except httpx.TransportError:
            self._stop.wait(0.05)  # the server is away

    def _try_one(self, leg: Leg) -> tuple[Leg, Outcome]:
        outcome = self._appender.append(leg)
        if outcome.verdict is Verdict.UNKNOWN and self._chance.random() < 0.5:
            self._stop.wait(0.05)
            outcome = self._appender.append(leg)
        return leg, outcome

    def _try_several(self) -> None:
        legs: list[Leg] = []
        for entity_id in self._accounts.known(self._chance, self._chance.randint(2, 12)):
            leg = self._update_of(entity_id)
            if leg is not None:
                legs.append(leg)
        if self._chance.random() < 0.2:
            creation = self._creation()
            if creation.entity_id not in {leg.entity_id for leg in legs}:
                legs.append(creation)
        if not legs:
            return
        atomic = self._chance.random() < 0.5
        outcomes: Sequence[Outcome] = self._appender.append_several(legs, atomic=atomic)
        for leg, outcome in zip(legs, outcomes, strict=True):
            self._settle(leg, outcome)

    def _creation(self) -> Leg:
        return self._with_chance(Leg(entity_id=self._accounts.new_id(self._chance), expected=None))

    def _update(self) -> Leg | None:
        known = self._accounts.known(self._chance)
        return self._update_of(known[0]) if known else None

    def _update_of(self, entity_id: str) -> Leg | None:
        version = self._versions.get(entity_id)
        if version is None:
            found = self._appender.find(ACCOUNT, entity_id)
            if found is None or found.version is None:
                return None
            version = self._versions[entity_id] = found.version
        return self._with_chance(Leg(entity_id=entity_id, expected=version))

    def _with_chance(self, leg: Leg) -> Leg:
        chance = self._chance
        return Leg(
            entity_id=leg.entity_id,
            expected=leg.expected,
            size=chance.choice((1, 1, 2, 3, 5, 8)),
            filler=chance.choice((0, 0, 100, 2000)),
            token=self._accounts.token(chance) if chance.random() < 0.3 else None,
            snapshot=leg.expected is not None and chance.random() < self._snapshots,
        )

    def _settle(self, leg: Leg, outcome: Outcome) -> None:
        """Learn from an outcome what to expect of the account next time."""
        if outcome.verdict is Verdict.ACKNOWLEDGED:
            assert outcome.entity_id is not None
            self._accounts.add(outcome.entity_id)
            self._versions[outcome.entity_id] = outcome.event_ids[-1]
        elif leg.entity_id is not None and outcome.code != "conflict":
            self._versions.pop(leg.entity_id, None)
        if outcome.code in {"service_unavailable", "unreachable"}:
            self._stop.wait(0.02)  # as a polite client does
