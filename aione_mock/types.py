"""Values of a request: the call, the prompt, the completion and the response.

They do not depend on a protocol: `protocols` reads a `Prompt` from a `Call` and renders a `Completion`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, overload

import orjson

from aione_mock.structs import frozen

if TYPE_CHECKING:
    from aione_mock.contract import Operation

Json = Any
Headers = Sequence[tuple[str, str]]
"""Response headers: lower-case names, in the order in which they are sent."""
RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Request headers as they arrived: lower-case names, in the order of arrival."""
_BLANK_LINE = b"\n\n"
_UNFIT = re.compile(r"[\x00-\x20\x7f]+")
Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "malformed_call"]
"""`malformed_call`: the model has called a tool, but the arguments are no JSON."""


@frozen
class Caller:
    """The owner of the credential of a call."""

    org_id: str
    key_id: str | None = None
    """The API key's id; None for a console token or an access key."""
    team_id: str | None = None
    view: str = "tech"
    """`tech` or `business`: which dashboard the caller sees."""
    label: str = ""
    """A name fit for the journal, never the secret."""
    models_allowed: tuple[str, ...] | None = None
    """Ids and aliases that the key may call; None and empty mean all of the plan."""
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    """The key's own limits; None leaves the plan's."""
    may_write: bool = True
    """Whether a console token may change anything."""
    concurrency_limit: int | None = None
    balance_ticks: int | None = None
    """What the key may spend in a session, in 0.0001 RMB."""


@frozen
class Call:
    """One request, parsed once."""

    operation: Operation
    method: str
    path: str
    """The path as it came, percent-encoded."""
    query: str
    headers: RawHeaders
    body: bytes
    client: str
    """The caller's address."""
    request_id: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Path, query and header parameters of the contract, converted to their types; absent ones are absent."""
    data: Json = None
    """The JSON body, None without one."""
    caller: Caller | None = None
    script: Any = None
    """The scripted reply of a scenario (`Script`), used instead of the model's answer."""
    at: float = 0.0
    """When it was read, by its session's clock, in Unix seconds."""
    key: bytes = b""
    """A digest of method, path, query and body: equal for requests that are the same."""
    token: str = ""
    """Letters and digits unique to this call; ids in its answer contain them."""
    mount_path: str = ""
    """The path at which the mock is mounted in another application, percent-encoded."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its lower-case name."""
        return header(self.headers, name.encode())


def header(headers: RawHeaders, name: bytes) -> str | None:
    """Return the first value of a raw header, by its lower-case name."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


@frozen
class ImageInput:
    """An image in a prompt, decoded as far as its type and size."""

    mime: str
    width: int
    height: int
    digest: str
    """Hex hash of its bytes: two prompts with the same picture are the same."""


@frozen
class ToolCall:
    """A function that the model wants called."""

    id: str
    name: str
    arguments: str
    """JSON text of an object; any text in a choice that ends with `malformed_call`."""


@frozen
class ToolResult:
    """The result of a called function."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


@frozen
class Turn:
    """One message of the conversation."""

    role: Role
    text: str = ""
    images: tuple[ImageInput, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    cache: bool = False
    """Whether the client marked the end of this turn as a cache breakpoint (Anthropic)."""


@frozen
class Tool:
    """A function on offer; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Json]


@frozen
class Prompt:
    """What the model is asked, independent of a protocol."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or `=NAME` for one tool that must be called."""
    allowed_tools: tuple[str, ...] = ()
    """Names that `required` may pick from; empty means all."""
    parallel: bool = True
    """Whether several tools may be called at once."""
    format: Literal["text", "json", "schema"] = "text"
    schema: Mapping[str, Json] | None = None
    """The JSON Schema that the answer must satisfy, with format `schema`."""
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    n: int = 1
    seed: int | None = None
    reasoning: int = 0
    """Tokens the model may think for; 0 means not at all."""
    show_reasoning: bool = False
    """Whether the client asked to see the thinking."""
    aspect_ratio: str = "1:1"
    image_size: str = ""
    """`1K`, `2K` or `4K`; empty means the size that is usual for the model."""


@frozen
class Picture:
    """A generated image."""

    mime: str
    data: bytes
    width: int
    height: int


@frozen
class TokenText:
    """Text in tokens, each of them escaped for JSON.

    Answers are joined from parts whose tokens are counted and encoded ahead, so that no answer has to be split or
    escaped when it is rendered. `model.tokens.tokenize` makes one from a `str`.
    """

    encoded: tuple[bytes, ...] = ()
    """The tokens in order: UTF-8, escaped for JSON, without quotation marks."""

    @classmethod
    def of(cls, pieces: Iterable[str]) -> TokenText:
        """Escape the tokens of a text that is split already."""
        return cls(tuple([orjson.dumps(piece)[1:-1] for piece in pieces]))

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.encoded)

    def __bool__(self) -> bool:
        return bool(self.encoded)

    @property
    def json(self) -> bytes:
        """The whole text as a JSON string."""
        return b'"%b"' % b"".join(self.encoded)

    @property
    def text(self) -> str:
        """The whole text."""
        text: str = orjson.loads(self.json)
        return text

    @property
    def pieces(self) -> tuple[str, ...]:
        """The tokens as text."""
        return tuple([orjson.loads(b'"%b"' % piece) for piece in self.encoded])


NO_TEXT = TokenText()


@frozen
class Choice:
    """One alternative answer."""

    text: TokenText = NO_TEXT
    """The words of the answer; a stream sends one token an event."""
    reasoning: TokenText = NO_TEXT
    """The visible thinking."""
    tool_calls: tuple[ToolCall, ...] = ()
    pictures: tuple[Picture, ...] = ()
    finish: Finish = "stop"
    stop_sequence: str | None = None
    """The client's stop sequence that ended the text."""
    refused: bool = False
    """Whether the text declines to answer."""


@frozen
class Script:
    """Represent a scripted reply whose templates are filled in. The model supplies whatever is None or empty."""

    text: str | None = None
    chunks: tuple[str, ...] = ()
    """The text as a stream delivers it; joined, it is the text."""
    tool_calls: tuple[ToolCall, ...] = ()
    """A call whose id is empty gets one from the seed."""
    reasoning: str | None = None
    finish: Finish | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    body: Json = None
    """The whole body, for operations that call no model; only if `whole`."""
    whole: bool = False
    awkward: str | None = None
    """Name of the awkward answer that the model gives instead of its own; nothing else is set then."""


@frozen
class Usage:
    """Tokens of one call. `completion` includes `reasoning`; `prompt` includes `cached` and `cache_write`."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        """Prompt plus completion."""
        return self.prompt + self.completion


@frozen
class Completion:
    """The model's answer, independent of a protocol: complete first, streamed second."""

    id: str
    """Letters and digits; a protocol puts its own prefix before it."""
    created: int
    """Unix seconds."""
    model: str
    choices: tuple[Choice, ...]
    usage: Usage


@frozen
class Reply:
    """A plain answer: `body` is JSON to be encoded, or bytes to be sent as they are."""

    body: Json = None
    status: int = 200
    headers: Headers = ()
    media_type: str = "application/json"
    usage: Usage | None = None
    """Usage to record on the ledger; None records nothing."""
    model: str | None = None
    """The model that was called, for the ledger."""


class HeaderBlock(Sequence[tuple[str, str]]):
    """Response headers kept as the text that is sent, and cut apart only for those who look at them."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """`text`: a line each, `\\r\\n` between them."""
        self.text = text

    @classmethod
    def of(cls, headers: Headers) -> HeaderBlock:
        """Join headers that come as pairs."""
        return cls("\r\n".join(map(": ".join, headers)))

    def __len__(self) -> int:
        return self.text.count("\r\n") + 1 if self.text else 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for line in self.text.split("\r\n") if self.text else ():
            name, _, value = line.partition(": ")
            yield name, value

    @overload
    def __getitem__(self, place: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[tuple[str, str], ...]: ...
    def __getitem__(self, place: int | slice) -> tuple[str, str] | tuple[tuple[str, str], ...]:
        return tuple(self)[place]


class EventStream(Sequence[bytes]):
    """The encoded events of a stream in one bytes object, which is split only when events are read."""

    __slots__ = ("_ends", "raw")

    def __init__(self, raw: bytes, ends: tuple[int, ...] | None = None) -> None:
        """Hold encoded events. `ends` are the offsets after each event; without them a blank line ends an event."""
        self.raw, self._ends = raw, ends

    @classmethod
    def of(cls, events: Iterable[bytes]) -> EventStream:
        """Join encoded events."""
        parts = [*events]
        return cls(b"".join(parts), tuple(accumulate(map(len, parts))))

    def __len__(self) -> int:
        return self.raw.count(_BLANK_LINE) if self._ends is None else len(self._ends)

    def __iter__(self) -> Iterator[bytes]:
        if self._ends is None:
            self._ends = tuple(accumulate([len(event) + 2 for event in self.raw.split(_BLANK_LINE)[:-1]]))
        raw, start = self.raw, 0
        for end in self._ends:
            yield raw[start:end]
            start = end

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[bytes, ...]: ...
    def __getitem__(self, place: int | slice) -> bytes | tuple[bytes, ...]:
        return tuple(self)[place]


@frozen
class StreamReply:
    """A streamed answer: encoded events, each with the number of tokens it carries (for pacing)."""

    events: EventStream
    weights: tuple[int, ...] = ()
    """Tokens of each event, in step with `events`; empty means one each."""
    status: int = 200
    headers: Headers = ()
    media_type: str = "text/event-stream; charset=utf-8"
    usage: Usage | None = None
    model: str | None = None


@frozen
class Fault:
    """A fault to apply to the response: its name in the catalogue and its parameters."""

    name: str
    options: Mapping[str, Json] = field(default_factory=dict)


@frozen
class Response:
    """The bytes of a response and their due times, before or after faults are applied."""

    status: int
    headers: Headers
    sends: tuple[tuple[float, bytes], ...]
    """(seconds after the request was read, bytes): due times, ascending; equal times may be one packet."""
    end: Literal["finish", "cut", "hang"] = "finish"
    """Close properly, drop the connection, or keep it open and send nothing more."""
    raw: bool = False
    """Whether `sends` hold the status line and headers too, and so bypass the HTTP layer."""
    apart: float | None = None
    """Seconds between writes that must not share a packet; 0 is a write each, None joins what is due at once."""
    ordinary: bool = False
    """Whether it is due whole and at once, with a `HeaderBlock` of the mock's own that needs no check."""
    live: Callable[[], AsyncIterator[bytes]] | None = None
    """Makes what is sent while the connection lasts, in place of `sends`."""


@frozen
class LiveReply(Reply):
    """A stream of events that are not known yet."""

    source: Callable[[], AsyncIterator[bytes]] | None = None


_NOTHING_SENT = Response(200, (), ())


@frozen
class Replayed(Reply):
    """A recorded plain answer."""

    response: Response = _NOTHING_SENT


@frozen
class ReplayedStream(StreamReply):
    """A recorded stream."""

    response: Response = _NOTHING_SENT


def clean_header_value(text: str) -> str:
    """Return text as a header can carry it: one line, in Latin-1."""
    return _UNFIT.sub(" ", text).strip().encode("latin-1", "replace").decode("latin-1")
