"""The order history: each event counts once, as a whole, in whatever order entities are told of."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from customers_and_orders.order_history.documents import (
    RECENT,
    CustomerDocument,
    Documents,
    OrderDocument,
    add_order,
    change_reserved,
    describe_customer,
    move_order,
)
from customers_and_orders.order_history.sqlite_history import SqliteHistory

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Change = Callable[[Documents], None]


def _order(number: int, customer_id: str = "ada") -> OrderDocument:
    placed_at = _NOON + timedelta(seconds=number)
    return OrderDocument(f"order-{number}", customer_id, Decimal(10), "CREATED", placed_at)


def _add(number: int) -> Change:
    return partial(add_order, order=_order(number))


_DESCRIBE = partial(
    describe_customer, customer_id="ada", name="Ada", credit_limit=Decimal("100.00")
)
_RESERVE = partial(change_reserved, customer_id="ada", by=Decimal("10.00"))


async def _customer(history: SqliteHistory) -> CustomerDocument:
    document = await history.customer("ada")
    assert document is not None
    return msgspec.json.decode(document, type=CustomerDocument)


async def test_an_event_counts_once(tmp_path: Path) -> None:
    async with SqliteHistory(tmp_path / "view.db") as history:
        assert await history.once(0, 1, _DESCRIBE)
        assert await history.once(0, 5, _RESERVE)
        # It comes again, and so does what came before it.
        assert not await history.once(0, 5, _RESERVE)
        assert not await history.once(0, 1, _DESCRIBE)
        # The same position in another swimlane is another event.
        assert await history.once(1, 5, _RESERVE)
        assert (await _customer(history)).credit_reserved == Decimal("20.00")


async def test_it_counts_once_for_all_processes_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "view.db"
    async with SqliteHistory(path) as one, SqliteHistory(path) as other:
        await one.once(0, 1, _DESCRIBE)
        changed = await asyncio.gather(
            *(
                each.once(2, position, _RESERVE)
                for position in range(1, 30)
                for each in (one, other)
            )
        )
        # Whoever was first; a later position, once passed, passes those before it too.
        assert (await _customer(one)).credit_reserved == 10 * sum(changed)
        assert changed.count(True) <= 29
    async with SqliteHistory(path) as again:
        assert not await again.once(2, 29, _RESERVE)


async def test_a_change_happens_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail_half_way(documents: Documents) -> None:
        _RESERVE(documents)
        raise RuntimeError("half way")

    async with SqliteHistory(tmp_path / "view.db") as history:
        await history.once(0, 1, _DESCRIBE)
        with pytest.raises(RuntimeError, match="half way"):
            await history.once(0, 2, fail_half_way)
        assert (await _customer(history)).credit_reserved == 0
        # Its position was not passed: when it comes again, it counts.
        assert await history.once(0, 2, _RESERVE)
        assert (await _customer(history)).credit_reserved == 10


async def test_entities_may_be_told_of_in_any_order(tmp_path: Path) -> None:
    # What one entity's events change is in order; the three entities' are mixed as they like.
    lanes: Sequence[Sequence[Change]] = (
        (_DESCRIBE, _RESERVE),
        (_add(1), partial(move_order, order_id="order-1", state="APPROVED")),
        (_add(2), partial(move_order, order_id="order-2", state="CANCELLED")),
    )
    documents = set()
    orders = sorted(set(itertools.permutations((0, 0, 1, 1, 2, 2))))
    for number, order in enumerate(orders[::3]):
        async with SqliteHistory(tmp_path / f"{number}.db") as history:
            positions = [0, 0, 0]
            for lane in order:
                await history.once(lane, positions[lane] + 1, lanes[lane][positions[lane]])
                positions[lane] += 1
            documents.add(await history.customer("ada"))
    assert len(documents) == 1
    document = msgspec.json.decode(documents.pop() or b"", type=CustomerDocument)
    assert (document.name, document.credit_reserved) == ("Ada", Decimal(10))
    assert [(each.order_id, each.state) for each in document.orders] == [
        ("order-2", "CANCELLED"),
        ("order-1", "APPROVED"),
    ]


async def test_a_customer_is_not_shown_before_their_own_event(tmp_path: Path) -> None:
    async with SqliteHistory(tmp_path / "view.db") as history:
        await history.once(0, 1, _add(1))
        assert await history.customer("ada") is None
        assert await history.order("order-1") is not None
        await history.once(1, 2, _DESCRIBE)
        assert [each.order_id for each in (await _customer(history)).orders] == ["order-1"]


async def test_a_document_has_the_newest_orders(tmp_path: Path) -> None:
    numbers = list(range(RECENT + 20))
    for name, order in (("rising", numbers), ("falling", numbers[::-1])):
        async with SqliteHistory(tmp_path / name) as history:
            await history.once(0, 1, _DESCRIBE)
            for position, number in enumerate(order, 2):
                await history.once(0, position, _add(number))
            shown = [each.order_id for each in (await _customer(history)).orders]
            assert shown == [f"order-{number}" for number in numbers[:19:-1]]
            # What has left the document is there still, and may still change.
            await history.once(0, 1000, partial(move_order, order_id="order-3", state="CANCELLED"))
            assert b"CANCELLED" in (await history.order("order-3") or b"")
            assert [each.order_id for each in (await _customer(history)).orders] == shown


async def test_it_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "view.db"
    async with SqliteHistory(path) as history:
        await history.once(0, 1, _DESCRIBE)
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM customers").fetchone() == (1,)
            assert other.execute("SELECT * FROM positions").fetchall() == [(0, 1)]
        [(synchronous,)] = await asyncio.get_running_loop().run_in_executor(
            history._writer,
            lambda: history._writing.execute("PRAGMA synchronous").fetchall(),
        )
        assert synchronous == 2, "FULL: a commit is synced"


async def test_a_file_that_is_not_to_be_had_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no folder" / "view.db", tmp_path):
        with pytest.raises(OSError, match=str(path)):
            async with SqliteHistory(path):
                pass
    (tmp_path / "poem").write_text("no database " * 100)
    with pytest.raises(OSError, match="poem"):
        async with SqliteHistory(tmp_path / "poem"):
            pass
