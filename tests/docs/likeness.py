"""Whether a program said what a page shows. This is the whole rule of what may differ:

1. An id in a page stands for the id that the program really gave. Where the page shows it again,
   the real one must be there again, and where the page types it, the real one is typed. Two ids of
   a page never stand for the same one. Ids are those of events and entities (also with an ellipsis
   after their first digits), secrets of keys, STOMP sessions, and the numbers in receipt handles.
2. Ports are those that the test found free.
3. Times, process numbers and Eventuary's version may be others.
4. ``…`` stands for anything within its line, and for any lines where it is a line of its own.
5. Line ends at the very beginning and end may be missing, or more.

All else must be the same, character by character.
"""

import re
from collections.abc import Mapping

_NAMED = {
    "id": (
        r"(?!0{16}-0{16})[0-9a-f]{16}-[0-9a-f]{16}|\b[0-9a-f]{8}…",
        r"[0-9a-f]{16}-[0-9a-f]{16}",
    ),
    "secret": (r"(?<![\w-])[\w-]{43}(?![\w-])", r"[A-Za-z0-9_-]{43}"),
    "session": (r"\b[0-9a-f]{32}\b", r"[0-9a-f]{32}"),
    "number": (r"(?<!\d)[12]\d{14}(?!\d)", r"[12]\d{14}"),
}

_FREE = {
    "date": (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "thousandths": (r"(?<=:\d\d),\d{3}\b", r",\d{3}"),
    "milliseconds": (r"\b1\d{12}\b", r"1\d{12}"),
    "process": (r"(?<=process )\d+", r"\d+"),
    "version": (r"(?<=Eventuary[ /])\d+\.\d+\.\d+", r"\d+\.\d+\.\d+"),
    "lines": (r"(?m:^…\n)", r"(?s:.*?)(?m:^)"),
    "anything": (r"…", r".*?"),
}

_TOKEN = re.compile(
    "|".join(f"(?P<{name}>{shown})" for name, (shown, _) in (_NAMED | _FREE).items())
)
_NAME = re.compile("|".join(f"(?:{shown})" for shown, _ in _NAMED.values()))


class Likeness:
    """Learns, while a page is read, what its names stand for."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._port = re.compile(rf"\b(?:{'|'.join(ports)})\b")
        self._real: dict[str, str] = {}

    def real(self, text: str) -> str:
        """Return what a reader would type: the page's text with real ids and ports."""

        def name(found: re.Match[str]) -> str:
            if found[0] not in self._real:
                raise AssertionError(f"the page uses {found[0]} and has not shown where it is from")
            return self._real[found[0]]

        return _NAME.sub(name, self._with_ports(text))

    def matches(self, shown: str, actual: str) -> bool:
        """Whether ``actual`` is what the page shows; then its names are learned."""
        shown = self._with_ports(shown).strip("\n") + "\n"
        pattern: list[str] = []
        new: dict[str, str] = {}  # name in the page: group
        at = 0
        for found in _TOKEN.finditer(shown):
            pattern.append(re.escape(shown[at : found.start()]))
            at = found.end()
            kind = found.lastgroup
            assert kind is not None
            if kind in _FREE:
                pattern.append(_FREE[kind][1])
            elif found[0] in self._real:
                pattern.append(re.escape(self._real[found[0]]))
            elif found[0] in new:
                pattern.append(f"(?P={new[found[0]]})")
            else:
                new[found[0]] = f"new{len(new)}"
                pattern.append(f"(?P<{new[found[0]]}>{_NAMED[kind][1]})")
        pattern.append(re.escape(shown[at:]))
        match = re.fullmatch("".join(pattern), actual.strip("\n") + "\n")
        if match is None:
            return False
        learned = {name: match[group] for name, group in new.items()}
        taken = [*self._real.values(), *learned.values()]
        if len(set(taken)) < len(taken):
            return False  # two names of the page would stand for the same thing
        self._real |= learned
        return True

    def _with_ports(self, text: str) -> str:
        return self._port.sub(lambda found: str(self._ports[found[0]]), text)
