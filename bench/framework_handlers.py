"""A handler that updates another aggregate, over the network: how many events it handles a second.

    python -m bench.framework_handlers HTTP_PORT STOMP_PORT EVENTS LANES

The events are those of entities in so many swimlanes; each handling is an update of one of 1,000
accounts. Prints ``{"rate": events per second}``, from the subscription to the last acknowledgement.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator

import uvloop

from bench.domain import Account
from eventuary import Aggregate, Context, Event, Repository, Subscriber, apply, connect, running
from eventuary.swimlanes import DEFAULT_SWIMLANES, swimlane_of

_ACCOUNTS = 1000
_AT_ONCE = 64


class Paid(Event, entity="bench.Payment"):
    """Money is to go to an account."""

    account_id: str
    amount: int


class Payment(Aggregate):
    """Has one event."""

    @classmethod
    def pay(cls, account_id: str, amount: int) -> Paid:
        """Let money go to an account."""
        return Paid(account_id, amount)

    @apply
    def _paid(self, event: Paid) -> None:
        """Knows nothing."""


payments = Subscriber("bench-payments")


@payments.on(Paid)
async def take_in(event: Paid, context: Context) -> None:
    """Update the account."""
    await context.update(Account, event.account_id, Account.deposit, event.amount)


def _ids(entity_type: str, lanes: int) -> Iterator[str]:
    """Yield ids of entities in the first so many swimlanes."""
    return (
        entity_id
        for number in itertools.count()
        if swimlane_of(entity_type, entity_id := f"payment-{number}", DEFAULT_SWIMLANES) < lanes
    )


async def measure(url: str, events: int, lanes: int) -> float:
    """Store the events, then handle them."""
    async with connect(url) as store:
        accounts, made = Repository(store, Account), Repository(store, Payment)
        names = iter(range(_ACCOUNTS))
        wanted = itertools.islice(enumerate(_ids(made.entity_type, lanes)), events)

        async def open_accounts() -> None:
            for number in names:
                await accounts.save(Account.open("Ada"), entity_id=f"account-{number}")

        async def pay() -> None:
            for number, entity_id in wanted:
                account_id = f"account-{number % _ACCOUNTS}"
                await made.save(Payment.pay(account_id, 1), entity_id=entity_id)

        await asyncio.gather(*(open_accounts() for _ in range(_AT_ONCE)))
        await asyncio.gather(*(pay() for _ in range(_AT_ONCE)))
        began = time.perf_counter()
        async with running(store, payments) as run:
            await run.caught_up()
            seconds = time.perf_counter() - began
        balances = [await Repository(store, Account).load(f"account-{n}") for n in range(5)]
        assert sum(each.balance for each in balances) >= events // _ACCOUNTS * 5, balances
        return events / seconds


def main() -> None:
    """Measure once."""
    http, stomp, events, lanes = map(int, sys.argv[1:])
    rate = uvloop.run(measure(f"http://127.0.0.1:{http}?stomp_port={stomp}", events, lanes))
    print(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
