"""Read from a 429 after which time a request is accepted again."""

from __future__ import annotations

import re
from http import HTTPStatus

from aione_mock.checker.exchange import HttpExchange

_SENTENCE = re.compile(
    r"(?:again|retry) (?:in|after) (\d{1,4}(?:\.\d{1,6})?) ?(ms|milliseconds?|s|sec|secs|seconds?)\b", re.IGNORECASE
)
_MARGIN_SECONDS = 0.1
"""Added to the time that a gateway gives, because clocks differ."""


def read_retry_delay(exchange: HttpExchange) -> float | None:
    """Return the seconds to wait that a 429 gives in `retry-after` or in its message; None if it gives none."""
    if exchange.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    header = exchange.header("retry-after") or ""
    if re.fullmatch(r"[0-9]{1,4}", header):
        return int(header) + _MARGIN_SECONDS
    if found := _SENTENCE.search(exchange.body[:4096].decode("utf-8", "replace")):
        return float(found[1]) / (1000 if found[2].lower().startswith("m") else 1) + _MARGIN_SECONDS
    return None
