"""A view of tables of the user's own: each event once, in the transaction that its update gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)

from eventuary import ConfigurationError, DeliveryPolicy, EventStore, running
from eventuary.embedded import EmbeddedEventStore
from eventuary.testing import eventually
from eventuary.views import ViewContext, rebuild
from eventuary.views.sql import Change, TableView
from tests.views.bank import happen, open_account, open_accounts, pay
from tests.views.ledger import Opened, Paid, Spoilt

METADATA = MetaData()
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("account_id", String(100), primary_key=True),
    Column("owner", String(100)),
    Column("balance", Integer, nullable=False),
    Index("accounts_by_owner", "owner"),
    CheckConstraint("balance < 1000", name="balance_is_bounded"),
    UniqueConstraint("account_id", "owner", name="owned_once"),
)
PAYMENTS = Table(
    "payments",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("amount", Integer, nullable=False),
)


def _bank(path: Path) -> TableView:
    view = TableView("bank", f"sqlite:///{path / 'bank.db'}", METADATA)

    @view.on(Opened)
    def open_(change: Change, event: Opened, context: ViewContext) -> None:
        change.execute(
            insert(change.table(ACCOUNTS)).values(
                account_id=context.entity_id, owner=event.owner, balance=0
            )
        )

    @view.on(Paid)
    def pay_in(change: Change, event: Paid, context: ViewContext) -> None:
        payments, accounts = change.table(PAYMENTS), change.table(ACCOUNTS)
        change.execute(insert(payments).values(position=context.position, amount=int(event.amount)))
        change.execute(
            update(accounts)
            .where(accounts.c.account_id == context.entity_id)
            .values(balance=accounts.c.balance + int(event.amount))
        )

    return view


async def _total(view: TableView, path: Path) -> tuple[int, int]:
    """Return the sum of balances, and that of payments."""
    accounts, payments = await view.table(ACCOUNTS), await view.table(PAYMENTS)

    def read() -> tuple[int, int]:
        engine = create_engine(f"sqlite:///{path / 'bank.db'}")
        with engine.connect() as connection:
            balance = connection.execute(select(func.sum(accounts.c.balance))).scalar_one()
            paid = connection.execute(select(func.sum(payments.c.amount))).scalar_one()
        engine.dispose()
        return balance or 0, paid or 0

    return await asyncio.to_thread(read)


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[TableView]:
    view = _bank(tmp_path)
    yield view
    await view.kept.close()


async def test_tables_follow_the_events(store: EventStore, view: TableView, tmp_path: Path) -> None:
    account = await open_account(store, pay(10))
    async with running(store, view) as run:
        await run.caught_up()
        assert await _total(view, tmp_path) == (10, 10)
        account = await happen(store, account, pay(5))
        await view.caught_up_with(account.entity_version)
        assert await _total(view, tmp_path) == (15, 15)


async def test_a_rebuild_fills_tables_of_its_own(
    lasting_store: EventStore, view: TableView, tmp_path: Path
) -> None:
    await open_account(lasting_store, pay(10))
    async with running(lasting_store, view) as run:
        await run.caught_up()
        assert (await view.table(ACCOUNTS)).name == "bank_accounts_1"
        assert await rebuild(view.declaration, view.kept, lasting_store) == 2
        await eventually(lambda: run[view].shown == 2, within=60)
        assert (await view.table(ACCOUNTS)).name == "bank_accounts_2"
        assert await _total(view, tmp_path) == (10, 10)


async def test_what_fails_is_undone_and_the_rest_goes_on(
    lasting_store: EmbeddedEventStore, view: TableView, tmp_path: Path
) -> None:
    view.declaration.policy = DeliveryPolicy(max_attempts=2, first_pause=0.01, ack_timeout=86_400)
    # Its second statement breaks a constraint, when its first is done already.
    broken = await open_account(lasting_store, pay(2000))
    await open_accounts(lasting_store, 20, pay(1))
    async with running(lasting_store, view) as run:

        async def parked() -> None:
            letters = await lasting_store.subscriptions.dead_letters(
                "default", run[view].subscriber_id
            )
            assert letters
            letter = letters[0]
            assert letter.entity_id == broken.entity_id
            assert "IntegrityError: CHECK constraint failed: balance_is_bounded_1" in letter.reason

        await eventually(parked, within=60)
        await lasting_store.subscriptions.discard("default", run[view].subscriber_id, 2)
        async with asyncio.timeout(60):
            await run.caught_up()
    assert await _total(view, tmp_path) == (20, 20)


async def test_an_update_that_raises_is_undone(
    lasting_store: EmbeddedEventStore, view: TableView, tmp_path: Path
) -> None:
    view.declaration.policy = DeliveryPolicy(max_attempts=1, first_pause=0.01, ack_timeout=86_400)

    @view.on(Spoilt)
    def spoil(change: Change, _: Spoilt, __: ViewContext) -> None:
        change.execute(insert(change.table(PAYMENTS)).values(position=0, amount=7))
        raise ArithmeticError("half way")

    await open_account(lasting_store, pay(1), Spoilt())
    async with running(lasting_store, view) as run:

        async def parked() -> None:
            letters = await lasting_store.subscriptions.dead_letters(
                "default", run[view].subscriber_id
            )
            assert [each.reason for each in letters] == ["ArithmeticError: half way"]

        await eventually(parked, within=60)
        assert await _total(view, tmp_path) == (1, 1)


async def test_an_update_may_read_what_it_changes(
    lasting_store: EventStore, tmp_path: Path
) -> None:
    """Two processes, and swimlanes that share a row: it is as if there were one of each."""

    def counting() -> TableView:
        view = TableView("bank", f"sqlite:///{tmp_path / 'bank.db'}", METADATA)

        @view.on(Paid)
        def count(change: Change, event: Paid, _: ViewContext) -> None:
            payments = change.table(PAYMENTS)
            before = change.execute(select(payments.c.amount)).scalar()
            if before is None:
                change.execute(insert(payments).values(position=0, amount=int(event.amount)))
            else:
                change.execute(update(payments).values(amount=before + int(event.amount)))

        @view.on(Opened)
        def pass_over(_: Change, __: Opened, ___: ViewContext) -> None: ...

        return view

    one, other = counting(), counting()
    async with running(lasting_store, one) as run, running(lasting_store, other):
        for _ in range(10):
            await open_accounts(lasting_store, 10, pay(1))
        async with asyncio.timeout(60):
            await run.caught_up()
        assert await _total(one, tmp_path) == (0, 100)
    for each in (one, other):
        await each.kept.close()


async def test_a_table_of_another_view_is_refused(view: TableView) -> None:
    await view.kept.open_live()
    with pytest.raises(LookupError, match="table 'accounts' is not in the metadata of 'bank'"):
        await view.table(ACCOUNTS.to_metadata(MetaData()))


async def test_before_it_was_fed_there_are_no_tables(view: TableView) -> None:
    with pytest.raises(LookupError, match="view 'bank' was never fed"):
        await view.table(ACCOUNTS)


def test_what_can_not_be_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a SQLite database in memory"):
        TableView("bank", "sqlite://", METADATA)
    with pytest.raises(ConfigurationError, match="nosuch") as refused:
        TableView("bank", "nosuch://user:secret@host/database", METADATA)
    assert "secret" not in str(refused.value)


async def test_what_is_acknowledged_is_on_disk(view: TableView, tmp_path: Path) -> None:
    await view.kept.open_live()
    [found] = await view.kept._database.write(
        lambda connection: [
            connection.execute(text(f"PRAGMA {each}")).scalar() for each in ("synchronous",)
        ]
    )
    assert found == 2, "FULL: a commit is synced"
    assert (tmp_path / "bank.db-wal").exists()
