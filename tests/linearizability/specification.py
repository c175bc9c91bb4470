"""What an entity does when it is called by one after the other: a list with a version check."""

import msgspec

from tests.linearizability.operations import Answer, Read, Write


class Entity(msgspec.Struct, frozen=True):
    """An entity's events by their tags, and the triggers that were applied; empty: it is not."""

    tags: tuple[str, ...] = ()
    triggers: frozenset[str] = frozenset()


def answers_as(entity: Entity, read: Read) -> bool:
    """Whether an entity as it is answers a read as it was answered."""
    return read.tags == (entity.tags or None)


def answer_to(entity: Entity, write: Write) -> Answer:
    """Return what an entity as it is answers a write."""
    if write.expected is None:
        return Answer.EXISTS if entity.tags else Answer.DONE
    if not entity.tags:
        return Answer.NOT_FOUND
    if write.trigger in entity.triggers:
        return Answer.DUPLICATE
    return Answer.DONE if write.expected == entity.tags[-1] else Answer.CONFLICT


def after(entity: Entity, write: Write) -> Entity:
    """Return an entity as a write leaves it that is done."""
    triggers = entity.triggers if write.trigger is None else entity.triggers | {write.trigger}
    return Entity(entity.tags + write.tags, triggers)
