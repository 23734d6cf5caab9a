"""A server that is wrong on purpose: the mock behind a layer that changes requests and answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.protocols import acs3_signature
from aione_mock.seed import Seed
from aione_mock.structs import replace

KEY = "sk-nex-demo-every-model"
TOKEN = "nex-console-tech"
OTHER = "nex-console-other"
ACCESS = ("aione-mock-access-key", "aione-mock-access-secret")


@dataclass(frozen=True)
class Asked:
    """A request on its way in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


@dataclass(frozen=True)
class Answered:
    """An answer on its way out."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def saying(self, value: Any, status: int | None = None) -> Answered:
        return replace(self, body=orjson.dumps(value), status=status or self.status)


In = Callable[[Asked], Asked]
Out = Callable[[Asked, Answered], Answered]


@dataclass
class Change:
    """What is wrong: with requests, with answers, or both."""

    inwards: In = field(default=lambda asked: asked)
    outwards: Out = field(default=lambda asked, answered: answered)


class Layer:
    """An ASGI application around another one; `change` may be replaced while it runs."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.change = Change()
        self.seen: list[Asked] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        asked = Asked(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)
        self.seen.append(asked)
        inner = self.change.inwards(asked)
        answered = self.change.outwards(asked, await self._answer(scope, inner))
        out = {name: value for name, value in answered.headers.items() if name != "content-length"}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in out.items()]
        await send({"type": "http.response.start", "status": answered.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answered.body})

    async def _answer(self, scope: Any, asked: Asked) -> Answered:
        parts: list[bytes] = []
        head: dict[str, Any] = {}

        async def receive() -> Any:
            return {"type": "http.request", "body": asked.body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                parts.append(message.get("body", b""))

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in asked.headers.items()]
        inner = {
            **scope,
            "method": asked.method,
            "path": asked.path,
            "raw_path": asked.path.encode("latin-1"),
            "query_string": asked.query.encode("latin-1"),
            "headers": raw,
        }
        await self.app(inner, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
        return Answered(head["status"], headers, b"".join(parts))


# Ways to be wrong


def edits(path: str, edit: Callable[[Any], Any], *, method: str | None = None, status: int | None = None) -> Change:
    """Change the JSON of answers on paths that match; `edit` changes it in place or gives another value."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        fits = re.search(path, asked.path) and method in (None, asked.method)
        if not fits or (answered.status != status if status else not 200 <= answered.status < 300):
            return answered
        value = answered.json
        if value is None:
            return answered
        changed = edit(value)
        return answered.saying(value if changed is None else changed)

    return Change(outwards=outwards)


def answers(path: str, status: int, value: Any = None, *, when: Callable[[Asked], bool] = lambda asked: True) -> Change:
    """Answer requests on paths that match with a status of one's own."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        if not re.search(path, asked.path) or not when(asked):
            return answered
        return answered.saying(value if value is not None else answered.json or {}, status)

    return Change(outwards=outwards)


def restatus(old: int, new: int, path: str = "") -> Change:
    """Answer with another status what would have had `old`."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        return replace(answered, status=new) if answered.status == old and re.search(path, asked.path) else answered

    return Change(outwards=outwards)


def headers(**changed: str | None) -> Change:
    """Set, or with None drop, headers of answers that have them."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        names = {name.replace("_", "-"): value for name, value in changed.items()}
        kept = {name: names.get(name, value) for name, value in answered.headers.items()}
        return replace(answered, headers={name: value for name, value in kept.items() if value is not None})

    return Change(outwards=outwards)


def without(path: str, *parameters: str) -> Change:
    """Take no notice of query parameters."""

    def inwards(asked: Asked) -> Asked:
        if not re.search(path, asked.path):
            return asked
        pairs = [(name, value) for name, value in parse_qsl(asked.query, True) if name not in parameters]
        return resigned(replace(asked, query=urlencode(pairs)))

    return Change(inwards=inwards)


def members(path: str, edit: Callable[[dict[str, Any]], None]) -> Change:
    """Change the JSON of requests."""

    def inwards(asked: Asked) -> Asked:
        value = asked.json
        if not re.search(path, asked.path) or not isinstance(value, dict):
            return asked
        edit(value)
        return replace(asked, body=orjson.dumps(value))

    return Change(inwards=inwards)


def lines(edit: Callable[[str], str], path: str = "") -> Change:
    """Change the text of event streams."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        if "event-stream" not in answered.headers.get("content-type", "") or not re.search(path, asked.path):
            return answered
        return replace(answered, body=edit(answered.body.decode()).encode())

    return Change(outwards=outwards)


def anyone() -> Change:
    """Let everybody in as the one who has all rights."""

    def inwards(asked: Asked) -> Asked:
        if "/modelRouter/" in asked.path:
            return resigned(asked)
        good = TOKEN if asked.path.startswith("/api/") else KEY
        kept = {name: value for name, value in asked.headers.items() if name not in ("x-api-key", "x-goog-api-key")}
        query = "&".join(part for part in asked.query.split("&") if not part.startswith("key=sk"))
        return replace(asked, headers={**kept, "authorization": f"Bearer {good}"}, query=query)

    return Change(inwards=inwards)


_NONCES = [Seed.of("nonces of the tests")]


def resigned(asked: Asked) -> Asked:
    """A ModelRouter request signed anew, as it now stands."""
    if "/modelRouter/" not in asked.path:
        return asked
    _NONCES.append(_NONCES.pop().child("next"))
    kept = {name: value for name, value in asked.headers.items() if not name.startswith(("x-acs-", "authorization"))}
    action = {"charts": "Charts", "metrics": "Metrics", "logs": "Logs"}[asked.path.rpartition("/")[2]]
    fresh = {
        **kept,
        "x-acs-action": f"ModelRouterQueryObservation{action}",
        "x-acs-version": "20240611",
        "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
        "x-acs-signature-nonce": _NONCES[0].draw_token(32, "nonce"),
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    asked = replace(asked, body=b"")
    value = acs3_signature.sign_request("GET", asked.path, asked.query, list(fresh.items()), b"", *ACCESS)
    return replace(asked, headers={**fresh, "authorization": value})


def one_organisation() -> Change:
    """Take the other organisation's token for the first one's."""

    def inwards(asked: Asked) -> Asked:
        if OTHER not in asked.headers.get("authorization", ""):
            return asked
        return replace(asked, headers={**asked.headers, "authorization": f"Bearer {TOKEN}"})

    return Change(inwards=inwards)


def fails(when: Callable[[Asked], bool]) -> Change:
    """Answer 500 to some requests."""

    def outwards(asked: Asked, answered: Answered) -> Answered:
        return (
            answered.saying({"error": {"message": "x", "type": "api_error", "code": "internal_error"}}, 500)
            if when(asked)
            else answered
        )

    return Change(outwards=outwards)
