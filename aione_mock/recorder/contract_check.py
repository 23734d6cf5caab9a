"""Check recorded exchanges against the contract. Findings quote nothing of their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from aione_mock import protocols
from aione_mock.contract import Contract, Operation, validation
from aione_mock.contract.answer_check import Answer, describe_violation, find_answer_problems
from aione_mock.recorder.cassette import Interaction, RecordedRequest, RecordedResponse

_MAX_FINDINGS = 5
"""Findings listed for a request or a response; the rest are counted."""


def find_operation(contract: Contract, method: str, path: str) -> tuple[Operation | None, Mapping[str, str]]:
    """Return the operation of a request, None if the contract has none, and its path parameters."""
    match = contract.match(path)
    return match.operations.get(method), match.params


def check_interaction(contract: Contract, interaction: Interaction) -> list[str]:
    """Return all findings in an exchange.

    A request that the server has rejected is not checked, nor an answer that is not the gateway's own.
    """
    rejected = 400 <= interaction.response.status < 500
    found = [] if rejected else check_request(contract, interaction.request)
    if interaction.response.from_proxy or (interaction.scenario is not None and interaction.scenario.answered):
        return found
    return found + check_response(contract, interaction.request, interaction.response)


def check_request(contract: Contract, request: RecordedRequest) -> list[str]:
    """Return how a request violates the contract."""
    operation, params = find_operation(contract, request.method, request.path)
    if operation is None:
        return [f"request: the contract has no {request.method} {request.path[:200]}"]
    return [f"request: {finding}" for finding in _limit_findings(_find_in_request(operation, params, request))]


def check_response(contract: Contract, request: RecordedRequest, response: RecordedResponse) -> list[str]:
    """Return how a response violates the contract."""
    operation, _ = find_operation(contract, request.method, request.path)
    if operation is None:
        return []
    return [f"answer: {finding}" for finding in _limit_findings(_find_in_response(operation, request, response))]


def _find_in_request(operation: Operation, params: Mapping[str, str], request: RecordedRequest) -> Iterator[str]:
    _, found = validation.parse_parameters(operation, params, request.query, request.find_header)
    yield from map(describe_violation, found)
    data, found = validation.parse_body(operation, request.find_header("content-type"), request.body)
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    if normalize and operation.body_validator and data is not None:
        found = validation.find_violations(operation.body_validator, normalize(data, operation))
    yield from map(describe_violation, found)


def _find_in_response(operation: Operation, request: RecordedRequest, response: RecordedResponse) -> Iterator[str]:
    answer = Answer(response.status, response.find_header, response.content, request.method, cut=response.end == "cut")
    return map(str, find_answer_problems(operation, answer))


def _limit_findings(found: Iterator[str]) -> list[str]:
    try:
        first = list(islice(found, _MAX_FINDINGS))
        more = sum(1 for _ in found)
    except (ValueError, RecursionError):
        return ["nested too deeply to be checked"]
    return [*first, f"and {more} more"] if more else first
