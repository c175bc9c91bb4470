"""A bank over a real event store: commands append events, and a view counts them."""

import asyncio
from decimal import Decimal

from eventuary import Event, EventStore
from eventuary.events import Appended, NewEvent
from eventuary.framework.event_codec import EventCodec
from eventuary.framework.metadata import Metadata
from tests.views.ledger import Closed, Opened, Paid, Spoilt

_CODEC = EventCodec([Opened, Paid, Closed, Spoilt])


def encoded(*events: Event) -> list[NewEvent]:
    """Return events as they are stored."""
    return _CODEC.encode(events, Metadata())


async def open_account(
    store: EventStore, *events: Event, account: str | None = None, owner: str = "Ada"
) -> Appended:
    """Open an account, and let more happen to it at once."""
    return await store.create(
        "default", "Account", encoded(Opened("b", owner), *events), entity_id=account
    )


async def open_accounts(store: EventStore, number: int, *events: Event) -> list[Appended]:
    """Open several at once: the store syncs its disk for many of them together."""
    return await asyncio.gather(*(open_account(store, *events) for _ in range(number)))


async def happen(store: EventStore, account: Appended, *events: Event) -> Appended:
    """Let something happen to an account."""
    return await store.append(
        "default", "Account", account.entity_id, account.entity_version, encoded(*events)
    )


def pay(amount: int) -> Paid:
    """Return a payment at the branch ``b``."""
    return Paid("b", Decimal(amount))
