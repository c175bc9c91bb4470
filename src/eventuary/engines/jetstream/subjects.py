"""Names as tokens of subjects: readable where that is easy, of bounded length always.

A token may hold no dot, blank, ``*`` or ``>``. So a name is percent-encoded, its dots too; one that
would be longer than ``MOST_TOKEN`` characters has its SHA-256 for a token, after an equals sign,
which no encoded name holds. The messages on a subject then say the name itself (messages.py): no
name is ever guessed from a digest.
"""

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

#: Characters of a token, at most. Three of them, and a prefix, fit into a subject with room to
#: spare: a nats-server takes lines of 4096 bytes unless told otherwise.
MOST_TOKEN = 128

_DIGEST_MARK = "="


@lru_cache(maxsize=65536)
def token_of(name: str) -> str:
    """Return the token that stands for a name."""
    token = quote(name, safe="").replace(".", "%2E")
    if len(token) <= MOST_TOKEN:
        return token
    digest = urlsafe_b64encode(sha256(name.encode()).digest()).rstrip(b"=").decode()
    return _DIGEST_MARK + digest


def name_of(token: str) -> str | None:
    """Return the name that a token stands for; None for a digest."""
    return None if token.startswith(_DIGEST_MARK) else unquote(token)


def names_of(subject: str) -> tuple[str | None, str | None, str | None]:
    """Return space, entity type and entity id of a subject of events, where it tells them."""
    space, entity_type, entity_id = subject.split(".")[2:]
    return name_of(space), name_of(entity_type), name_of(entity_id)


class Subjects:
    """The subjects of the state of the log of this name.

    ``NAME.ev.<space>.<entity type>.<entity id>`` holds the events of an entity, in the stream
    ``NAME-log`` (of further partitions: ``NAME.ev-1.…`` in ``NAME-log-1``, and so on); everything
    below ``NAME.st.`` is state that is replaced, in ``NAME-state``.
    """

    def __init__(self, name: str) -> None:
        self.state_stream = f"{name}-state"
        self.state = f"{name}.st"
        #: Not stored: on subjects below this, servers and migrations say that they are there.
        self.here = f"{name}.here"

    def cell(self, kind: str, *names: str) -> str:
        """The subject of a piece of state."""
        return ".".join((self.state, kind, *(token_of(name) for name in names)))
