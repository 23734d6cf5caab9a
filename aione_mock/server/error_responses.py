"""How a refusal becomes an answer: the contract's example of that name, in the envelope of the protocol called."""

from __future__ import annotations

import logging

import orjson

from aione_mock import protocols, sse
from aione_mock.contract import Contract, ErrorSpec, Operation
from aione_mock.errors import APIError
from aione_mock.types import Json, Reply

_DEFAULT_HEADERS = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}
"""For refusals that are made to happen and so have no reason of their own."""
_log = logging.getLogger("aione_mock")


class Refusals:
    """Spells refusals as the contract has them."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def reply(self, protocol: str, operation: Operation | None, failure: APIError, request_id: str) -> Reply:
        """A refusal in the protocol's envelope, under the status that the contract gives it."""
        spec = self._spec(protocol, operation, failure.name)
        headers = dict(failure.headers)
        for name in spec.headers:
            if name in _DEFAULT_HEADERS:
                headers.setdefault(name, _DEFAULT_HEADERS[name])
        return Reply(_body(spec, failure, request_id), spec.status, tuple(headers.items()))

    def event(self, protocol: str, name: str, request_id: str) -> bytes:
        """An error after 200, as the protocol spells it within a stream."""
        spec = self._contract.error(protocol, name)
        assert spec is not None
        body = orjson.dumps(_body(spec, APIError(name, ""), request_id))
        return sse.encode(body, b"error" if protocol == "anthropic" else None)

    def _spec(self, protocol: str, operation: Operation | None, name: str) -> ErrorSpec:
        own = protocols.SYNONYMS.get(protocol, {})
        name = own.get(name, name)
        declared = operation.errors.get(name) if operation else None
        found = declared or self._contract.error(protocol, name)
        if found is None:
            _log.error("the contract has no error '%s' for %s", name, protocol)
            found = self._contract.error(protocol, own.get("internal_error", "internal_error"))
        assert found is not None
        return found


def _body(spec: ErrorSpec, failure: APIError, request_id: str) -> Json:
    """The contract's example, with the message of what happened if there is one."""
    if failure.message:
        return protocols.ERROR[spec.protocol](spec, failure, request_id)
    own = {name: request_id for name in ("request_id", "requestId") if name in spec.body}
    return {**spec.body, **own}
