"""The table of faults: damage to responses by name, with the responses it fits and its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from aione_mock.scenarios import plain_faults as plain
from aione_mock.scenarios import stream_faults as streams
from aione_mock.scenarios.options import Option, OptionValues
from aione_mock.scenarios.stream_faults import FaultContext
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.types import Fault, Response

AppliesTo = Literal["stream", "plain", "both"]
FaultFunction = Callable[[Response, OptionValues, FaultContext], Response]


@frozen
class FaultSpec:
    """A fault: its title, the responses it fits, its options and the function that applies it."""

    name: str
    title: str
    applies_to: AppliesTo
    damage: FaultFunction
    options: tuple[Option, ...] = ()


def _make_after_option(default: int) -> Option:
    return Option("after", "integer", default, "Number of whole events before it.", minimum=0)


def _make_at_option(default: int) -> Option:
    return Option("at", "integer", default, "Which event, counted from 1; the last if there are fewer.", minimum=1)


def _make_seconds_option(default: float, description: str) -> Option:
    return Option("seconds", "number", default, description, minimum=0)


def _make_size_option(default: int, description: str) -> Option:
    return Option("size", "integer", default, description, minimum=1, maximum=64 << 20)


_MID = Option("mid", "boolean", False, "Half of the next event arrives too.")
_THEN = Option("then", "string", "go", "What follows: the rest, a cut, or nothing ever.", ("go", "cut", "hang"))
_ERROR = Option("error", "string", "internal_error", "Name of an error of the contract.")
_ADD = Option("add", "integer", 7, "What is added to each count.")
_EVERY = Option("every", "integer", 1, "Before every nth event.", minimum=1)
_CONTENT_TYPE = Option("value", "string", "text/plain", "The content type instead.")
_BY = Option("by", "integer", 16, "Difference in bytes.", minimum=1)
_STATUS = Option("status", "integer", 502, "Status of the page.", minimum=200, maximum=599)
_PARTS = Option("parts", "integer", 10, "Number of parts.", minimum=1, maximum=10_000)
_STALL = (_make_after_option(1), _make_seconds_option(30.0, "Length of the pause."), _THEN)
_DRIP = (_make_size_option(16, "Bytes at a time."), _make_seconds_option(0.05, "Pause after each."))
_SLOW = (_make_seconds_option(2.0, "Time from the first part to the last."), _PARTS)
_SPLIT = (_make_size_option(7, "Bytes of each packet."),)
_BIG = (_make_at_option(2), _make_size_option(1 << 20, "Bytes of the event."))

# in the order in which they are listed to users
_SPECS = (
    FaultSpec("cut", "The connection drops in the stream", "stream", streams.cut_stream, (_make_after_option(1), _MID)),
    FaultSpec("stall", "The stream pauses, then goes on, is cut, or hangs", "stream", streams.stall_stream, _STALL),
    FaultSpec("drip", "A few bytes at a time", "both", streams.drip_bytes, _DRIP),
    FaultSpec("malformed_json", "JSON without its last byte", "both", streams.truncate_json, (_make_at_option(2),)),
    FaultSpec(
        "error_event", "An error after status 200", "stream", streams.end_with_error, (_make_after_option(2), _ERROR)
    ),
    FaultSpec("no_end", "The event that ends the stream is missing", "stream", streams.omit_end),
    FaultSpec("no_finish", "No finish reason", "stream", streams.omit_finish_reason),
    FaultSpec("double_finish", "The finish reason comes twice", "stream", streams.repeat_finish_reason),
    FaultSpec("no_usage", "No usage", "stream", streams.omit_usage),
    FaultSpec("wrong_usage", "Every count in the usage is wrong", "stream", streams.falsify_usage, (_ADD,)),
    FaultSpec(
        "empty_choices",
        "An event without choices or candidates",
        "stream",
        streams.empty_choices,
        (_make_at_option(2),),
    ),
    FaultSpec("duplicate_event", "An event comes twice", "stream", streams.repeat_event, (_make_at_option(2),)),
    FaultSpec("reorder_events", "Two events change places", "stream", streams.swap_events, (_make_at_option(2),)),
    FaultSpec("changed_id", "The response's id changes midway", "stream", streams.change_id, (_make_at_option(3),)),
    FaultSpec("comments", "Keep-alive comments between the events", "stream", streams.insert_comments, (_EVERY,)),
    FaultSpec("crlf", "Lines end with CR and LF", "stream", streams.end_lines_with_crlf),
    FaultSpec("cr", "Lines end with CR alone", "stream", streams.end_lines_with_cr),
    FaultSpec("bom", "A byte order mark at the beginning", "stream", streams.prepend_bom),
    FaultSpec("one_packet", "All events in one packet", "stream", streams.join_events),
    FaultSpec("packet_each", "Each event in a packet of its own", "stream", streams.separate_events),
    FaultSpec("split_events", "Each event over many packets", "stream", streams.split_events, _SPLIT),
    FaultSpec("split_utf8", "One character over two packets", "stream", streams.split_characters),
    FaultSpec("big_event", "One event of a megabyte", "stream", streams.pad_event, _BIG),
    FaultSpec("wrong_content_type", "A wrong content type", "both", plain.change_content_type, (_CONTENT_TYPE,)),
    FaultSpec("cut_body", "The connection drops in the body", "plain", plain.cut_body),
    FaultSpec("content_length_long", "More bytes announced than sent", "plain", plain.announce_more_bytes, (_BY,)),
    FaultSpec("content_length_short", "Fewer bytes announced than sent", "plain", plain.announce_fewer_bytes, (_BY,)),
    FaultSpec("html_page", "A proxy's error page instead of the answer", "both", plain.send_html_page, (_STATUS,)),
    FaultSpec("gzip_garbage", "Declared as gzip, but invalid", "plain", plain.send_invalid_gzip),
    FaultSpec("empty_body", "Headers without a body", "plain", plain.send_no_body),
    FaultSpec("slow_body", "The body is sent slowly", "plain", plain.send_slowly, _SLOW),
    FaultSpec("reset", "The connection drops before the status line", "both", plain.reset_connection),
    FaultSpec("hang", "Nothing is ever sent", "both", plain.hang_connection),
)
FAULTS: Mapping[str, FaultSpec] = {spec.name: spec for spec in _SPECS}


def explain_misfit(faults: Iterable[Fault], *, stream: bool) -> str | None:
    """Return why a fault does not fit this kind of response, or None if all fit."""
    for fault in faults:
        wanted = FAULTS[fault.name].applies_to
        if wanted == "stream" and not stream:
            return f"fault '{fault.name}' needs a stream, but this answer is plain"
        if wanted == "plain" and stream:
            return f"fault '{fault.name}' needs a plain answer, but this one is a stream"
    return None


def apply_faults(
    faults: Iterable[Fault],
    response: Response,
    *,
    stream: bool,
    seed: Seed,
    render_error_event: Callable[[str], bytes] | None = None,
) -> Response:
    """Return the response damaged by each fault in turn; faults that do not fit its kind are skipped."""
    context = FaultContext(seed, render_error_event)
    for fault in faults:
        spec = FAULTS[fault.name]
        if spec.applies_to == "both" or (spec.applies_to == "stream") == stream:
            options = {option.name: option.default for option in spec.options} | dict(fault.options)
            response = spec.damage(response, options, context)
    return plain.prepend_head(response)
