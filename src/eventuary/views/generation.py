"""Generations of a view: the one that is read, one that is being built, those read before.

A view is rebuilt into a new generation beside the live one, which goes on serving; when it has
caught up, it becomes the live one in one step. What was live is retired, and dropped when nobody
can be reading it any more.
"""

import secrets
from enum import StrEnum

import msgspec


class GenerationState(StrEnum):
    """What a generation is for. A view has one live generation, and at most one in building."""

    BUILDING = "building"  #: a rebuild fills it
    LIVE = "live"  #: it is read, and follows the events
    RETIRED = "retired"  #: it was live until another one was; it changes no more


class Generation(msgspec.Struct, frozen=True):
    """One generation; ``number`` counts from 1."""

    number: int
    state: GenerationState
    #: When it entered this state, in milliseconds since the epoch.
    since: int
    #: What sets it apart from generations of the same number: those of a storage that was lost.
    tag: str


class GenerationRetired(Exception):
    """A change was for a generation that is retired, or gone: nothing was changed."""

    def __init__(self, view: str, number: int) -> None:
        super().__init__(f"generation {number} of view {view!r} is not fed any more")


def new_tag() -> str:
    """Return the tag of a new generation."""
    return secrets.token_hex(3)


def live(generations: list[Generation]) -> Generation | None:
    """Return the live generation; None: the view was never opened."""
    return _in(generations, GenerationState.LIVE)


def building(generations: list[Generation]) -> Generation | None:
    """Return the generation that is being built."""
    return _in(generations, GenerationState.BUILDING)


def _in(generations: list[Generation], state: GenerationState) -> Generation | None:
    return next((each for each in generations if each.state is state), None)
