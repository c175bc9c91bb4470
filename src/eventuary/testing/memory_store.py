"""An event store for tests of whole services: real, in this process, gone when it closes."""

from eventuary.connecting import VanishingEventStore
from eventuary.delivery.policy import DeliveryPolicy

#: As in earnest, but what fails comes again at once, so that no test waits for a pause.
FAST_DELIVERY = DeliveryPolicy(max_attempts=10, first_pause=0.001, longest_pause=0.01)


def memory_store(*, policy: DeliveryPolicy = FAST_DELIVERY) -> VanishingEventStore:
    """Return a store as ``connect("memory:")`` does, with fast redelivery.

    ``policy`` is for subscribers that bring none of their own. Beside what every event store does,
    it has ``subscriptions`` (their lag, and dead letters: ``await store.subscriptions.dead_letters(
    "default", "customer-service")``) and ``head``, the position of the newest event.
    """
    return VanishingEventStore(policy=policy)
