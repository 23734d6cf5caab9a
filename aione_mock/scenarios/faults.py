"""Every damage that can be done on the wire, by name: what it is, where it fits, what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from aione_mock.scenarios import plain_faults, stream_faults
from aione_mock.scenarios.options import Option, Options
from aione_mock.scenarios.stream_faults import Scene
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.types import Fault, Response

Scope = Literal["stream", "plain", "both"]
Damage = Callable[[Response, Options, Scene], Response]


@frozen
class FaultSpec:
    """One damage: its title, the answers it fits (`stream`, `plain` or `both`), its options and its function."""

    name: str
    title: str
    applies_to: Scope
    damage: Damage
    options: tuple[Option, ...] = ()


def _after(default: int) -> Option:
    return Option("after", "integer", default, "Whole events that still arrive before it.", minimum=0)


def _at(default: int) -> Option:
    return Option("at", "integer", default, "Which event, counted from 1; the last if there are fewer.", minimum=1)


def _seconds(default: float, description: str) -> Option:
    return Option("seconds", "number", default, description, minimum=0)


def _size(default: int, description: str) -> Option:
    return Option("size", "integer", default, description, minimum=1, maximum=64 << 20)


_MID = Option("mid", "boolean", False, "Half of the next event arrives too.")
_THEN = Option("then", "string", "go", "What follows: the rest, a cut, or nothing ever.", ("go", "cut", "hang"))
_BY = Option("by", "integer", 16, "How many bytes off.", minimum=1)

TABLE: dict[str, FaultSpec] = {
    spec.name: spec
    for spec in (
        FaultSpec("cut", "The connection drops in the stream", "stream", stream_faults.cut, (_after(1), _MID)),
        FaultSpec(
            "stall",
            "The stream pauses, then goes on, is cut, or hangs",
            "stream",
            stream_faults.stall,
            (_after(1), _seconds(30.0, "How long the pause is."), _THEN),
        ),
        FaultSpec(
            "drip",
            "A few bytes at a time",
            "both",
            stream_faults.drip,
            (_size(16, "Bytes at a time."), _seconds(0.05, "Pause after each.")),
        ),
        FaultSpec("malformed_json", "JSON without its last byte", "both", stream_faults.malformed_json, (_at(2),)),
        FaultSpec(
            "error_event",
            "An error in the stream, after the status said 200",
            "stream",
            stream_faults.error_event,
            (_after(2), Option("error", "string", "internal_error", "Which error of the contract.")),
        ),
        FaultSpec("no_end", "The event that ends the stream is missing", "stream", stream_faults.no_end),
        FaultSpec("no_finish", "No finish reason", "stream", stream_faults.no_finish),
        FaultSpec("double_finish", "The finish reason comes twice", "stream", stream_faults.double_finish),
        FaultSpec("no_usage", "No usage", "stream", stream_faults.no_usage),
        FaultSpec(
            "wrong_usage",
            "Every count in the usage is off",
            "stream",
            stream_faults.wrong_usage,
            (Option("add", "integer", 7, "What is added to each count."),),
        ),
        FaultSpec(
            "empty_choices",
            "An event without choices (OpenAI) or candidates (Gemini)",
            "stream",
            stream_faults.empty_choices,
            (_at(2),),
        ),
        FaultSpec("duplicate_event", "An event comes twice", "stream", stream_faults.duplicate_event, (_at(2),)),
        FaultSpec("reorder_events", "Two events change places", "stream", stream_faults.reorder_events, (_at(2),)),
        FaultSpec("changed_id", "The answer's id changes midway", "stream", stream_faults.changed_id, (_at(3),)),
        FaultSpec(
            "comments",
            "Keep-alive comments between the events",
            "stream",
            stream_faults.comments,
            (Option("every", "integer", 1, "Before every nth event.", minimum=1),),
        ),
        FaultSpec("crlf", "Lines end with CR and LF", "stream", stream_faults.crlf),
        FaultSpec("cr", "Lines end with CR alone", "stream", stream_faults.cr),
        FaultSpec("bom", "A byte order mark at the beginning", "stream", stream_faults.bom),
        FaultSpec("one_packet", "All events in one packet", "stream", stream_faults.one_packet),
        FaultSpec("packet_each", "Each event in a packet of its own", "stream", stream_faults.packet_each),
        FaultSpec(
            "split_events",
            "Each event over many packets",
            "stream",
            stream_faults.split_events,
            (_size(7, "Bytes of each packet."),),
        ),
        FaultSpec("split_utf8", "One character over two packets", "stream", stream_faults.split_utf8),
        FaultSpec(
            "big_event",
            "One event of a megabyte",
            "stream",
            stream_faults.big_event,
            (_at(2), _size(1 << 20, "Bytes of the event.")),
        ),
        FaultSpec(
            "wrong_content_type",
            "The content type is another",
            "both",
            plain_faults.wrong_content_type,
            (Option("value", "string", "text/plain", "What it says instead."),),
        ),
        FaultSpec("cut_body", "The connection drops in the body", "plain", plain_faults.cut_body),
        FaultSpec(
            "content_length_long",
            "More bytes announced than come",
            "plain",
            plain_faults.content_length_long,
            (_BY,),
        ),
        FaultSpec(
            "content_length_short",
            "Fewer bytes announced than come",
            "plain",
            plain_faults.content_length_short,
            (_BY,),
        ),
        FaultSpec(
            "html_page",
            "A proxy's error page instead of the answer",
            "both",
            plain_faults.html_page,
            (Option("status", "integer", 502, "Its status.", minimum=200, maximum=599),),
        ),
        FaultSpec("gzip_garbage", "Said to be gzip, but is rubbish", "plain", plain_faults.gzip_garbage),
        FaultSpec("empty_body", "Headers without a body", "plain", plain_faults.empty_body),
        FaultSpec(
            "slow_body",
            "The body trickles in",
            "plain",
            plain_faults.slow_body,
            (
                _seconds(2.0, "From the first part to the last."),
                Option("parts", "integer", 10, "In how many parts.", minimum=1, maximum=10_000),
            ),
        ),
        FaultSpec("reset", "The connection drops before the status line", "both", plain_faults.reset),
        FaultSpec("hang", "Nothing ever comes back", "both", plain_faults.hang),
    )
}
"""In the order in which they are listed to people."""


def misfit(faults: Iterable[Fault], *, stream: bool) -> str | None:
    """Why a fault cannot be done to this kind of answer, or None when all can."""
    for fault in faults:
        wanted = TABLE[fault.name].applies_to
        if wanted == "stream" and not stream:
            return f"fault '{fault.name}' needs a stream, but this answer is plain"
        if wanted == "plain" and stream:
            return f"fault '{fault.name}' needs a plain answer, but this one is a stream"
    return None


def apply(
    faults: Iterable[Fault],
    transmission: Response,
    *,
    stream: bool,
    seed: Seed,
    error_event: Callable[[str], bytes] | None = None,
) -> Response:
    """The transmission, damaged by each fault in turn; those that do not fit its kind are left out.

    `error_event` gives an error of the contract, by name, as an event of the protocol spoken.
    """
    scene = Scene(seed, error_event)
    for fault in faults:
        spec = TABLE[fault.name]
        if spec.applies_to == "both" or (spec.applies_to == "stream") == stream:
            options = {option.name: option.default for option in spec.options} | dict(fault.options)
            transmission = spec.damage(transmission, options, scene)
    return plain_faults.headed(transmission)
