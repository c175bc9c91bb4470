"""The reader finds what a page gets wrong; else its other tests would say nothing."""

import pytest

from tests.docs.reader import Reader

_ONE = "000001a2134fe4fc-f923afe3b8b50000"
_OTHER = "000001a2134ff035-f923afe3b8b50001"
_SHOWN = "0000019000000000-aaaaaaaaaaaa0000"
_SHOWN_TOO = "0000019000000000-aaaaaaaaaaaa0001"

TRUE = {
    "the same": "$ echo same\nsame",
    "over several lines": "$ echo 'one\ntwo'\none\ntwo",
    "no line end": "$ printf same\nsame",
    "one command after another": "$ x=1\n$ echo $x\n1",
    "anything within a line": "$ echo 1 2 3\n1 … 3",
    "two ids": f"$ cat one other\n{_SHOWN}\n{_SHOWN_TOO}",
    "any lines": "$ seq 9\n1\n…\n8\n9",
    "another id": f"$ cat one\n{_SHOWN}",
    "the same id again": f"$ cat one one\n{_SHOWN}\n{_SHOWN}",
    "an id of the page is typed": f"$ cat one\n{_SHOWN}\n$ test {_SHOWN} = $(cat one); echo $?\n0",
    "another time": '$ echo \'"at":1795618514130\'\n"at":1795618514131',
    "interrupted": "$ sleep 60\n^C\n$ echo $?\n130",
}

FALSE = {
    "something else": "$ echo same\nother",
    "more": "$ seq 2\n1",
    "less": "$ seq 2\n1\n2\n3",
    "nothing is shown": "$ echo same\n$ echo same\nsame",
    "other at the end of a line": "$ echo 1 2 3\n1 … 4",
    "the id changes": f"$ cat one other\n{_SHOWN}\n{_SHOWN}",
    "the id does not change": f"$ cat one one\n{_SHOWN}\n{_SHOWN_TOO}",
    "the id is from nowhere": f"$ echo {_SHOWN}\n{_SHOWN}",
    "no id": f"$ tail -c 20 one\n{_SHOWN}",
    "a word in place of a command": "same",
}


@pytest.mark.parametrize("session", TRUE.values(), ids=TRUE.keys())
def test_what_is_true_is_accepted(reader: Reader, session: str) -> None:
    _read(reader, session)


@pytest.mark.parametrize("session", FALSE.values(), ids=FALSE.keys())
def test_what_is_false_is_found(
    reader: Reader, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.docs.reader.PATIENCE", 0.5)
    with pytest.raises(AssertionError, match=r"page\.md:2: "):
        _read(reader, session)


def _read(reader: Reader, session: str) -> None:
    (reader.folder / "one").write_text(f"{_ONE}\n")
    (reader.folder / "other").write_text(f"{_OTHER}\n")
    page = reader.folder / "page.md"
    page.write_text(f"# A page\n```console\n{session}\n```\n")
    reader.read(str(page))
    reader.finish()
