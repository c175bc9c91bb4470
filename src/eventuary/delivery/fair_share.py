"""How many swimlanes of a subscription each server gets: as many as its part of the consumers."""

from collections.abc import Mapping


def fair_shares(consumers: Mapping[int, int], swimlanes: int) -> dict[int, int]:
    """Return the number of swimlanes of each server, by server to how many consumers it has.

    All servers come to the same result, whichever asks: what can't be divided goes to those with
    the largest remainders, and of equal ones to the lowest numbers.
    """
    total = sum(consumers.values())
    if total == 0:
        return dict.fromkeys(consumers, 0)
    shares = {server: swimlanes * number // total for server, number in consumers.items()}
    left = swimlanes - sum(shares.values())
    by_remainder = sorted(
        (server for server, number in consumers.items() if number),
        key=lambda server: (-(swimlanes * consumers[server] % total), server),
    )
    for server in by_remainder[:left]:
        shares[server] += 1
    return shares
