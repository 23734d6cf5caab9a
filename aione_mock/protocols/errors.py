"""Render errors: the contract's example of that name, in the protocol's envelope."""

from __future__ import annotations

import logging

import orjson

from aione_mock import protocols, sse
from aione_mock.contract import Contract, ErrorSpec, Operation
from aione_mock.errors import APIError
from aione_mock.types import Json, Reply

_DEFAULT_HEADERS = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}
"""Header values for errors without a cause of their own, such as those that a scenario injects."""
_log = logging.getLogger("aione_mock")


class ErrorRenderer:
    """Render errors with the status, headers and body that the contract declares."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def render(self, protocol: str, operation: Operation | None, error: APIError, request_id: str) -> Reply:
        """Return an error response. An error that the protocol lacks is rendered as its internal error."""
        spec = self.find(protocol, operation, error.name)
        if spec is None:
            _log.error("the contract has no error '%s' for %s", error.name, protocol)
            spec = self.find(protocol, None, "internal_error")
            assert spec is not None
        defaults = {name: _DEFAULT_HEADERS[name] for name in spec.headers if name in _DEFAULT_HEADERS}
        headers = {**error.headers, **defaults, **error.headers}
        return Reply(_render_body(spec, error, request_id), spec.status, tuple(headers.items()))

    def render_event(self, protocol: str, name: str, request_id: str) -> bytes:
        """Return an error as an event of a stream that has already begun."""
        spec = self._contract.find_error(protocol, name)
        assert spec is not None
        body = orjson.dumps(_render_body(spec, APIError(name, ""), request_id))
        return sse.encode(body, b"error" if protocol == "anthropic" else None)

    def find(self, protocol: str, operation: Operation | None, name: str) -> ErrorSpec | None:
        """Return an error as the operation, or else its protocol, declares it."""
        name = protocol_name(protocol, name)
        declared = operation.errors.get(name) if operation else None
        return declared or self._contract.find_error(protocol, name)


def protocol_name(protocol: str, name: str) -> str:
    """Return the name that a protocol's documentation gives to an error."""
    return protocols.ERROR_NAMES.get(protocol, {}).get(name, name)


def _render_body(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    if error.message:
        return protocols.ERROR_RENDERERS[spec.protocol](spec, error, request_id)
    # without a message the contract's example stands as it is
    own = {name: request_id for name in ("request_id", "requestId") if name in spec.body}
    return {**spec.body, **own}
