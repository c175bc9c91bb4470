"""OutsideSystem: something that is told of events over a wire that is not ours, and may be down.

    ses = OutsideSystem("ses", timeout=10.0)

    @notifications.on(OrderApproved)
    async def confirm(event: OrderApproved, context: Context) -> None:
        await context.call(ses, lambda key: mailer.send(confirmation(event), key))

All that uses the object shares its circuit, in this process.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from eventuary.framework.circuit import Circuit, CircuitBreaker
from eventuary.framework.outside_errors import OutsideSystemDown, Refused
from eventuary.framework.retries import Retries

_log = logging.getLogger("eventuary.outside")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

#: Makes a call under an idempotency key, and returns the receipt, if there is one.
OutsideCall = Callable[[str], Awaitable[str | None]]


class OutsideSystem:
    """How a system is called.

    ``name`` stands in the records of what it was told, so it stays. ``timeout``: seconds that one
    call may take. ``retries``: of one call, before its event counts as failed; as many as open the
    circuit, unless told otherwise. ``circuit``: when it counts as down. Raises ValueError.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout: float = 10.0,
        retries: Retries | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        check_name("name", name)
        if timeout <= 0:
            raise ValueError(f"timeout: {timeout} is not above 0 seconds")
        circuit = circuit or Circuit()
        self.name = name
        self.timeout = timeout
        self.retries = retries or Retries(circuit.failures, first_pause=0.2, longest_pause=2.0)
        self.circuit = CircuitBreaker(name, circuit)

    async def call(self, key: str, call: OutsideCall) -> str | None:
        """Make a call; return its receipt.

        Raises Refused, OutsideSystemDown; what it failed with when that was neither.
        """
        pauses = self.retries.pauses()
        while True:
            try:
                async with self.circuit.attempt(key):
                    return await self._in_time(call(key))
            except (Refused, OutsideSystemDown):
                raise
            except Exception as error:
                self.circuit.check()
                pause = next(pauses, None)
                if pause is None:
                    raise
                _log.info(
                    "outside system %r: a call failed, again in %.1f s: %s: %s",
                    self.name,
                    pause,
                    type(error).__name__,
                    error,
                )
            await asyncio.sleep(pause)

    async def _in_time(self, answer: Awaitable[str | None]) -> str | None:
        try:
            async with asyncio.timeout(self.timeout) as limit:
                return await answer
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"outside system {self.name!r} has not answered within {self.timeout:g} s, "
                "the limit timeout"
            ) from None


def check_name(field: str, name: str) -> None:
    """Raise ValueError for a name that could not stand in a key."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{field}: {name[:120]!r} is not 1 to 100 letters, digits, dots, hyphens and "
            "underscores"
        )
