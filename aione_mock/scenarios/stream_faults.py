"""Damage event streams: pure functions from a Response to a Response.

Each send of an undamaged stream is one event. Faults apply in the order given, each to what the one before has left:
after `one_packet` there is one send. A send without bytes only waits for its due time.
"""

from __future__ import annotations

from collections.abc import Callable

from aione_mock.scenarios.events import REMOVE, Change, edit_event, has_value, read_data
from aione_mock.scenarios.options import OptionValues
from aione_mock.seed import Seed
from aione_mock.structs import frozen, replace
from aione_mock.types import Headers, Json, Response

Sends = tuple[tuple[float, bytes], ...]

# Where each protocol keeps what a fault is about; a `*` goes over a list.
FINISH = ("/choices/*/finish_reason", "/delta/stop_reason", "/candidates/*/finishReason")
USAGE = ("/usage", "/message/usage", "/usageMetadata")
IDENTITY = ("/id", "/message/id", "/responseId")
LISTS = ("/choices", "/candidates")
END = ("[DONE]", "message_stop")
PACKET_GAP = 0.001
"""Seconds between packets; the kernel joins small packets that follow at once."""


@frozen
class FaultContext:
    """What a fault may need to know about the call."""

    seed: Seed
    render_error_event: Callable[[str], bytes] | None = None
    """Renders an error of the contract, by name, as an event of the call's protocol."""


def cut_stream(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Drop the connection after n events, or in the middle of the next."""
    sends, after = response.sends, options["after"]
    kept = sends[:after] or _send_head_only(sends)
    if options["mid"] and after < len(sends):
        due, raw = sends[after]
        kept = (*kept, (due, raw[: max(1, len(raw) // 2)]))
    return replace(response, sends=kept, end="cut")


def stall_stream(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Pause after n events; then send the rest, drop the connection, or send nothing more."""
    sends, after, pause = response.sends, options["after"], options["seconds"]
    kept = sends[:after] or _send_head_only(sends)
    if options["then"] == "hang":
        return replace(response, sends=kept, end="hang")
    if options["then"] == "cut":
        due = kept[-1][0] if kept else 0.0
        return replace(response, sends=(*kept, (due + pause, b"")), end="cut")
    return replace(response, sends=kept + tuple((due + pause, raw) for due, raw in sends[after:]))


def drip_bytes(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send a few bytes at a time, with a pause after each."""
    sends: list[tuple[float, bytes]] = []
    now = 0.0
    for due, raw in response.sends:
        for start in range(0, len(raw) or 1, options["size"]):
            now = max(now + (options["seconds"] if sends else 0.0), due)
            sends.append((now, raw[start : start + options["size"]]))
    return replace(response, sends=tuple(sends), apart=PACKET_GAP)


def truncate_json(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Remove the last byte of the JSON of one event, or of a plain body."""
    place = _find_json(response.sends, options["at"])
    if place is None:
        return response
    due, raw = response.sends[place]
    text = raw.rstrip(b"\r\n")
    damaged = _replace_send(response, place, (due, text[:-1] + raw[len(text) :]))
    return replace(damaged, headers=shorten_content_length(damaged.headers, 1))


def end_with_error(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send an error after n events, as the protocol does within a stream, and nothing more."""
    if context.render_error_event is None:
        return response
    sends, after = response.sends, options["after"]
    due = sends[min(after, len(sends) - 1)][0] if sends else 0.0
    return replace(response, sends=(*sends[:after], (due, context.render_error_event(options["error"]))))


def omit_end(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Omit the event that ends the stream, and close the connection properly."""
    return replace(response, sends=tuple(send for send in response.sends if not _is_end(send[1])))


def omit_finish_reason(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Omit the finish reason from all events."""
    return _edit_values(response, FINISH, lambda pointer, value: REMOVE if pointer.endswith("finishReason") else None)


def repeat_finish_reason(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send the event with the finish reason twice."""
    return _repeat_sends(response, lambda raw: raw if has_value(raw, FINISH) else None)


def omit_usage(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Omit the usage from all events, and events that hold nothing else."""
    kept = tuple(send for send in response.sends if not _holds_usage_only(send[1]))
    return _edit_values(replace(response, sends=kept), USAGE, lambda pointer, value: REMOVE)


def falsify_usage(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Add a number to every token count."""
    return _edit_values(response, USAGE, lambda pointer, value: _add_to_counts(value, options["add"]))


def empty_choices(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Empty the list of choices (OpenAI) or candidates (Gemini) of one event."""
    filled = [place for place, (_, raw) in enumerate(response.sends) if has_value(raw, LISTS)]
    if not filled:
        return response
    place = filled[min(options["at"], len(filled)) - 1]
    due, raw = response.sends[place]
    return _replace_send(response, place, (due, edit_event(raw, LISTS, lambda pointer, value: [])))


def repeat_event(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send one event twice."""
    place = _find_json(response.sends, options["at"])
    if place is None:
        return response
    send = response.sends[place]
    return _replace_send(response, place, send, send)


def swap_events(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Swap one event with the one after it."""
    sends = response.sends
    place = _find_json(sends[:-1], options["at"])
    if place is None:
        return response
    (due, first), (later, second) = sends[place], sends[place + 1]
    return replace(response, sends=(*sends[:place], (due, second), (later, first), *sends[place + 2 :]))


def change_id(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Change the response's id from one event on."""
    having = [place for place, (_, raw) in enumerate(response.sends) if has_value(raw, IDENTITY)]
    if not having:
        return response
    start = having[min(options["at"], len(having)) - 1]
    tail = _edit_values(
        replace(response, sends=response.sends[start:]), IDENTITY, lambda pointer, value: f"{value}-other"
    )
    return replace(response, sends=response.sends[:start] + tail.sends)


def insert_comments(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Insert a keep-alive comment, as proxies send, before every nth event."""
    sends: list[tuple[float, bytes]] = []
    for position, (due, raw) in enumerate(response.sends):
        if position % options["every"] == 0:
            sends.append((due, b": keep-alive\n\n"))
        sends.append((due, raw))
    return replace(response, sends=tuple(sends))


def end_lines_with_crlf(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """End lines with CR and LF."""
    return _edit_each(response, lambda raw: raw.replace(b"\n", b"\r\n"))


def end_lines_with_cr(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """End lines with CR alone."""
    return _edit_each(response, lambda raw: raw.replace(b"\n", b"\r"))


def prepend_bom(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Prepend a byte order mark."""
    if not response.sends:
        return response
    return _replace_send(response, 0, (response.sends[0][0], b"\xef\xbb\xbf" + response.sends[0][1]))


def join_events(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send everything at once, at the end."""
    if not response.sends:
        return response
    whole = b"".join([raw for _, raw in response.sends])
    return replace(response, sends=((response.sends[-1][0], whole),), apart=None)


def separate_events(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send each event in a packet of its own."""
    return replace(response, apart=PACKET_GAP)


def split_events(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Split each event into packets of a few bytes."""
    size = options["size"]
    sends = [(due, raw[start : start + size]) for due, raw in response.sends for start in range(0, len(raw) or 1, size)]
    return replace(response, sends=tuple(sends), apart=PACKET_GAP)


def split_characters(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Split the first multi-byte character of each event over two packets."""
    sends = [(due, part) for due, raw in response.sends for part in _split_character(raw)]
    return replace(response, sends=tuple(sends), apart=PACKET_GAP)


def pad_event(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Enlarge one event with spaces inside its JSON, which mean nothing."""
    place = _find_json(response.sends, options["at"])
    if place is None:
        return response
    due, raw = response.sends[place]
    head, brace, rest = raw.partition(b"{")
    return _replace_send(response, place, (due, head + brace + b" " * max(0, options["size"] - len(raw)) + rest))


def shorten_content_length(headers: Headers, by: int) -> Headers:
    """Return headers with `content-length`, if present, reduced by a number of bytes."""
    return tuple((name, str(int(value) - by) if name == "content-length" else value) for name, value in headers)


def _send_head_only(sends: Sends) -> Sends:
    # status line and headers only, when the first event is due
    return ((sends[0][0], b""),) if sends else ()


def _is_end(raw: bytes) -> bool:
    data = read_data(raw)
    return data in END if isinstance(data, str) else isinstance(data, dict) and data.get("type") in END


def _holds_usage_only(raw: bytes) -> bool:
    # OpenAI's last chunk has usage and no choices
    data = read_data(raw)
    return isinstance(data, dict) and data.get("choices") == [] and data.get("usage") is not None


def _find_json(sends: Sends, at: int) -> int | None:
    """Return the index of the `at`th send with JSON, of the last if there are fewer, None if there is none."""
    places = [place for place, (_, raw) in enumerate(sends) if b"{" in raw]
    return places[min(at, len(places)) - 1] if places else None


def _replace_send(response: Response, place: int, *instead: tuple[float, bytes]) -> Response:
    sends = response.sends
    return replace(response, sends=(*sends[:place], *instead, *sends[place + 1 :]))


def _edit_each(response: Response, change: Callable[[bytes], bytes]) -> Response:
    return replace(response, sends=tuple((due, change(raw)) for due, raw in response.sends))


def _repeat_sends(response: Response, after: Callable[[bytes], bytes | None]) -> Response:
    sends: list[tuple[float, bytes]] = []
    for due, raw in response.sends:
        sends.append((due, raw))
        if (more := after(raw)) is not None:
            sends.append((due, more))
    return replace(response, sends=tuple(sends))


def _edit_values(response: Response, pointers: tuple[str, ...], change: Change) -> Response:
    return _edit_each(response, lambda raw: edit_event(raw, pointers, change))


def _add_to_counts(value: Json, add: int) -> Json:
    """Add to all integers in a value. None becomes negative, which no protocol allows."""
    if isinstance(value, dict):
        return {key: _add_to_counts(item, add) for key, item in value.items()}
    if isinstance(value, list):
        return [_add_to_counts(item, add) for item in value]
    return max(0, value + add) if isinstance(value, int) and not isinstance(value, bool) else value


def _split_character(raw: bytes) -> tuple[bytes, ...]:
    """Split after the first byte of the first multi-byte character."""
    lead = next((place for place, byte in enumerate(raw) if byte >= 0xC0), None)
    return (raw,) if lead is None else (raw[: lead + 1], raw[lead + 1 :])
