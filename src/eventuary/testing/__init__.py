"""What tests of services need, from one aggregate to all services on one store.

``given(…).when(…).then(…)``: domain code, without a store. ``memory_store()``: a real store in this
process. ``eventually(…)`` and ``at_rest(…)``: waiting without sleeping. ``Faults(…)`` and
``every_crash(…)``: redelivery, reordering, and crashes between any two steps, on demand.
"""

from eventuary.testing.eventually import eventually
from eventuary.testing.every_crash import Attempt, Scenario, every_crash
from eventuary.testing.faults import Faults
from eventuary.testing.memory_store import FAST_DELIVERY, memory_store
from eventuary.testing.rest import at_rest
from eventuary.testing.specification import ENTITY_ID, Given, Outcome, given

__all__ = [
    "ENTITY_ID",
    "FAST_DELIVERY",
    "Attempt",
    "Faults",
    "Given",
    "Outcome",
    "Scenario",
    "at_rest",
    "eventually",
    "every_crash",
    "given",
    "memory_store",
]
