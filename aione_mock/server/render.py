"""Render replies as status, headers and bytes, with the pace and the faults of a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from aione_mock import protocols
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.seed import Seed
from aione_mock.server import rate_limits
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.types import (
    HeaderBlock,
    Headers,
    LiveReply,
    Replayed,
    ReplayedStream,
    Reply,
    Response,
    StreamReply,
    clean_header_value,
)

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange

_ID_LINES = {
    name: "".join([f"\r\n{header}: %s" for header in headers])
    for name, headers in protocols.REQUEST_ID_HEADERS.items()
    if headers != ("x-request-id",)
}
"""Protocol to the header lines that carry the id of the request, where it has others than the usual one."""
_EXPLANATION_CHARS = 1000
"""Characters of one header that explains the answer."""


class Renderer:
    """Render the replies of one server."""

    def __init__(self, errors: ErrorRenderer, scenarios: ScenarioEngine, *, flush_interval: float | None) -> None:
        """`flush_interval`: seconds between writes of events, 0 for a write each, None for one write."""
        self._errors, self._scenarios, self._flush_interval = errors, scenarios, flush_interval

    def render(self, exchange: Exchange, reply: Reply | StreamReply) -> Response:
        """Return the response to send."""
        if isinstance(reply, (Replayed, ReplayedStream, LiveReply)):
            if isinstance(reply, LiveReply):
                return self._open_stream(exchange, reply)
            # a recorded answer may violate the contract or be incomplete
            exchange.damaged = True
            return reply.response
        if self._scenarios.sends_at_once(exchange.scenario, exchange.session):
            whole = self._flush_interval is None or not isinstance(reply, StreamReply)
            return self.serialize(exchange, reply, whole=whole)
        response = self.serialize(exchange, reply, whole=False)
        if exchange.call is None or exchange.protocol == "control":
            return response
        return self._apply_scenario(exchange, reply, response)

    def _open_stream(self, exchange: Exchange, reply: LiveReply) -> Response:
        head = f"content-type: text/event-stream\r\ncache-control: no-store\r\nx-request-id: {exchange.request_id}"
        return Response(200, HeaderBlock(head), (), live=reply.source)

    def _apply_scenario(self, exchange: Exchange, reply: Reply | StreamReply, response: Response) -> Response:
        call, session = exchange.call, exchange.session
        assert call is not None
        seed: Seed = session.seed.child("call", exchange.key, exchange.occurrence)

        def render_error_event(name: str) -> bytes:
            return self._errors.render_event(exchange.protocol, name, exchange.request_id)

        response, exchange.damaged = self._scenarios.apply(
            exchange.scenario, response, reply, call, session, seed, render_error_event
        )
        return response

    def serialize(self, exchange: Exchange, reply: Reply | StreamReply, *, whole: bool) -> Response:
        """Return the response without pace; the events of a stream are separate unless `whole`."""
        status, id_lines = reply.status, _ID_LINES.get(exchange.protocol)
        request_id = exchange.request_id
        spent = reply.usage.total if reply.usage is not None else 0
        head = f"\r\nx-request-id: {request_id}" if id_lines is None else id_lines.replace("%s", request_id)
        if reply.headers:
            head += "\r\n" + HeaderBlock.of(reply.headers).text
        if exchange.limits is not None and exchange.operation is not None and status in (200, 429):
            head += rate_limits.format_headers(exchange.limits, spent, exchange.operation, status)
        if b"x-mock-explain" in exchange.request.fields:
            head += "\r\n" + HeaderBlock.of(_explain(exchange, spent)).text
        if isinstance(reply, StreamReply):
            headers = HeaderBlock(f"content-type: {reply.media_type}\r\ncache-control: no-cache{head}")
            if whole:
                return Response(status, headers, ((0.0, reply.events.raw),), ordinary=True)
            events = tuple([(0.0, event) for event in reply.events])
            return Response(status, headers, events, apart=self._flush_interval)
        if status in (204, 304):
            return Response(status, HeaderBlock(head[2:]), ())
        body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        headers = HeaderBlock(f"content-type: {reply.media_type}\r\ncontent-length: {len(body)}{head}")
        # an error may set headers of the connection itself
        return Response(status, headers, ((0.0, body),), ordinary=whole and status < 400)


def _explain(exchange: Exchange, spent: int) -> Headers:
    """Return the rule, seed, occurrence and limit that made the answer, and the rule that came nearest."""
    session, scenario, limits = exchange.session, exchange.scenario, exchange.limits
    used = limits and (limits.totals[0], limits.most[0], limits.totals[1] + spent, limits.most[1])
    values = {
        "x-mock-session": session.name,
        "x-mock-seed": session.seed_text,
        "x-mock-occurrence": str(exchange.occurrence),
        "x-mock-rule": scenario.rule_id,
        "x-mock-played": scenario.label,
        "x-mock-limits": used and "rpm {}/{}, tpm {}/{}".format(*used),
        "x-mock-nearest": scenario.nearest and f"{scenario.nearest.rule_id}: {'; '.join(scenario.nearest.reasons)}",
    }
    return tuple((name, clean_header_value(value)[:_EXPLANATION_CHARS]) for name, value in values.items() if value)
