"""Damage to event streams: pure functions from a Response to a Response.

Each send of an undamaged stream is one event. A function looks at the sends as it finds them, so faults compose in
the order given: after `one_packet` there is one send. A send without bytes only waits for its time.
"""

from __future__ import annotations

from collections.abc import Callable

from aione_mock.scenarios.events import DROP, Change, altered, data_of, has
from aione_mock.scenarios.options import Options
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
APART = 0.001
"""Seconds between packets: the kernel joins small ones that follow at once."""


@frozen
class Scene:
    """What a fault may need to know about the call it damages."""

    seed: Seed
    error_event: Callable[[str], bytes] | None = None
    """An error of the contract, by name, as one event of the protocol spoken."""


def cut(transmission: Response, options: Options, scene: Scene) -> Response:
    """The connection drops after n events, or in the middle of the next."""
    sends, after = transmission.sends, options["after"]
    kept = sends[:after] or _head(sends)
    if options["mid"] and after < len(sends):
        due, raw = sends[after]
        kept = (*kept, (due, raw[: max(1, len(raw) // 2)]))
    return replace(transmission, sends=kept, end="cut")


def stall(transmission: Response, options: Options, scene: Scene) -> Response:
    """A pause after n events; then the rest, a cut, or nothing ever."""
    sends, after, pause = transmission.sends, options["after"], options["seconds"]
    kept = sends[:after] or _head(sends)
    if options["then"] == "hang":
        return replace(transmission, sends=kept, end="hang")
    if options["then"] == "cut":
        due = kept[-1][0] if kept else 0.0
        return replace(transmission, sends=(*kept, (due + pause, b"")), end="cut")
    return replace(transmission, sends=kept + tuple((due + pause, raw) for due, raw in sends[after:]))


def drip(transmission: Response, options: Options, scene: Scene) -> Response:
    """A few bytes at a time, with a pause after each."""
    sends: list[tuple[float, bytes]] = []
    now = 0.0
    for due, raw in transmission.sends:
        for start in range(0, len(raw) or 1, options["size"]):
            now = max(now + (options["seconds"] if sends else 0.0), due)
            sends.append((now, raw[start : start + options["size"]]))
    return replace(transmission, sends=tuple(sends), apart=APART)


def malformed_json(transmission: Response, options: Options, scene: Scene) -> Response:
    """One event's (or the plain body's) JSON lacks its last byte."""
    place = _place(transmission.sends, options["at"])
    if place is None:
        return transmission
    due, raw = transmission.sends[place]
    text = raw.rstrip(b"\r\n")
    damaged = _put(transmission, place, (due, text[:-1] + raw[len(text) :]))
    return replace(damaged, headers=shortened(damaged.headers, 1))


def error_event(transmission: Response, options: Options, scene: Scene) -> Response:
    """After n events comes an error, as the protocol spells it within a stream, and nothing more."""
    if scene.error_event is None:
        return transmission
    sends, after = transmission.sends, options["after"]
    due = sends[min(after, len(sends) - 1)][0] if sends else 0.0
    return replace(transmission, sends=(*sends[:after], (due, scene.error_event(options["error"]))))


def no_end(transmission: Response, options: Options, scene: Scene) -> Response:
    """The event that ends the stream does not come; the connection closes properly."""
    return replace(transmission, sends=tuple(send for send in transmission.sends if not _is_end(send[1])))


def no_finish(transmission: Response, options: Options, scene: Scene) -> Response:
    """No event says why the answer ended."""
    return _rewrite(transmission, FINISH, lambda pointer, value: DROP if pointer.endswith("finishReason") else None)


def double_finish(transmission: Response, options: Options, scene: Scene) -> Response:
    """The event that says why the answer ended comes twice."""
    return _insert(transmission, lambda raw: raw if has(raw, FINISH) else None)


def no_usage(transmission: Response, options: Options, scene: Scene) -> Response:
    """No event says how many tokens were used; an event that says nothing else does not come."""
    kept = tuple(send for send in transmission.sends if not _only_usage(send[1]))
    return _rewrite(replace(transmission, sends=kept), USAGE, lambda pointer, value: DROP)


def wrong_usage(transmission: Response, options: Options, scene: Scene) -> Response:
    """Every count of tokens is off by so many."""
    return _rewrite(transmission, USAGE, lambda pointer, value: _added(value, options["add"]))


def empty_choices(transmission: Response, options: Options, scene: Scene) -> Response:
    """One event has an empty list of choices (OpenAI) or candidates (Gemini)."""
    filled = [place for place, (_, raw) in enumerate(transmission.sends) if has(raw, LISTS)]
    if not filled:
        return transmission
    place = filled[min(options["at"], len(filled)) - 1]
    due, raw = transmission.sends[place]
    return _put(transmission, place, (due, altered(raw, LISTS, lambda pointer, value: [])))


def duplicate_event(transmission: Response, options: Options, scene: Scene) -> Response:
    """One event comes twice."""
    place = _place(transmission.sends, options["at"])
    if place is None:
        return transmission
    send = transmission.sends[place]
    return _put(transmission, place, send, send)


def reorder_events(transmission: Response, options: Options, scene: Scene) -> Response:
    """One event and the one after it change places."""
    sends = transmission.sends
    place = _place(sends[:-1], options["at"])
    if place is None:
        return transmission
    (due, first), (later, second) = sends[place], sends[place + 1]
    return replace(transmission, sends=(*sends[:place], (due, second), (later, first), *sends[place + 2 :]))


def changed_id(transmission: Response, options: Options, scene: Scene) -> Response:
    """From one event on, the answer's id is another."""
    having = [place for place, (_, raw) in enumerate(transmission.sends) if has(raw, IDENTITY)]
    if not having:
        return transmission
    start = having[min(options["at"], len(having)) - 1]
    tail = _rewrite(
        replace(transmission, sends=transmission.sends[start:]), IDENTITY, lambda pointer, value: f"{value}-other"
    )
    return replace(transmission, sends=transmission.sends[:start] + tail.sends)


def comments(transmission: Response, options: Options, scene: Scene) -> Response:
    """Comment lines, as proxies send to keep a connection alive, before every nth event."""
    sends: list[tuple[float, bytes]] = []
    for position, (due, raw) in enumerate(transmission.sends):
        if position % options["every"] == 0:
            sends.append((due, b": keep-alive\n\n"))
        sends.append((due, raw))
    return replace(transmission, sends=tuple(sends))


def crlf(transmission: Response, options: Options, scene: Scene) -> Response:
    """Lines end as on Windows."""
    return _each(transmission, lambda raw: raw.replace(b"\n", b"\r\n"))


def cr(transmission: Response, options: Options, scene: Scene) -> Response:
    """Lines end with a carriage return alone."""
    return _each(transmission, lambda raw: raw.replace(b"\n", b"\r"))


def bom(transmission: Response, options: Options, scene: Scene) -> Response:
    """A byte order mark stands before everything."""
    if not transmission.sends:
        return transmission
    return _put(transmission, 0, (transmission.sends[0][0], b"\xef\xbb\xbf" + transmission.sends[0][1]))


def one_packet(transmission: Response, options: Options, scene: Scene) -> Response:
    """Everything comes at once, at the end."""
    if not transmission.sends:
        return transmission
    whole = b"".join([raw for _, raw in transmission.sends])
    return replace(transmission, sends=((transmission.sends[-1][0], whole),), apart=None)


def packet_each(transmission: Response, options: Options, scene: Scene) -> Response:
    """Each event is a packet."""
    return replace(transmission, apart=APART)


def split_events(transmission: Response, options: Options, scene: Scene) -> Response:
    """Each event is spread over packets of a few bytes."""
    size = options["size"]
    sends = [
        (due, raw[start : start + size]) for due, raw in transmission.sends for start in range(0, len(raw) or 1, size)
    ]
    return replace(transmission, sends=tuple(sends), apart=APART)


def split_utf8(transmission: Response, options: Options, scene: Scene) -> Response:
    """The first character of several bytes in each event is spread over two packets."""
    sends = [(due, part) for due, raw in transmission.sends for part in _in_character(raw)]
    return replace(transmission, sends=tuple(sends), apart=APART)


def big_event(transmission: Response, options: Options, scene: Scene) -> Response:
    """One event is blown up by blanks within its JSON, which mean nothing."""
    place = _place(transmission.sends, options["at"])
    if place is None:
        return transmission
    due, raw = transmission.sends[place]
    head, brace, rest = raw.partition(b"{")
    return _put(transmission, place, (due, head + brace + b" " * max(0, options["size"] - len(raw)) + rest))


def shortened(headers: Headers, by: int) -> Headers:
    """Headers whose `content-length`, if there is one, keeps step with a body that has lost so many bytes."""
    return tuple((name, str(int(value) - by) if name == "content-length" else value) for name, value in headers)


def _head(sends: Sends) -> Sends:
    """Status line and headers alone, when the first event would have come."""
    return ((sends[0][0], b""),) if sends else ()


def _is_end(raw: bytes) -> bool:
    data = data_of(raw)
    return data in END if isinstance(data, str) else isinstance(data, dict) and data.get("type") in END


def _only_usage(raw: bytes) -> bool:
    """OpenAI's last chunk, which has usage and no choices."""
    data = data_of(raw)
    return isinstance(data, dict) and data.get("choices") == [] and data.get("usage") is not None


def _place(sends: Sends, at: int) -> int | None:
    """Where the `at`th send with JSON stands, the last such if there are fewer, None if there is none."""
    places = [place for place, (_, raw) in enumerate(sends) if b"{" in raw]
    return places[min(at, len(places)) - 1] if places else None


def _put(transmission: Response, place: int, *instead: tuple[float, bytes]) -> Response:
    sends = transmission.sends
    return replace(transmission, sends=(*sends[:place], *instead, *sends[place + 1 :]))


def _each(transmission: Response, change: Callable[[bytes], bytes]) -> Response:
    return replace(transmission, sends=tuple((due, change(raw)) for due, raw in transmission.sends))


def _insert(transmission: Response, after: Callable[[bytes], bytes | None]) -> Response:
    sends: list[tuple[float, bytes]] = []
    for due, raw in transmission.sends:
        sends.append((due, raw))
        if (more := after(raw)) is not None:
            sends.append((due, more))
    return replace(transmission, sends=tuple(sends))


def _rewrite(transmission: Response, pointers: tuple[str, ...], change: Change) -> Response:
    return _each(transmission, lambda raw: altered(raw, pointers, change))


def _added(value: Json, add: int) -> Json:
    """All whole numbers in a value, raised; never below 0, which no protocol allows."""
    if isinstance(value, dict):
        return {key: _added(item, add) for key, item in value.items()}
    if isinstance(value, list):
        return [_added(item, add) for item in value]
    return max(0, value + add) if isinstance(value, int) and not isinstance(value, bool) else value


def _in_character(raw: bytes) -> tuple[bytes, ...]:
    """Cut behind the first byte of the first character that has several."""
    lead = next((place for place, byte in enumerate(raw) if byte >= 0xC0), None)
    return (raw,) if lead is None else (raw[: lead + 1], raw[lead + 1 :])
