"""What a call of an outside system can end with, besides its answer.

Whatever else it raises, a time-out too, may pass: the call is repeated, and the event comes again.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventuary.framework.circuit import CircuitBreaker


class Refused(Exception):
    """The other side says no for good: no repetition would help.

    A handler that raises it, or lets it pass, makes its event a dead letter at once; the text is
    the dead letter's reason.
    """


class OutsideSystemDown(Exception):
    """The circuit of a system is open: nothing is sent to it for now.

    A handler that lets it pass has its subscription paused until the system may be tried again;
    its event counts as not delivered. One that has another way to go may catch it.
    """

    def __init__(self, circuit: "CircuitBreaker") -> None:
        super().__init__(f"outside system {circuit.system!r} is down")
        #: The system's name.
        self.system = circuit.system
        #: What tells when it may be tried again.
        self.circuit = circuit
