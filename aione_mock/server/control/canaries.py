"""List which canary was given to which question, from the journal."""

from __future__ import annotations

import re

from aione_mock.recorder.json_style import read_json_or_text
from aione_mock.server.control.journal import fold_events, list_strings, make_masked_reply
from aione_mock.server.journal import Exchange
from aione_mock.server.sessions import Session
from aione_mock.text.canaries import CANARY, MARK, make_canary
from aione_mock.types import Call, Json, Reply


async def list_canaries(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/canaries`, oldest first."""
    after, journal = call.params["after"], session.journal
    calls = [each for each in journal if each.number > after and each.operation is not None and each.operation.paid]
    numbers = [exchange.number for exchange in journal]
    return make_masked_reply(
        {
            "active": session.as_upstream,
            "items": [_describe(exchange) for exchange in calls],
            "first_held": numbers[0] if numbers else journal.total + 1,
            "total": journal.total,
        }
    )


def _describe(exchange: Exchange) -> dict[str, Json]:
    answer = fold_events(exchange) if exchange.stream else read_json_or_text(exchange.response_body)
    return {
        "number": exchange.number,
        "canary": make_canary(exchange.token),
        "question": _find_text(read_json_or_text(exchange.logged_request.body), MARK),
        "answer": _find_text(answer, CANARY),
        "status": exchange.status,
        "end": exchange.end,
    }


def _find_text(value: Json, pattern: re.Pattern[str]) -> str | None:
    return next((text for text in list_strings(value) if pattern.search(text)), None)
