"""Mutants of the ModelRouter group."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aione_mock.asgi import split_session
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.mutants.changes import body, member, refusal
from aione_mock.mutants.mutation import Ask, Mutant
from aione_mock.protocols import acs3_signature
from aione_mock.structs import replace
from aione_mock.types import Json

PREFIX = "ModelRouterQueryObservation"
CHARTS, METRICS, LOGS = f"{PREFIX}Charts", f"{PREFIX}Metrics", f"{PREFIX}Logs"
ALL = (CHARTS, METRICS, LOGS)
_KEY, _SECRET = "aione-mock-access-key", "aione-mock-access-secret"


def _signed(ask: Ask) -> Ask:
    """The request signed anew, as its sender perhaps did not."""
    number = ask.memory["number"] = ask.memory.get("number", 0) + 1
    operation = ask.operation.id if ask.operation else ""
    host = ask.header(b"host").decode("latin-1") or "127.0.0.1"
    headers = [
        ("host", host),
        ("x-acs-action", operation),
        ("x-acs-version", "20240611"),
        ("x-acs-date", format_instant(SYSTEM_CLOCK.now())),
        ("x-acs-signature-nonce", f"mutant-{number}-{SYSTEM_CLOCK.timestamp()}"),
        ("x-acs-content-sha256", sha256(b"").hexdigest()),
    ]
    _, path = split_session(ask.path)
    value = acs3_signature.sign_request(ask.method, path, ask.query.decode("latin-1"), headers, b"", _KEY, _SECRET)
    raw = tuple((name.encode(), text.encode()) for name, text in [*headers, ("authorization", value)])
    return replace(ask, headers=raw)


def _query(ask: Ask, drop: str) -> Ask:
    pairs = [pair for pair in parse_qsl(ask.query.decode("latin-1"), keep_blank_values=True) if pair[0] != drop]
    return replace(ask, query=urlencode(pairs).encode())


def _resigned_without(*names: str) -> Any:
    """Drop parameters of a request that is properly signed."""

    def ask(ask: Ask) -> Ask:
        present = {name for name, _ in parse_qsl(ask.query.decode("latin-1"), keep_blank_values=True)}
        if not present & set(names) or b"ACS3" not in ask.header(b"authorization"):
            return ask
        for name in names:
            ask = _query(ask, name)
        return _signed(ask)

    return ask


def _fresh(ask: Ask) -> Ask:
    """A stale or repeated request passes for a new one."""
    return _signed(ask) if _KEY.encode() in ask.header(b"authorization") else ask


def _unsigned(ask: Ask) -> Ask:
    return ask if ask.header(b"authorization") else _signed(ask)


def _one_spelling(data: Json) -> Json:
    return {name: value for name, value in data.items() if name not in ("code", "message")}


MUTANTS = (
    Mutant("unsigned_accepted", "modelrouter", "A call without signature is answered", ("signature-missing",), ALL,
           ask=_unsigned),
    Mutant("stale_accepted", "modelrouter", "Stale, repeated and wrongly signed calls are answered",
           ("signature-stale", "signature-replayed", "signature-wrong"), ALL, ask=_fresh),
    Mutant("charts_last_point_lost", "modelrouter", "Charts lack their last point", ("router-buckets",), (CHARTS,),
           answer=body(member("data", "callVolume", to=lambda points: points[:-1]))),
    Mutant("charts_descending", "modelrouter", "Charts run backwards", ("router-buckets",), (CHARTS,),
           answer=body(member("data", "callVolume", to=lambda points: points[::-1]))),
    Mutant("metrics_disagree", "modelrouter", "Metrics count one call more than charts and logs",
           ("router-views",), (METRICS,),
           answer=body(member("data", "totalCalls", to=lambda calls: calls + 1))),
    Mutant("exclusion_ignored", "modelrouter", "timeRange may stand beside startTime and endTime",
           ("router-exclusions",), ALL, ask=_resigned_without("startTime", "endTime")),
    Mutant("success_rate_as_fraction", "modelrouter", "successRate runs from 0 to 1", ("router-views",),
           (METRICS,), answer=body(member("data", "successRate", to=lambda rate: rate / 100))),
    Mutant("errors_in_one_spelling", "modelrouter", "Errors lack the spelling that SDKs read",
           ("error-router",), ALL, answer=refusal(_one_spelling)),
    Mutant("logs_page_ignored", "modelrouter", "Every page of the logs is the first", ("router-log-pages",),
           (LOGS,),
           ask=_resigned_without("pageIndex")),
)  # fmt: skip
