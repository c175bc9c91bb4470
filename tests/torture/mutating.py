"""From valid bytes to nearly valid ones: what a broken or a hostile client might send."""

import random
from collections.abc import Sequence

#: Pieces that parsers stumble over.
_SPITEFUL = (
    b"\0",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b":",
    b"\\",
    b"\\x",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%00",
    b"%ZZ",
    b"-1",
    b"99999999999999999999999999",
    b"1e400",
    b"NaN",
    b"null",
    b"[" * 2000,
    b"{" * 300,
    b'"',
    b"A" * 20_000,
    b"content-length: 5\r\n",
    b"content-length:-1\n",
    b"transfer-encoding: chunked\r\n",
    b"content-length:18446744073709551617\n",
    b"/../..//",
    b"\xf0\x9f\x92\xa9",
)


def mutated(chance: random.Random, samples: Sequence[bytes]) -> bytes:
    """Return a sample with one to five things wrong with it."""
    data = bytearray(chance.choice(samples))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 64)))
        match chance.randrange(9):
            case 0:
                del data[at:]
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 3:
                data[at:at] = chance.choice(_SPITEFUL)
            case 4:
                data[at:end] = chance.choice(_SPITEFUL)
            case 5:
                data[at:end] = chance.randbytes(end - at)
            case 6:
                other = chance.choice(samples)
                data[at:] = other[chance.randrange(len(other)) :]
            case 7:
                for bit in range(at, end):
                    data[bit] ^= 1 << chance.randrange(8)
            case _:
                data[at:end] = bytes(data[at:end]).swapcase()
    return bytes(data)


def random_bytes(chance: random.Random) -> bytes:
    """Return bytes of no meaning at all."""
    return chance.randbytes(chance.choice((1, 10, 100, 1000, 70_000)))
