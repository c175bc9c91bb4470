"""Eventuary: an event store server, and a framework for services whose state is events.

This is the framework's public face. ``eventuary.testing`` has what tests need,
``eventuary.integrations`` what other libraries need.
"""

from eventuary.connecting import connect
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.errors import (
    BadRequest,
    ConfigurationError,
    Conflict,
    DuplicateEvent,
    EntityExists,
    EventuaryError,
    Forbidden,
    NotFound,
    OptimisticLockError,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.event_store import Durability, EventStore, ReadFrom
from eventuary.framework.aggregate import Aggregate, UnknownEvents, apply
from eventuary.framework.circuit import Circuit
from eventuary.framework.context import Context
from eventuary.framework.encryption import Encryption
from eventuary.framework.event import Event, JsonObject
from eventuary.framework.event_codec import UnreadableEvent
from eventuary.framework.loading import UnknownEvent
from eventuary.framework.metadata import Metadata, metadata
from eventuary.framework.not_found import AggregateNotFound, EntityForgotten
from eventuary.framework.outside_errors import OutsideSystemDown, Refused
from eventuary.framework.outside_system import OutsideSystem
from eventuary.framework.recorded import RecordedEvent
from eventuary.framework.repository import Repository
from eventuary.framework.retries import Retries
from eventuary.framework.running import Running, running
from eventuary.framework.snapshot_strategy import EveryEvents, EverySize, SnapshotStrategy
from eventuary.framework.subscriber import Subscriber
from eventuary.framework.trigger import Trigger
from eventuary.framework.upcasting import upcaster
from eventuary.version import __version__

__all__ = [
    "Aggregate",
    "AggregateNotFound",
    "BadRequest",
    "Circuit",
    "ConfigurationError",
    "Conflict",
    "Context",
    "DeliveryPolicy",
    "DuplicateEvent",
    "Durability",
    "Encryption",
    "EntityExists",
    "EntityForgotten",
    "Event",
    "EventStore",
    "EventuaryError",
    "EveryEvents",
    "EverySize",
    "Forbidden",
    "JsonObject",
    "Metadata",
    "NotFound",
    "OnDeadLetter",
    "OptimisticLockError",
    "OutsideSystem",
    "OutsideSystemDown",
    "ReadFrom",
    "RecordedEvent",
    "Refused",
    "Repository",
    "Retries",
    "Running",
    "ServiceUnavailable",
    "SnapshotStrategy",
    "Subscriber",
    "Trigger",
    "Unauthorized",
    "UnknownEvent",
    "UnknownEvents",
    "UnreadableEvent",
    "__version__",
    "apply",
    "connect",
    "metadata",
    "running",
    "upcaster",
]
