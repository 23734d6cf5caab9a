"""Say what the contract asks of a call, and how its request and its answer differ, as far as the journal knows them."""

from __future__ import annotations

from itertools import islice

from aione_mock.contract import STREAM, Operation
from aione_mock.contract.answer_check import Answer, AnswerProblem, describe_violation, find_answer_problems
from aione_mock.server.journal import Exchange
from aione_mock.server.request import parse_request
from aione_mock.types import Json

_MOST, _LONGEST = 50, 300
"""Violations of one message, and characters of one."""
_TOO_DEEP = "nested too deeply to be checked"


def describe_contract(exchange: Exchange) -> Json:
    """Return what the contract declares for a call, and what of it was checked; None for an unknown operation."""
    operation = exchange.operation
    if operation is None:
        return None
    response = operation.responses.get(str(exchange.status), {})
    sent = {name.lower() for name, _ in exchange.response_headers}
    return {
        "summary": operation.raw.get("summary", ""),
        "path": operation.path,
        "document": operation.title,
        "evidence": operation.evidence,
        "statuses": list(operation.responses),
        "headers": [
            {
                "name": name,
                "required": bool(operation.resolve(header).get("required")),
                "sent": name.lower() in sent,
            }
            for name, header in response.get("headers", {}).items()
        ],
        "grammar": exchange.stream and STREAM in response.get("content", {}) and operation.stream is not None,
        "request_checked": _is_request_known(exchange),
        "answer_checked": _is_answer_declared(exchange, operation) and not exchange.response_truncated,
    }


def find_request_violations(exchange: Exchange) -> list[Json]:
    """Return each violation of a request with its part and member."""
    operation = exchange.operation
    if operation is None or exchange.valid or not _is_request_known(exchange):
        return []
    try:
        _, _, found = parse_request(operation, exchange.request, exchange.path_params)
    except (ValueError, RecursionError):
        return [{"part": "body", "member": None, "message": _TOO_DEEP}]
    if not found and exchange.finding == "invalid_request" and exchange.refusal:
        # what schemas cannot express
        return [{"part": "body", "member": None, "message": _shorten(exchange, exchange.refusal)}]
    return [
        {
            "part": str(each.place[0]),
            "member": _shorten(exchange, each.param) if len(each.place) > 1 else None,
            "message": _shorten(exchange, describe_violation(each)),
        }
        for each in found[:_MOST]
    ]


def find_violations(exchange: Exchange) -> list[Json]:
    """Return each violation of an answer with its part, its member and the number of its event."""
    operation = exchange.operation
    if operation is None or exchange.response_truncated or not _is_answer_declared(exchange, operation):
        return []
    headers = {name.lower(): value for name, value in exchange.response_headers}
    content = exchange.events.raw if exchange.stream else exchange.response_body
    answer = Answer(exchange.status, headers.get, content, exchange.request.method, cut=exchange.end != "finish")
    try:
        found = [*islice(find_answer_problems(operation, answer), _MOST)]
    except (ValueError, RecursionError):
        found = [AnswerProblem(_TOO_DEEP)]
    return [
        {
            "part": each.part,
            "member": each.member and each.member[:_LONGEST],
            "event": each.event,
            "message": each.message[:_LONGEST],
        }
        for each in found
    ]


def _is_request_known(exchange: Exchange) -> bool:
    return exchange.valid or not exchange.logged_request.truncated


def _is_answer_declared(exchange: Exchange, operation: Operation) -> bool:
    """Return whether the status can be judged: the contract declares some errors for all operations."""
    return str(exchange.status) in operation.responses or exchange.damaged


def _shorten(exchange: Exchange, text: str) -> str:
    return exchange.mask.mask_text(text)[:_LONGEST]
