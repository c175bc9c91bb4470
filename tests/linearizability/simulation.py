"""Histories of clients whose every operation does take effect at one moment, in a random order.

Each client loads, creates and appends what it last knew of the entity, which may be old; of some
operations it never gets the answer, and those take effect before that, long after, or never.
"""

from random import Random

from tests.linearizability.operations import Answer, Operation, Read, Write
from tests.linearizability.specification import Entity, after, answer_to

_TRIGGERS = ("t", "u", "v")


class _Client:
    """One client: idle, or with an operation called and perhaps done."""

    def __init__(self) -> None:
        self.known: str | None = None
        self.called = 0.0
        self.write: Write | None = None
        self.answer: Answer | tuple[str, ...] | None = None

    @property
    def is_idle(self) -> bool:
        return self.called == 0.0


class Simulation:
    """Runs ``steps`` of so many clients; ``lost`` is the share of answers that never come."""

    def __init__(self, chance: Random, clients: int, steps: int, lost: float) -> None:
        self._chance = chance
        self._lost = lost
        self._now = 0.0
        self._entity = Entity()
        self._clients = [_Client() for _ in range(clients)]
        self._late: list[Write] = []
        self._number = 0
        #: What the clients saw, in the order in which it was answered.
        self.history: list[Operation] = []
        for _ in range(steps):
            self._step(chance.choice(self._clients))
        for client in self._clients:
            while not client.is_idle:
                self._step(client)
        self._end()

    def _step(self, client: _Client) -> None:
        self._now += 1.0
        if self._late and self._chance.random() < 0.1:
            self._apply(self._late.pop(self._chance.randrange(len(self._late))))
        if client.is_idle:
            self._call(client)
        elif client.answer is None:
            self._take_effect(client)
        else:
            self._return(client)

    def _call(self, client: _Client) -> None:
        client.called, client.answer, client.write = self._now, None, None
        if self._chance.random() < 0.4:
            return  # it loads
        self._number += 1
        size = self._chance.choice((1, 1, 1, 3))
        client.write = Write(
            called=self._now,
            returned=0.0,
            tags=tuple(f"{self._number}.{place}" for place in range(size)),
            expected=client.known,
            answer=Answer.UNKNOWN,
            trigger=self._chance.choice(_TRIGGERS) if self._chance.random() < 0.1 else None,
        )

    def _take_effect(self, client: _Client) -> None:
        if client.write is None:
            client.answer = self._entity.tags
        elif self._chance.random() < self._lost / 2:
            self._late.append(client.write)
            client.answer = Answer.UNKNOWN
        else:
            client.answer = self._apply(client.write)

    def _apply(self, write: Write) -> Answer:
        answer = answer_to(self._entity, write)
        if answer is Answer.DONE:
            self._entity = after(self._entity, write)
        return answer

    def _return(self, client: _Client) -> None:
        called, answer, client.called = client.called, client.answer, 0.0
        if client.write is None:
            assert isinstance(answer, tuple)
            self._saw(client, answer, called)
            return
        assert isinstance(answer, Answer)
        if self._chance.random() < self._lost / 2:
            answer = Answer.UNKNOWN
        if answer is Answer.DONE:
            client.known = client.write.tags[-1]
        self.history.append(
            Write(
                called=called,
                returned=self._now,
                tags=client.write.tags,
                expected=client.write.expected,
                answer=answer,
                trigger=client.write.trigger,
            )
        )

    def _saw(self, client: _Client, tags: tuple[str, ...], called: float) -> None:
        client.known = tags[-1] if tags else None
        self.history.append(Read(called=called, returned=self._now, tags=tags or None))

    def _end(self) -> None:
        """Read once more when nothing else is under way."""
        self._now += 2.0
        self._saw(self._clients[0], self._entity.tags, self._now - 1.0)
