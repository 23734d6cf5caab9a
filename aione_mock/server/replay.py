"""Answer requests with recorded responses.

Requests are the same if operation, path parameters, query and JSON body are; headers and credentials do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

import orjson

from aione_mock import protocols
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.recorder.cassette import HEADER_CONTROLS, Interaction, RecordedRequest, load_cassette
from aione_mock.recorder.contract_check import find_operation
from aione_mock.recorder.json_style import read_json_or_text
from aione_mock.recorder.redaction import Redactor, unify_masks
from aione_mock.store import MemoryStore
from aione_mock.structs import frozen
from aione_mock.text.credentials import MASK
from aione_mock.types import Call, EventStream, Json, Replayed, ReplayedStream, Response

ReplayTiming = Literal["recorded", "none", "scale"]
_MAX_DIFFERENCES = 3
"""Differences to the nearest recording that are listed."""
_MAX_VALUE_CHARS = 60
_BODILESS = (204, 304)


@frozen
class RequestFingerprint:
    """The parts of a request that decide whether it is the same as another."""

    operation: str
    values: Mapping[str, Json]
    """JSON values by path, such as `body.messages[0].content`."""
    key: str
    """Equal for requests that are the same."""


class Replay:
    """Answer from a cassette. It holds no state: the session's store counts how often a request came."""

    def __init__(
        self,
        path: Path,
        contract: Contract,
        *,
        only: bool = False,
        timing: ReplayTiming = "none",
        cycle: bool = False,
        scale: float = 1.0,
    ) -> None:
        """With `only`, a request without a recording is a 404; with `cycle`, the first recording follows the last.

        Raises ConfigError if the cassette cannot be read.
        """
        self.cassette, self.only, self.cycle = load_cassette(path), only, cycle
        self._contract, self._timing, self._scale = contract, timing, scale
        self._redactor = Redactor(contract, contents=self.cassette.redacted)
        recorded = self.cassette.interactions
        self._fingerprints = [self._make_fingerprint(interaction.request) for interaction in recorded]
        self._interactions: dict[str, list[Interaction]] = {}
        for fingerprint, interaction in zip(self._fingerprints, recorded, strict=True):
            if fingerprint is not None:
                self._interactions.setdefault(fingerprint.key, []).append(interaction)

    async def answer(self, call: Call, store: MemoryStore) -> Replayed | ReplayedStream | None:
        """Return the next recorded response; None if there is none, or if the request asks for a scenario.

        Raises APIError `not_found` instead of returning None if only the cassette may answer.
        """
        if call.operation.protocol == "control" or call.header("x-mock-scenario") is not None:
            return None
        fingerprint = self._make_fingerprint_of_call(call)
        found = self._interactions.get(fingerprint.key)
        if found is None:
            if self.only:
                raise APIError("not_found", self._explain_miss(fingerprint))
            return None
        count = await store.increment(f"replay/{fingerprint.key}")
        return self._make_reply(found[(count - 1) % len(found) if self.cycle else min(count, len(found)) - 1])

    def _make_reply(self, interaction: Interaction) -> Replayed | ReplayedStream:
        response = interaction.response
        # what a gateway sent may not be sent by a server, as in `record`
        headers = tuple([(name, HEADER_CONTROLS.sub(" ", value)) for name, value in response.headers])
        if response.end == "finish" and interaction.request.method != "HEAD":
            # the recorded body may have been decompressed
            length = str(len(response.content))
            headers = tuple([(name, length if name == "content-length" else value) for name, value in headers])
        events = response.events
        if response.status in _BODILESS:
            sends: tuple[tuple[float, bytes], ...] = ()
        elif events is None:
            sends = ((self._get_due(interaction.timing.total), response.body),)
        else:
            sends = tuple([(self._get_due(event.at), event.raw) for event in events])
        sent = Response(response.status, headers, sends, response.end)
        if events is None:
            return Replayed(status=response.status, headers=headers, response=sent)
        stream = EventStream.of([event.raw for event in events])
        return ReplayedStream(stream, status=response.status, headers=headers, response=sent)

    def _get_due(self, at: float) -> float:
        if self._timing == "none":
            return 0.0
        return at / self._scale if self._timing == "scale" else at

    def _make_fingerprint_of_call(self, call: Call) -> RequestFingerprint:
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in call.headers])
        # the caller's own credential is masked everywhere, as it was in the recording
        redactor = self._redactor.copy_without_credentials()
        redactor.learn_credentials(headers, call.query)
        request = RecordedRequest(
            operation=call.operation.id, method=call.method, path=call.path, query=call.query, body=call.body
        )
        fingerprint = self._make_fingerprint(redactor.redact_request(request))
        assert fingerprint is not None
        return fingerprint

    def _make_fingerprint(self, request: RecordedRequest) -> RequestFingerprint | None:
        operation, params = find_operation(self._contract, request.method, request.path)
        if operation is None:
            return None
        query = {name: value for name, value in sorted(parse_qsl(request.query, True)) if value != MASK}
        parts = {"path": dict(params), "query": query}
        try:
            body = _normalize_body(request.body, operation)
            raw = orjson.dumps({**parts, "body": body}, option=orjson.OPT_SORT_KEYS)
        except (TypeError, RecursionError):
            # nested too deeply to be normalized
            raw = orjson.dumps({**parts, "body": request.body.decode("utf-8", "replace")}, option=orjson.OPT_SORT_KEYS)
        raw = unify_masks(raw)
        key = blake2b(operation.id.encode() + b" " + raw, digest_size=16).hexdigest()
        return RequestFingerprint(operation.id, dict(_list_members(orjson.loads(raw), "")), key)

    def _explain_miss(self, fingerprint: RequestFingerprint) -> str:
        """Return why no recording answers, and which is the nearest."""
        name = self.cassette.path.name
        recorded = [(number, each) for number, each in enumerate(self._fingerprints, start=1) if each is not None]
        same = [(number, each) for number, each in recorded if each.operation == fingerprint.operation]
        if not same:
            others = ", ".join(sorted({each.operation for _, each in recorded})) or "nothing"
            return f"No recording of {fingerprint.operation} in '{name}', which holds {others}."
        number, nearest = min(same, key=lambda pair: len(_list_differences(fingerprint, pair[1])))
        paths = _list_differences(fingerprint, nearest)
        listed = "; ".join([_describe_difference(fingerprint, nearest, path) for path in paths[:_MAX_DIFFERENCES]])
        more = f"; and {len(paths) - _MAX_DIFFERENCES} more" if len(paths) > _MAX_DIFFERENCES else ""
        return f"No recording in '{name}' matches this request. The nearest is number {number}: {listed}{more}."


def _normalize_body(raw: bytes, operation: Operation) -> Json:
    """Return a body without what makes no difference."""
    body = read_json_or_text(raw)
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    if normalize and body is not None:
        body = normalize(body, operation)
    if isinstance(body, dict):
        # absent, null and false mean the same here, and releases of SDKs differ in which they send
        body = {n: v for n, v in body.items() if v is not None and (n, v) != ("stream", False)}
    return body


def _list_members(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _list_members(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _list_members(item, f"{path}[{number}]")
    else:
        yield path, value


def _list_differences(request: RequestFingerprint, recorded: RequestFingerprint) -> list[str]:
    """Return the paths at which two requests differ."""
    paths = {**recorded.values, **request.values}
    return [path for path in paths if _format_value(request, path) != _format_value(recorded, path)]


def _format_value(fingerprint: RequestFingerprint, path: str) -> str:
    return orjson.dumps(fingerprint.values[path]).decode() if path in fingerprint.values else "absent"


def _describe_difference(request: RequestFingerprint, recorded: RequestFingerprint, path: str) -> str:
    # of long texts the part around the first difference is shown
    here, there = _format_value(request, path), _format_value(recorded, path)
    same = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    start = max(0, same - _MAX_VALUE_CHARS // 3) if max(len(here), len(there)) > _MAX_VALUE_CHARS else 0
    return f"{path} is {_cut_text(there, start)} in the recording and {_cut_text(here, start)} in the request"


def _cut_text(text: str, start: int) -> str:
    end = start + _MAX_VALUE_CHARS
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
