"""A store with something of everything, made through its engine as a server would."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from eventuary.engines.engine import (
    DeadLetterRecord,
    Engine,
    KeyRecord,
    SubscriptionRecord,
    SwimlanePosition,
)
from eventuary.engines.opening import open_engine
from eventuary.events import Append, Appended, NewEvent, NewSnapshot

ORDER = "orders.Order"
CREATED = NewEvent("OrderCreated", '{"total":"12.34"}')
APPROVED = NewEvent("OrderApproved", "{}", '{"actor":"test"}')

#: Data that an engine may stumble over.
ODD = ["", "\0", "a\0b", "\u2028 \U0001f600 é", "'; DROP TABLE events; --", "x" * 70_000]


@contextlib.asynccontextmanager
async def started(url: str, *, swimlanes: int = 8) -> AsyncIterator[Engine]:
    """An engine over a store, as its only server."""
    engine = open_engine(url, swimlanes=swimlanes)
    await engine.start(lambda _: None)
    try:
        yield engine
    finally:
        await engine.stop()


async def fill(url: str) -> None:
    """Make a store of some hundred events."""
    async with started(url, swimlanes=3) as engine:
        await engine.append(
            Append("narrow", ORDER, "in three swimlanes", None, [CREATED, APPROVED], "t-0")
        )
    async with started(url) as engine:
        await grow(engine, 60)
        for number, text in enumerate(ODD):
            await engine.append(
                Append("default", "odd/Type", f"odd-{number}", None, [NewEvent("Odd", text, text)])
            )
        await engine.store_snapshot(
            "default", ORDER, "order-5", await version(engine, "order-5"), NewSnapshot("S", '"\0"')
        )
        await engine.create_subscription(
            SubscriptionRecord(
                "default", "view", {ORDER: ["OrderCreated"]}, (0,) * 8, {"window": 5}, True, 77
            )
        )
        await engine.store_positions([SwimlanePosition("default", "view", 3, 17)])
        await engine.create_subscription(SubscriptionRecord("narrow", "view", {}, (1, 2, 0)))
        await engine.create_subscription(SubscriptionRecord("without events", "none", {}, (0,) * 8))
        await engine.create_subscription(SubscriptionRecord("default", "gone", {}, (4,) * 8))
        for at in (9, 12):
            await engine.store_dead_letter(
                DeadLetterRecord(
                    "default", "view", 1, at, "id", ORDER, "one", "OrderCreated", 10, "w\0hy", 5
                )
            )
        await asyncio.to_thread(engine.keys.add_key, KeyRecord("ops", "ab" * 32, ("*",), False, 5))
        await asyncio.to_thread(
            engine.keys.add_key, KeyRecord("old", "cd" * 32, ("default", "narrow"), True, 6)
        )


async def grow(engine: Engine, orders: int, *, name: str = "order") -> None:
    """Append orders of three events, with triggers, and a snapshot of every fourth."""
    for number in range(orders):
        entity_id = f"{name}-{number}"
        created = await engine.append(Append("default", ORDER, entity_id, None, [CREATED]))
        await engine.append(
            Append(
                "default",
                ORDER,
                entity_id,
                created.entity_version,
                [APPROVED, APPROVED],
                f"trigger-{number}",
                NewSnapshot("OrderState", f'{{"number":{number}}}') if number % 4 == 0 else None,
            )
        )


async def change(url: str) -> None:
    """Change all that can change in a store that ``fill`` has made."""
    async with started(url) as engine:
        await grow(engine, 20, name="later")
        await engine.append(Append("new space", "New", "one", None, [NewEvent("Newer", "{}")]))
        appended = await engine.append(
            Append(
                "default",
                ORDER,
                "order-4",
                await version(engine, "order-4"),
                [APPROVED],
                None,
                NewSnapshot("OrderState", '{"newer":true}'),
            )
        )
        assert isinstance(appended, Appended)
        await engine.store_positions([SwimlanePosition("default", "view", 2, 150)])
        await engine.delete_dead_letter("default", "view", 9)
        await engine.delete_subscription("default", "gone")
        await engine.delete_subscription("narrow", "view")
        await engine.create_subscription(
            SubscriptionRecord("narrow", "view", {ORDER: ["OrderCreated"]}, (2, 2, 2), {}, False, 9)
        )
        await asyncio.to_thread(engine.keys.revoke_key, "old")
        await asyncio.to_thread(
            engine.keys.add_key, KeyRecord("new", "ef" * 32, ("default",), False, 7)
        )


async def version(engine: Engine, entity_id: str) -> str:
    """Return an order's version."""
    history = await engine.history("default", ORDER, entity_id, "")
    return history[-1].id
