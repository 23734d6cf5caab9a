"""Mutants of ModelRouter."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from urllib.parse import parse_qsl

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.mutants.changes import change_body, change_error, change_member, remove_parameters
from aione_mock.mutants.mutant import Mutant, MutantRequest, RequestChange
from aione_mock.protocols import acs3_signature
from aione_mock.structs import replace
from aione_mock.types import Json

_CHARTS, _METRICS, _LOGS = (f"ModelRouterQueryObservation{view}" for view in ("Charts", "Metrics", "Logs"))
_ALL = (_CHARTS, _METRICS, _LOGS)
_KEY, _SECRET = "aione-mock-access-key", "aione-mock-access-secret"


def _sign_again(request: MutantRequest) -> MutantRequest:
    """Return the request with a valid signature of its present content."""
    number = request.memory["number"] = request.memory.get("number", 0) + 1
    headers = [
        ("host", request.header(b"host").decode("latin-1") or "127.0.0.1"),
        ("x-acs-action", request.operation.id),
        ("x-acs-version", "20240611"),
        ("x-acs-date", format_instant(SYSTEM_CLOCK.now())),
        ("x-acs-signature-nonce", f"mutant-{number}-{SYSTEM_CLOCK.timestamp()}"),
        ("x-acs-content-sha256", sha256(b"").hexdigest()),
    ]
    query = request.query.decode("latin-1")
    value = acs3_signature.sign_request(request.method, request.path, query, headers, b"", _KEY, _SECRET)
    raw = tuple((name.encode(), text.encode()) for name, text in [*headers, ("authorization", value)])
    return replace(request, headers=raw)


def _remove_signed_parameters(*names: str) -> RequestChange:
    """Remove query parameters from a signed request, and sign it again."""

    def change(request: MutantRequest) -> MutantRequest:
        present = {name for name, _ in parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)}
        if not present & set(names) or b"ACS3" not in request.header(b"authorization"):
            return request
        return _sign_again(remove_parameters(*names)(request))

    return change


def _refresh_signature(request: MutantRequest) -> MutantRequest:
    return _sign_again(request) if _KEY.encode() in request.header(b"authorization") else request


def _sign_if_missing(request: MutantRequest) -> MutantRequest:
    return request if request.header(b"authorization") else _sign_again(request)


def _drop_error_code(data: Json) -> Json:
    return {name: value for name, value in data.items() if name not in ("code", "message")}


_mutant = partial(Mutant, area="modelrouter")

MUTANTS = (
    _mutant("unsigned_accepted", "A request without signature is accepted", ("signature-missing",), _ALL,
            request=_sign_if_missing),
    _mutant("stale_accepted", "Stale, repeated and wrong signatures are accepted",
            ("signature-stale", "signature-replayed", "signature-wrong"), _ALL, request=_refresh_signature),
    _mutant("charts_last_point_lost", "Charts lack their last point", ("router-buckets",), (_CHARTS,),
            response=change_body(change_member("data", "callVolume", to=lambda points: points[:-1]))),
    _mutant("charts_descending", "Charts are in descending order", ("router-buckets",), (_CHARTS,),
            response=change_body(change_member("data", "callVolume", to=lambda points: points[::-1]))),
    _mutant("metrics_disagree", "Metrics count one call more than charts and logs", ("router-views",), (_METRICS,),
            response=change_body(change_member("data", "totalCalls", to=lambda calls: calls + 1))),
    _mutant("exclusion_ignored", "timeRange is accepted with startTime and endTime", ("router-exclusions",), _ALL,
            request=_remove_signed_parameters("startTime", "endTime")),
    _mutant("success_rate_as_fraction", "successRate is a fraction of 1", ("router-views",), (_METRICS,),
            response=change_body(change_member("data", "successRate", to=lambda rate: rate / 100))),
    _mutant("errors_in_one_spelling", "Errors lack code and message", ("error-router",), _ALL,
            response=change_error(_drop_error_code)),
    _mutant("logs_page_ignored", "Every page of the logs is the first", ("router-log-pages",), (_LOGS,),
            request=_remove_signed_parameters("pageIndex")),
)  # fmt: skip
