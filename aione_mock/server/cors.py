"""Let pages of other origins use the gateway from a browser, but never the control API.

Sources: Fetch Standard, "CORS protocol"; Private Network Access, "CORS preflight".
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from aione_mock.contract import Contract
from aione_mock.settings import ANY_ORIGIN, LOOPBACK_ORIGINS, NO_ORIGIN
from aione_mock.structs import replace
from aione_mock.types import HeaderBlock, Response

if TYPE_CHECKING:
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import Response as StarletteResponse

    from aione_mock.server.request import Request

_LOOPBACK = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_PREFIX = "access-control-"


class CrossOriginPolicy:
    """Decides which pages may read the answers of the gateway. Requests without `Origin` never get here."""

    def __init__(self, origins: Collection[str], contract: Contract) -> None:
        self._origins, self._contract, self._enabled = origins, contract, NO_ORIGIN not in origins

    def answer_preflight(self, request: Request) -> StarletteResponse | None:
        """Return the answer to a preflight; None for other requests and for paths that no page may use."""
        fields = request.fields
        if not self._enabled or b"origin" not in fields or b"access-control-request-method" not in fields:
            return None
        if self._contract.find_protocol(request.path) == "control":
            return None
        from starlette.datastructures import Headers

        return self._rules.preflight_response(Headers(raw=list(request.headers)))

    def add_headers(self, response: Response, origin: str, protocol: str) -> Response:
        """Return a response with the headers that let the page of an allowed origin read it."""
        if not self._enabled or protocol == "control" or not response.status:
            return response
        # a recorded answer may allow the origin that it was recorded from
        headers = [(name, value) for name, value in response.headers if not name.lower().startswith(_PREFIX)]
        added = [("vary", "origin")]
        if self._rules.is_allowed_origin(origin):
            exposed = dict.fromkeys([*self._declared_headers, *[name.lower() for name, _ in headers]])
            allowed = ANY_ORIGIN if self._rules.allow_all_origins else origin
            added += [(f"{_PREFIX}allow-origin", allowed), (f"{_PREFIX}expose-headers", ", ".join(exposed))]
        changed = replace(response, headers=HeaderBlock.of([*headers, *added]))
        return _write_into_head(changed, added) if response.raw else changed

    @cached_property
    def _rules(self) -> CORSMiddleware:
        from starlette.middleware.cors import CORSMiddleware
        from starlette.responses import PlainTextResponse

        return CORSMiddleware(
            PlainTextResponse(),  # nothing is ever passed on
            allow_origins=self._origins,
            allow_origin_regex=_LOOPBACK if LOOPBACK_ORIGINS in self._origins else None,
            allow_methods="*",
            allow_headers="*",
            allow_private_network=True,
        )

    @cached_property
    def _declared_headers(self) -> list[str]:
        """The names of all response headers that the contract declares for the gateway."""
        operations = [each for each in self._contract.operations.values() if each.protocol != "control"]
        responses = [response for operation in operations for response in operation.responses.values()]
        return sorted({name.lower() for response in responses for name in response.get("headers", ())})


def _write_into_head(response: Response, headers: list[tuple[str, str]]) -> Response:
    """Add headers to a response whose first send holds the status line."""
    (due, first), *rest = response.sends
    lines = HeaderBlock.of(headers).text.encode("latin-1")
    status, end, others = first.partition(b"\r\n")
    return replace(response, sends=((due, status + end + lines + end + others), *rest))
