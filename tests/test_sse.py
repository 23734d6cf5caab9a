"""Server-sent events, however their bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.text.sse import Decoder, Event, decode, encode
from tests.timing import PATIENCE

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)


@given(st.lists(st.tuples(TEXT.filter(bool), st.none() | TEXT.filter(lambda t: t and t[0] != " "))), st.integers(1, 9))
def test_decoding_ignores_how_the_bytes_arrive(events: list[tuple[str, str | None]], size: int) -> None:
    wire = b"".join(encode(data.encode(), name.encode() if name else None) for data, name in events)
    chunks = [wire[i : i + size] for i in range(0, len(wire), size)]
    assert list(decode(chunks)) == [Event(data, name) for data, name in events]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_all_three_line_ends_are_read(end: str, size: int) -> None:
    wire = f": comment{end}event: a{end}data: x{end}data:y{end}{end}data: z{end}{end}".encode()
    chunks = [wire[i : i + size] for i in range(0, len(wire), size)]
    assert list(decode(chunks)) == [Event("x\ny", "a"), Event("z")]


def test_a_byte_order_mark_is_skipped() -> None:
    assert list(decode([b"\xef\xbb\xbfdata: x\n\n"])) == [Event("x")]


def test_an_event_that_the_stream_ends_in_is_not_delivered() -> None:
    assert list(decode([b"data: x\n\ndata: y\n"])) == [Event("x")]


def test_lines_without_data_make_no_event() -> None:
    assert list(decode([b"event: ping\n\nid: 7\n\n"])) == []


def test_decoding_that_is_left_goes_on_where_it_was() -> None:
    decoder = Decoder()
    assert next(decoder.feed(b"data: x\n\ndata: y")) == Event("x")
    assert list(decoder.feed(b"z\n\n")) == [Event("yz")]


@pytest.mark.parametrize("chunks", [[b"\n" * 2_000_000], [b"x" * 64] * 100_000, [b": ping\n\n" * 500_000]])
def test_the_time_grows_with_the_bytes_alone(chunks: list[bytes]) -> None:
    started = SYSTEM_CLOCK.timestamp()
    assert list(decode(chunks)) == []
    assert SYSTEM_CLOCK.timestamp() - started < PATIENCE
