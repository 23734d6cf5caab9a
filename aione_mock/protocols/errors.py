"""Render errors: the contract's example of that name, in the protocol's envelope."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import count

import orjson

from aione_mock import protocols
from aione_mock.asgi import split_session
from aione_mock.contract import Contract, ErrorSpec, Operation
from aione_mock.errors import APIError
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.text import sse
from aione_mock.types import Headers, Json, Reply

DEFAULT_HEADERS = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}
"""Header values for errors without a cause of their own, such as those that a scenario injects."""
_REFUSALS = Seed.of("refused request")
_log = logging.getLogger("aione_mock")


class ErrorRenderer:
    """Render errors with the status, headers and body that the contract declares."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._refused = count()

    def render(self, protocol: str, operation: Operation | None, error: APIError, request_id: str) -> Reply:
        """Return an error response. An error that the protocol lacks is rendered as its internal error."""
        spec = self.find(protocol, operation, error.name)
        if spec is None:
            _log.error("the contract has no error '%s' for %s", error.name, protocol)
            spec = self.find(protocol, None, "internal_error")
            assert spec is not None
        defaults = {name: DEFAULT_HEADERS[name] for name in spec.headers if name in DEFAULT_HEADERS}
        headers = {**error.headers, **defaults, **error.headers}
        return Reply(_render_body(spec, error, request_id), spec.status, tuple(headers.items()))

    def render_event(self, protocol: str, name: str, request_id: str) -> bytes:
        """Return an error as an event of a stream that has already begun."""
        spec = self._contract.find_error(protocol, name)
        assert spec is not None
        body = orjson.dumps(_render_body(spec, APIError(name, ""), request_id))
        return sse.encode(body, b"error" if protocol == "anthropic" else None)

    def render_refusal(self, path: str, status: int, message: str) -> tuple[Headers, bytes]:
        """Return headers and body for a request that HTTP refuses before any operation sees it.

        No operation declares such an answer: its body is that of an invalid request, in the envelope of its path.
        """
        protocol = self._contract.find_protocol(split_session(path)[1])
        spec = self.find(protocol, None, "invalid_request")
        assert spec is not None
        make_id, raw = protocols.REQUEST_IDS.get(protocol), _REFUSALS.digest(next(self._refused))
        request_id = make_id(raw) if make_id else f"req_{raw[:12].hex()}"
        body = orjson.dumps(_render_body(replace(spec, status=status), APIError(spec.name, message), request_id))
        names = protocols.REQUEST_ID_HEADERS.get(protocol, protocols.REQUEST_ID_HEADERS["openai"])
        return (("content-type", "application/json"), *[(name, request_id) for name in names]), body

    def find(self, protocol: str, operation: Operation | None, name: str) -> ErrorSpec | None:
        """Return an error as the operation, or else its protocol, declares it."""
        name = translate_error_name(protocol, name)
        declared = operation.errors.get(name) if operation else None
        return declared or self._contract.find_error(protocol, name)


def translate_error_name(protocol: str, name: str) -> str:
    """Return the name that a protocol's documentation gives to an error."""
    return protocols.ERROR_NAMES.get(protocol, {}).get(name, name)


def _render_body(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    if error.message:
        return protocols.ERROR_RENDERERS[spec.protocol](spec, error, request_id)
    # without a message the contract's example stands as it is
    return set_request_id(spec.body, request_id)


def set_request_id(body: Mapping[str, Json], request_id: str) -> Json:
    """Return the body of an error with the id of its request where the protocol has one."""
    return {**body, **{name: request_id for name in ("request_id", "requestId") if name in body}}
