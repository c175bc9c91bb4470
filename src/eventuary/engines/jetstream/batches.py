"""Atomic batches: several messages of one stream that are stored together or not at all.

JetStream keeps 50 of a stream, and 1,000 of a node, open at a time, from all its clients together,
and refuses what is more: then the whole batch is to be sent again. It is sent in one go, so that
none is open for long; only its last message is answered.
"""

import secrets
from collections.abc import Sequence

from eventuary.engines.jetstream.api import (
    STORE_FAILED,
    SUBJECT_IN_PROCESS,
    ApiError,
    PublishAnswer,
    publish,
)
from eventuary.engines.jetstream.wire import Wire

#: Messages of a batch, at most, unless the nodes are configured otherwise.
MOST_MESSAGES = 1000

#: Batches of this server that are open at a time: others need places too.
MOST_OPEN = 24

#: Error codes of a batch that was not taken: nothing of it is stored, and nothing will be.
TOO_MANY_OPEN = 10210
INCOMPLETE = 10176
TOO_LARGE = 10199

_ID = "Nats-Batch-Id"
_SEQUENCE = "Nats-Batch-Sequence"
_COMMIT = "Nats-Batch-Commit"


async def publish_batch(
    wire: Wire, messages: Sequence[tuple[str, bytes, dict[str, str]]]
) -> PublishAnswer:
    """Publish messages, as subject, payload and headers, together. Raises Lost."""
    batch_id = secrets.token_hex(12)
    for number, (subject, payload, headers) in enumerate(messages[:-1], 1):
        await wire.send(subject, payload, {**headers, _ID: batch_id, _SEQUENCE: str(number)})
    subject, payload, headers = messages[-1]
    return await publish(
        wire,
        subject,
        payload,
        {**headers, _ID: batch_id, _SEQUENCE: str(len(messages)), _COMMIT: "1"},
    )


def is_to_be_sent_again(error: ApiError) -> bool:
    """Whether nothing was stored, and it is worth trying again."""
    return (
        error.err_code in (SUBJECT_IN_PROCESS, TOO_MANY_OPEN, INCOMPLETE)
        or error.code == 429
        or (error.code == 503 and error.err_code != STORE_FAILED)
    )
