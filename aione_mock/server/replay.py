"""Recorded answers to requests that have been asked before.

Requests are the same when operation, path parameters, query and JSON body are, credentials and headers aside.
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
from aione_mock.recorder import cassette
from aione_mock.recorder.cassette import Asked, Cassette, Interaction
from aione_mock.recorder.contract_check import locate
from aione_mock.recorder.credentials import MASK
from aione_mock.recorder.redaction import Redactor, fold
from aione_mock.store import MemoryStore
from aione_mock.structs import frozen
from aione_mock.types import Call, EventStream, Json, Replayed, ReplayedStream, Response

Timing = Literal["recorded", "none", "scale"]
_DIFFERENCES = 3
"""Differences to the nearest recording that are told."""
_SHOWN = 60
"""Characters of a value that are shown."""
_BODILESS = (204, 304)


@frozen
class Question:
    """A request without what may differ: JSON values by their place, such as `body.messages[0].content`."""

    operation: str
    places: Mapping[str, Json]
    key: str
    """A digest; equal for requests that are the same."""


class Replay:
    """A cassette that answers. It holds no state: how often a request came is counted in the session's store."""

    def __init__(
        self,
        recorded: Cassette,
        contract: Contract,
        *,
        only: bool = False,
        timing: Timing = "recorded",
        cycle: bool = False,
        scale: float = 1.0,
    ) -> None:
        """`only`: a request that was never recorded is a 404; `cycle`: after the last recording comes the first."""
        self.cassette, self.only, self.cycle = recorded, only, cycle
        self._contract, self._timing, self._scale = contract, timing, scale
        self._redactor = Redactor(contract, contents=recorded.redacted)
        self._questions = [self._question(item.request) for item in recorded.interactions]
        self._answers: dict[str, list[Interaction]] = {}
        for question, item in zip(self._questions, recorded.interactions, strict=True):
            if question is not None:
                self._answers.setdefault(question.key, []).append(item)

    @classmethod
    def load(
        cls,
        path: Path,
        contract: Contract,
        *,
        only: bool = False,
        timing: Timing = "none",
        cycle: bool = False,
        scale: float = 1.0,
    ) -> Replay:
        """The cassette in a file. Raises ConfigError when it cannot be read."""
        return cls(cassette.load(path), contract, only=only, timing=timing, cycle=cycle, scale=scale)

    async def answer(self, call: Call, store: MemoryStore) -> Replayed | ReplayedStream | None:
        """The recorded answer whose turn it is; None when there is none, or a scenario was asked for.

        Raises APIError `not_found` in place of None if nothing but the cassette may answer.
        """
        if call.operation.protocol == "control" or call.header("x-mock-scenario") is not None:
            return None
        question = self._asked(call)
        found = self._answers.get(question.key)
        if found is None:
            if self.only:
                raise APIError("not_found", self._miss(question))
            return None
        count = await store.increment(f"replay/{question.key}")
        return self._played(found[(count - 1) % len(found) if self.cycle else min(count, len(found)) - 1])

    def _played(self, item: Interaction) -> Replayed | ReplayedStream:
        response = item.response
        if response.events is None:
            sends: tuple[tuple[float, bytes], ...] = ((self._due(item.total), response.body),)
        else:
            sends = tuple([(self._due(at), raw) for at, raw in response.events])
        length = str(len(response.body))
        whole = response.end == "finish" and item.request.method != "HEAD"
        headers = tuple([(n, length if n == "content-length" and whole else v) for n, v in response.headers])
        if response.status in _BODILESS:
            sends = ()
        sent = Response(response.status, headers, sends, response.end)
        if response.events is None:
            return Replayed(status=response.status, headers=headers, transmission=sent)
        events = EventStream.of([raw for _, raw in response.events])
        return ReplayedStream(events, status=response.status, headers=headers, transmission=sent)

    def _due(self, at: float) -> float:
        if self._timing == "none":
            return 0.0
        return at / self._scale if self._timing == "scale" else at

    def _asked(self, call: Call) -> Question:
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in call.headers])
        # the caller's own credential is masked wherever it stands, as it was when the recording was made
        redactor = self._redactor.fresh()
        redactor.learn(headers, call.query)
        asked = Asked(call.operation.id, call.method, call.path, call.query, (), call.body)
        question = self._question(redactor.request(asked))
        assert question is not None
        return question

    def _question(self, request: Asked) -> Question | None:
        operation, params = locate(self._contract, request.method, request.path)
        if operation is None:
            return None
        query = {name: value for name, value in sorted(parse_qsl(request.query, True)) if value != MASK}
        known = {"path": dict(params), "query": query}
        try:
            body = self._comparable(request.body, operation)
            raw = orjson.dumps({**known, "body": body}, option=orjson.OPT_SORT_KEYS)
        except (TypeError, RecursionError):
            # nested too deeply to be taken apart
            raw = orjson.dumps({**known, "body": request.body.decode("utf-8", "replace")}, option=orjson.OPT_SORT_KEYS)
        raw = fold(raw)
        key = blake2b(operation.id.encode() + b" " + raw, digest_size=16).hexdigest()
        return Question(operation.id, dict(_places(orjson.loads(raw), "")), key)

    def _comparable(self, raw: bytes, operation: Operation) -> Json:
        """A body without what makes no difference."""
        body = _json(raw)
        normalize = protocols.NORMALIZERS.get(operation.protocol)
        if normalize and body is not None:
            body = normalize(body, operation)
        if isinstance(body, dict):
            # absent, null and false mean the same here, and releases of SDKs differ in which they send
            body = {n: v for n, v in body.items() if v is not None and (n, v) != ("stream", False)}
        return body

    def _miss(self, asked: Question) -> str:
        """Why no recording answers, and which comes nearest."""
        name = self.cassette.path.name
        known = [(number, q) for number, q in enumerate(self._questions, start=1) if q is not None]
        same = [(number, question) for number, question in known if question.operation == asked.operation]
        if not same:
            others = ", ".join(sorted({question.operation for _, question in known})) or "nothing"
            return f"No recording of {asked.operation} in '{name}', which holds {others}."
        number, nearest = min(same, key=lambda pair: len(_differing(asked, pair[1])))
        differing = _differing(asked, nearest)
        told = "; ".join([_difference(asked, nearest, place) for place in differing[:_DIFFERENCES]])
        more = f"; and {len(differing) - _DIFFERENCES} more" if len(differing) > _DIFFERENCES else ""
        return f"No recording in '{name}' is of this request. The nearest is number {number}: {told}{more}."


def _json(raw: bytes) -> Json:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def _places(value: Json, place: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _places(item, f"{place}.{name}" if place else name)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _places(item, f"{place}[{number}]")
    else:
        yield place, value


def _differing(asked: Question, recorded: Question) -> list[str]:
    """The places at which two requests differ."""
    places = {**recorded.places, **asked.places}
    return [place for place in places if _at(asked, place) != _at(recorded, place)]


def _at(question: Question, place: str) -> str:
    return orjson.dumps(question.places[place]).decode() if place in question.places else "absent"


def _difference(asked: Question, recorded: Question, place: str) -> str:
    # what comes after the first difference is what tells two long texts apart
    here, there = _at(asked, place), _at(recorded, place)
    same = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    start = max(0, same - _SHOWN // 3) if max(len(here), len(there)) > _SHOWN else 0
    return f"{place} is {_excerpt(there, start)} there and {_excerpt(here, start)} here"


def _excerpt(text: str, start: int) -> str:
    cut = text[start : start + _SHOWN]
    return f"{'…' if start else ''}{cut}{'…' if start + _SHOWN < len(text) else ''}"
