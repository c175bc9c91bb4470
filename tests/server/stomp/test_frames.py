"""The laws of frames, tried by Hypothesis: framing survives any fragmentation, escaping comes back
to what it was, and rubbish raises nothing but FrameError.
"""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from eventuary.limits import Limits
from eventuary.stomp_frames import (
    Frame,
    FrameError,
    FrameParser,
    Version,
    escape,
    unescape,
    unescape_leniently,
    write_frame,
)
from tests.server.stomp.wire import escaped, parse, unescaped

commands = st.sampled_from(["CONNECT", "SUBSCRIBE", "ACK", "SEND", "MESSAGE", "x"])
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(
    lambda name: name != "content-length"
)
#: Header values as they stand on the wire; one at whose end is a carriage return would lose it.
values = (
    st.binary(max_size=30)
    .map(lambda value: value.replace(b"\n", b"").replace(b"\0", b""))
    .filter(lambda value: not value.endswith(b"\r"))
)
headers = st.dictionaries(names, values, max_size=5)
frames = st.builds(Frame, commands, headers, st.binary(max_size=60))
line_ends = st.sampled_from([b"", b"\n", b"\r\n", b"\n\n\n", b"\r\n\n"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    "\\:cnrt\n\r ", max_size=12
)


def feed_all(pieces: Sequence[bytes], limits: Limits | None = None) -> list[Frame]:
    parser = FrameParser(limits or Limits())
    return [frame for piece in pieces for frame in parser.feed(piece)]


def without_length(frame: Frame) -> Frame:
    return Frame(
        frame.command,
        {name: value for name, value in frame.headers.items() if name != "content-length"},
        frame.body,
    )


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(
    st.lists(st.tuples(line_ends, frames), max_size=5),
    line_ends,
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_what_is_written_is_read_however_it_is_cut(
    sent: list[tuple[bytes, Frame]], last: bytes, places: list[int]
) -> None:
    data = b"".join(
        beats + write_frame(each.command, each.headers, each.body) for beats, each in sent
    )
    found = feed_all(cut(data + last, places))
    assert [without_length(each) for each in found] == [each for _, each in sent]


@given(frames, frames, line_ends)
def test_cut_in_two_anywhere(one: Frame, two: Frame, beats: bytes) -> None:
    data = b"\n".join(write_frame(each.command, each.headers, each.body) for each in (one, two))
    data = beats + data + beats
    for place in range(len(data) + 1):
        found = feed_all([data[:place], data[place:]])
        assert [without_length(each) for each in found] == [one, two]


@given(st.lists(frames, min_size=1, max_size=3), st.booleans())
def test_byte_by_byte(sent: list[Frame], carriage_returns: bool) -> None:
    end = b"\r\n" if carriage_returns else b"\n"
    data = b"".join(
        end.join(
            [
                each.command.encode(),
                *(name.encode() + b":" + value for name, value in each.headers.items()),
                b"content-length:%d" % len(each.body),
                b"",
                each.body,
            ]
        )
        + b"\0"
        + end
        for each in sent
    )
    found = feed_all([bytes([byte]) for byte in data])
    assert [without_length(each) for each in found] == sent


@given(st.lists(frames, max_size=4), st.lists(st.integers(0, 10_000), max_size=8))
def test_a_parser_is_idle_between_frames(sent: list[Frame], places: list[int]) -> None:
    parser = FrameParser(Limits())
    assert parser.idle
    for each in sent:
        *pieces, last = cut(write_frame(each.command, each.headers, each.body), places)
        fed = b""
        for piece in pieces:
            fed += piece
            assert list(parser.feed(piece)) == []
            assert parser.idle == (not fed)
        assert len(list(parser.feed(last))) == 1
        assert parser.idle


@given(frames)
def test_frames_are_written_as_another_reader_reads_them(frame: Frame) -> None:
    [found] = parse(write_frame(frame.command, {"a": b"1", **frame.headers}, frame.body))
    assert found.command == frame.command
    assert found.body == frame.body
    assert {"a": b"1", **frame.headers}.items() <= found.headers.items()


def test_of_a_repeated_header_the_first_counts() -> None:
    [frame] = feed_all([b"ACK\nid:1\nid:2\ncontent-length:1\ncontent-length:9\n\nx\0"])
    assert frame == Frame("ACK", {"id": b"1", "content-length": b"1"}, b"x")


# Escaping


@given(texts, st.sampled_from([Version.V11, Version.V12]))
def test_escaping_comes_back(text: str, version: Version) -> None:
    value = escape(text, version)
    # 1.1 has no escape for a carriage return, and no version one for NUL.
    sayable = text.replace("\0", "")
    if version is Version.V11:
        sayable = sayable.replace("\r", "")
    assert not set(value) & set(b"\n\r\0:")
    assert unescape(value, version) == sayable
    assert value == escaped(sayable, version)
    assert unescaped(value, version) == sayable


@given(texts)
def test_1_0_has_no_escapes(text: str) -> None:
    value = escape(text, Version.V10)
    assert not set(value) & set(b"\n\r\0")
    if not set(text) & set("\n\r\0"):
        assert value == text.encode()
        assert unescape(value, Version.V10) == value.strip().decode()


@given(texts, st.sampled_from(["1.1", "1.2"]))
def test_lenient_unescaping_undoes_every_version(text: str, version: str) -> None:
    assert unescape_leniently(escaped(text, version)) == text.encode()


@given(st.binary(max_size=30))
@example(b"\\")
@example(b"\\t\\")
def test_unescaping_rubbish(value: bytes) -> None:
    unescape_leniently(value)
    for version in Version:
        try:
            text = unescape(value, version)
        except FrameError:
            continue
        assert (
            version is Version.V10 or escape(text, version) == value or set(value) & set(b":\r\n\0")
        )


# Rubbish

rubbish = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [b"\n", b"\0", b"\n\n", b":", b"\r", b"content-length:", b"3", b"SEND", b"\n\n\0", b"\\"]
    ),
    max_size=40,
)


@given(rubbish, st.lists(st.integers(0, 10_000), max_size=8))
def test_rubbish_raises_nothing_but_frame_error(parts: list[bytes], places: list[int]) -> None:
    """And what it is taken for does not depend on how it was cut; frames before it are frames."""
    data = b"".join(parts)
    outcomes = []
    for pieces in ([data], cut(data, places), [bytes([byte]) for byte in data]):
        parser = FrameParser(Limits())
        found: list[Frame] = []
        reason = ""
        try:
            for piece in pieces:
                for frame in parser.feed(piece):
                    found.append(frame)  # noqa: PERF402 - those before the error count
        except FrameError as error:
            reason = str(error)
        outcomes.append(f"{found} {reason}")
    assert len(set(outcomes)) == 1


@given(rubbish, st.lists(st.integers(0, 10_000), max_size=8))
def test_no_more_is_kept_than_the_limits_allow(parts: list[bytes], places: list[int]) -> None:
    limits = Limits(header_line_size=20, headers_size=50, frame_size=70)
    parser = FrameParser(limits)
    for piece in cut(b"".join(parts), places):
        try:
            found = list(parser.feed(piece))
        except FrameError:
            return
        assert len(parser._buffer) <= 50 + 70
        for frame in found:
            assert len(frame.body) <= 70
            assert all(len(name) + len(value) < 20 for name, value in frame.headers.items())


def test_each_byte_is_looked_at_once_however_small_the_pieces() -> None:
    """16 MB in a million pieces: were all looked at anew for each, this would take a quarter of an
    hour, and the time-out of all tests would end it.
    """
    size = 16_000_000
    data = b"SEND\nx:" + b"y" * 16_000 + b"\n\n" + b"z" * size + b"\0"
    pieces = [data[at : at + 16] for at in range(0, len(data), 16)]
    assert [len(each.body) for each in feed_all(pieces, Limits(frame_size=size))] == [size]
