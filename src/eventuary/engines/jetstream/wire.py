"""One connection to the cluster: questions that have one answer, or many.

Knows nothing of events. A question is lost when no answer comes in time, or the connection breaks:
then nobody here knows whether it was heard, and whoever asked must find out or ask again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.client import ClusterClient
from eventuary.errors import ConfigurationError, PayloadTooLarge, ServiceUnavailable
from eventuary.seldom import Seldom

_log = logging.getLogger("eventuary.jetstream")

#: Seconds until a node that can't be connected to is given up for another.
_CONNECT_TIMEOUT = 2

#: Seconds between pings; a node that leaves so many unanswered is given up for another.
_PING_EVERY = 1
_MOST_PINGS = 2

#: Seconds between two attempts to connect to the same node again.
_RECONNECT_EVERY = 0.1

#: Seconds in which what was said is sent before the connection is closed.
_MOST_FLUSHING = 2

#: Seconds within which a node knows what is listened to, and until it is asked again.
_MOST_ANNOUNCING = 15.0
_FLUSH_EVERY = 2

#: Bytes that may wait to be sent.
_MOST_PENDING = 256 * 1024 * 1024

#: Seconds between two looks for questions that were not answered in time.
_SWEEP_EVERY = 0.1

#: Seconds until a question is lost to which no answer comes, or of many answers no further one.
_TIMEOUT = 3.0

#: Seconds until a question that any replica may answer is put to another besides: the first may be
#: on a node that stands still, or was cut off, which the nodes do not notice for minutes. Each time
#: twice as long, as it may have much to read: a few answer it at most.
_ASK_ANOTHER_AFTER = 0.25

#: Bytes around headers: a line that says what they are, and an empty one.
_HEADERS_FRAME = len(b"NATS/1.0\r\n\r\n")

Headers = Mapping[str, str]


class Lost(Exception):
    """No answer came: it is not known whether the question was heard."""


class _Patience(msgspec.Struct, gc=False):
    #: When a question is lost, to however many replicas it was put.
    deadline: float
    #: Seconds until it is put to another one.
    pause: float = _ASK_ANOTHER_AFTER


class _Question(msgspec.Struct, gc=False):
    future: asyncio.Future[Any]
    patience: _Patience
    #: What has come so far, of a question with many answers; None: it has one.
    answers: list[Msg] | None
    #: Whether the answers are enough; None: the last of them is a status.
    is_enough: Callable[[list[Msg]], bool] | None = None
    #: What is asked again, as subject and payload, and when; None: nothing.
    again: tuple[str, bytes] | None = None
    again_at: float = 0.0


class Wire:
    """A connection that is made anew, to any node, whenever it breaks."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client = ClusterClient()
        self._loop: asyncio.AbstractEventLoop
        self._inbox = ""
        self._number = 0
        self._questions: dict[str, _Question] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._connected = asyncio.Event()
        self._complaints = Seldom()
        self._returns: list[Callable[[], None]] = []

    @property
    def most_payload(self) -> int:
        """Bytes of a message that the nodes take at most, its headers included."""
        return self._client.max_payload

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connected.is_set()

    @property
    def node(self) -> str:
        """The host and port of the node that it is connected to, for people."""
        url = self._client.connected_url
        return "no node" if url is None else url.netloc.rpartition("@")[2]

    async def open(self) -> None:
        """Connect to any node. Raises ConfigurationError."""
        self._loop = asyncio.get_running_loop()
        login: dict[str, Any] = {}
        if self._address.password is not None:
            login = {"user": self._address.user, "password": self._address.password}
        elif self._address.user is not None:
            login = {"token": self._address.user}
        try:
            await self._client.connect(
                list(self._address.servers),
                name="eventuary",
                connect_timeout=_CONNECT_TIMEOUT,
                reconnect_time_wait=_RECONNECT_EVERY,  # type: ignore[arg-type]  # less than a second is taken
                max_reconnect_attempts=3,
                ping_interval=_PING_EVERY,
                max_outstanding_pings=_MOST_PINGS,
                pending_size=_MOST_PENDING,
                skip_subject_validation=True,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                **login,
            )
            self._client.go_round()
            self._inbox = self._client.new_inbox()
            await self._client.subscribe(
                f"{self._inbox}.*",
                cb=self._on_answer,
                pending_msgs_limit=0,
                pending_bytes_limit=0,
            )
            await self._is_known()
        except (NatsError, OSError, TimeoutError) as error:
            await self._client.close()
            raise ConfigurationError(
                f"engine: {self._address.shown}: can't be opened: {describe(error)}"
            ) from error
        self._connected.set()
        self._sweep()

    async def close(self) -> None:
        """Send what is to be sent, and end."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._lose_all()
        try:
            if self._client.is_connected:
                await self._client.flush(_MOST_FLUSHING)
        except (NatsError, OSError, TimeoutError):
            pass  # nobody waits for it any more
        self._client.hang_up()
        await self._client.close()

    async def listen(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Call ``heard`` with what is said on a subject from now on."""

        async def on_message(message: Msg) -> None:
            heard(message.data)

        await self._client.subscribe(subject, cb=on_message)

    async def ask_all(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Ask whoever hears it, and call ``heard`` with each answer from now on. Raises Lost."""
        inbox = self._client.new_inbox()
        await self.listen(inbox, heard)
        await self.send(subject, b"", reply=inbox)

    async def answer(self, subject: str, payload: bytes) -> None:
        """From now on give whoever asks on a subject this answer. Raises Lost."""

        async def on_message(message: Msg) -> None:
            await self.say(message.reply, payload)

        try:
            await self._client.subscribe(subject, cb=on_message)
            await self._is_known()
        except (NatsError, OSError, TimeoutError) as error:
            raise Lost(describe(error)) from error

    async def leave(self) -> None:
        """Go on with the next node. What was asked and not answered is lost."""
        await self._client.force_reconnect()

    def when_back(self, call: Callable[[], None]) -> None:
        """Call it each time that the connection was made anew."""
        self._returns.append(call)

    async def _is_known(self) -> None:
        """Return when the node knows what is listened to.

        A node that is left meanwhile takes the answer with it: the next one is asked.
        """
        deadline = self._loop.time() + _MOST_ANNOUNCING
        while True:
            try:
                await self._client.flush(_FLUSH_EVERY)
            except (NatsError, OSError, TimeoutError):
                if self._loop.time() >= deadline:
                    raise
                await asyncio.sleep(_RECONNECT_EVERY)
            else:
                return

    async def say(self, subject: str, payload: bytes) -> None:
        """Say something that nobody answers, if the connection is there."""
        if self._client.is_connected:
            try:
                await self._client.publish(subject, payload)
            except (NatsError, OSError):
                return

    async def is_there(self, patience: float) -> None:
        """Return when the connection is there. Raises ServiceUnavailable after some seconds."""
        if not self._connected.is_set():
            # Not by ``asyncio.wait_for``: before Python 3.12 that can swallow a cancellation.
            try:
                async with asyncio.timeout(patience):
                    await self._connected.wait()
            except TimeoutError:
                raise ServiceUnavailable("storage: no node can be reached") from None

    async def ask(self, subject: str, payload: bytes, headers: Headers | None = None) -> Msg:
        """Ask, and return the answer. Raises Lost, or PayloadTooLarge before anything is sent."""
        return await (await self.begin(subject, payload, headers))

    async def begin(
        self, subject: str, payload: bytes, headers: Headers | None = None
    ) -> asyncio.Future[Msg]:
        """Ask; the future has the answer, or Lost. Raises Lost and PayloadTooLarge."""
        future, reply = self._expect(None)
        await self.send(subject, payload, headers, reply)
        return future

    async def begin_many(self, subject: str, payload: bytes) -> asyncio.Future[list[Msg]]:
        """Ask what has many answers: the future has them, and the last is a status."""
        future, reply = self._expect([])
        question = self._questions[reply.rpartition(".")[2]]
        question.again = (subject, payload)
        question.again_at = self._loop.time() + question.patience.pause
        await self.send(subject, payload, None, reply)
        return future

    async def collect(
        self,
        subject: str,
        payload: bytes,
        is_enough: Callable[[list[Msg]], bool],
        patience: float,
    ) -> list[Msg]:
        """Ask whoever hears it: returns when the answers are enough, or what came in time.

        Raises Lost.
        """
        future, reply = self._expect([], is_enough, patience)
        await self.send(subject, payload, None, reply)
        answers: list[Msg] = await future
        return answers

    async def send(
        self, subject: str, payload: bytes, headers: Headers | None = None, reply: str = ""
    ) -> None:
        """Send one message. Raises Lost, or PayloadTooLarge."""
        if not self._client.is_connected:
            self._forget(reply)
            raise Lost("not connected")
        size = len(payload) + _size_of(headers)
        if size > self.most_payload:
            # A node that gets it ends the connection.
            self._forget(reply)
            raise PayloadTooLarge(
                f"storage: {size} bytes, as they are stored, are over the cluster's limit "
                f"max_payload of {self.most_payload} bytes"
            )
        try:
            await self._client.publish(subject, payload, reply, dict(headers) if headers else None)
        except (NatsError, OSError) as error:
            self._forget(reply)
            raise Lost(describe(error)) from error

    def _expect(
        self,
        answers: list[Msg] | None,
        is_enough: Callable[[list[Msg]], bool] | None = None,
        patience: float | None = None,
    ) -> tuple[asyncio.Future[Any], str]:
        self._number += 1
        token = str(self._number)
        future: asyncio.Future[Any] = self._loop.create_future()
        until = _Patience(self._loop.time() + (_TIMEOUT if patience is None else patience))
        self._questions[token] = _Question(future, until, answers, is_enough)
        return future, f"{self._inbox}.{token}"

    def _forget(self, reply: str) -> None:
        self._questions.pop(reply.rpartition(".")[2], None)

    async def _on_answer(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        question = self._questions.get(token)
        if question is None:
            return  # it came too late
        if question.answers is None:
            del self._questions[token]
            if not question.future.done():
                question.future.set_result(message)
            return
        question.answers.append(message)
        if question.is_enough is not None:
            is_last = question.is_enough(question.answers)
        else:
            is_last = message.headers is not None and "Status" in message.headers
            # Whoever reads much, far apart, takes long; but something comes.
            question.patience.deadline = self._loop.time() + _TIMEOUT
        if is_last:
            del self._questions[token]
            if not question.future.done():
                question.future.set_result(question.answers)

    def _sweep(self) -> None:
        now = self._loop.time()
        for token, question in list(self._questions.items()):
            if question.patience.deadline <= now:
                del self._questions[token]
                if question.is_enough is None:
                    self._lose(question, "no answer in time")
                elif not question.future.done():
                    question.future.set_result(question.answers)
            elif question.again is not None and question.again_at <= now:
                self._ask_another(question, *question.again)
        self._sweeping = self._loop.call_later(_SWEEP_EVERY, self._sweep)

    def _ask_another(self, question: _Question, subject: str, payload: bytes) -> None:
        """Put a question once more, if nothing has come; whoever answers first has answered it."""
        question.patience.pause *= 2
        question.again_at += question.patience.pause
        if question.answers or question.future.done():
            question.again = None
            return
        self._number += 1
        token = str(self._number)
        self._questions[token] = _Question(question.future, question.patience, [])
        asking = self._loop.create_task(self._say(subject, payload, f"{self._inbox}.{token}"))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _say(self, subject: str, payload: bytes, reply: str) -> None:
        with suppress(Lost):  # then the question is lost too
            await self.send(subject, payload, None, reply)

    def _lose_all(self) -> None:
        questions, self._questions = self._questions, {}
        for question in questions.values():
            self._lose(question, "the connection was lost")

    def _lose(self, question: _Question, why: str) -> None:
        if not question.future.done():
            question.future.set_exception(Lost(why))
            question.future.exception()  # who asked may have no use for it any more

    async def _on_disconnected(self) -> None:
        self._connected.clear()
        self._lose_all()

    async def _on_reconnected(self) -> None:
        self._connected.set()
        for call in self._returns:
            call()

    async def _on_error(self, error: Exception) -> None:
        if not self._inbox:
            return  # ``open`` raises it
        more = self._complaints.due()
        if more is not None:
            _log.warning("the connection to the cluster: %s%s", describe(error), more)


def _size_of(headers: Headers | None) -> int:
    """Bytes of headers as they are sent, which count as payload."""
    if not headers:
        return 0
    lines = (len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())
    return _HEADERS_FRAME + sum(lines)


def status_of(message: Msg) -> str:
    """Return the status that an answer consists of, as in ``404``; empty: it is no status."""
    return (message.headers or {}).get("Status", "")


def describe(error: BaseException) -> str:
    """Return what went wrong in one line."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
