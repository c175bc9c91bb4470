"""What a CONNECT says: which versions the client speaks, what it wants to hear, who it is."""

from eventuary.errors import Unauthorized
from eventuary.server.principal import Authenticator, Principal
from eventuary.stomp_frames import Frame, FrameError, Version, shown, unescape_leniently


def offered_versions(frame: Frame) -> list[str]:
    """Return what the client speaks; without the header it is 1.0."""
    offered = frame.headers.get("accept-version", b"1.0").decode("latin-1")
    return [each.strip() for each in offered.split(",")]


def newest_of(offered: list[str]) -> Version | None:
    """Return the newest version that is spoken here too."""
    return next((each for each in reversed(Version) if each.value in offered), None)


def wanted_heart_beat(frame: Frame) -> int:
    """Return how often the client wants to hear something, in milliseconds; 0: never.

    What it promises to send is not looked at: one client promises heart-beats and sends none.
    Raises FrameError.
    """
    value = frame.headers.get("heart-beat", b"0,0").replace(b" ", b"")
    sends, comma, wants = value.partition(b",")
    if not comma or not sends.isdigit() or not wants.isdigit() or len(value) > 40:
        raise FrameError(f"heart-beat: {shown(value, 40)} is not two numbers of milliseconds")
    return int(wants)


def log_in(frame: Frame, authenticator: Authenticator) -> Principal:
    """Return whose ``login`` and ``passcode`` these are. Raises Unauthorized.

    CONNECT is not escaped, whatever the version: 1.0 clients must be able to read it. One client
    escapes backslashes all the same; so where they are refused with some, they are read once more.
    """
    given = [frame.headers.get(name, b"") for name in ("login", "passcode")]
    try:
        return _authenticate(authenticator, given)
    except Unauthorized:
        plain = [unescape_leniently(each) for each in given]
        if plain == given:
            raise
    return _authenticate(authenticator, plain)


def _authenticate(authenticator: Authenticator, credentials: list[bytes]) -> Principal:
    login, passcode = (each.decode("utf-8", "replace") for each in credentials)
    return authenticator.authenticate(login, passcode)
