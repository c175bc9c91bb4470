"""Whether a triggering event was applied to an entity, without an index of what was applied.

Which tokens an entity's events carry is decided by its history up to its last event; and an append
is stored only if that event is still the last (its version check). So it is enough to look at the
history before the append: both are one atomic step, and no subject is stored for a token.

Mostly there is nothing to look at. A token of ours names the event that triggered, and what is
triggered by an event has ids above that event's (the ids follow it), so an entity whose last event
is older than the triggering event has not seen it. That holds unless a client has invented a token
of the far future, which no id follows: from then on the entity is *doubtful*, all its further
events say so, and its history is read.
"""

import re

from eventuary.engines.jetstream.entities import Entities, Known
from eventuary.engines.jetstream.server_ids import ServerIds
from eventuary.tokens import triggering_event_id

_OURS = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.")


def is_ours(token: str) -> bool:
    """Whether a token names an event as ours do."""
    return _OURS.match(token) is not None


def followed_event(token: str | None, ids: ServerIds) -> str | None:
    """Return the event id that what this token triggers is to be above; None: there is none."""
    if token is None or not is_ours(token):
        return None
    event_id = triggering_event_id(token)
    return None if ids.is_far_ahead(event_id) else event_id


def is_doubtful(token: str | None, ids: ServerIds) -> bool:
    """Whether a token names an event of the far future."""
    return token is not None and is_ours(token) and ids.is_far_ahead(triggering_event_id(token))


async def is_applied(
    token: str, subject: str, known: Known, entities: Entities, ids: ServerIds
) -> bool:
    """Whether an entity's events up to the one known as its last carry a token."""
    if known.tokens is not None:
        return token in known.tokens
    event_id = followed_event(token, ids)
    if event_id is not None and not known.doubtful and known.version <= event_id:
        return False
    history = await entities.history(subject)
    return any(
        stored.triggering_event_token == token
        for sequence, stored in history.events
        if sequence <= known.sequence
    )
