"""Read and validate requests."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from aione_mock import asgi, protocols
from aione_mock.contract import Operation, validation
from aione_mock.contract.validation import Violation
from aione_mock.structs import replace
from aione_mock.types import Call, Json, RawHeaders

if TYPE_CHECKING:
    from aione_mock.server.handlers import Check
    from aione_mock.server.journal import Exchange
    from aione_mock.server.sessions import Session

_JSON = (None, b"application/json")
"""Values of `content-type` that are accepted without parsing them."""


class Request:
    """A request as it arrived, in the session that its path or header names."""

    __slots__ = (
        "body",
        "client",
        "fields",
        "headers",
        "method",
        "mount_path",
        "path",
        "query",
        "receive",
        "scope",
        "session_name",
    )

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes = b"",
        headers: RawHeaders = (),
        body: bytes | None = None,
        client: str = "127.0.0.1",
        receive: asgi.Receive | None = None,
        mount_path: str = "",
        scope: asgi.Scope | None = None,
    ) -> None:
        """Read the head of a request.

        `path` is percent-encoded and may begin with `/_session/NAME`; `mount_path` is what came before it. Header names
        are lower-case. Without `body` the body comes from `receive`. `scope` is ASGI's, where there is one.
        """
        self.method, self.headers, self.body, self.receive, self.scope = method, headers, body, receive, scope
        self.path, self.query, named = path.decode("latin-1"), query.decode("latin-1"), ""
        if path.startswith(b"/_session/"):
            named, self.path = asgi.split_session(self.path)
        self.mount_path = mount_path
        # the first value of a repeated header counts
        self.fields = fields = dict(headers[::-1])
        header = fields.get(b"x-mock-session")
        self.session_name = header.decode("latin-1") if header else named
        forwarded = fields.get(b"x-forwarded-for")
        # a proxy on this machine names its client
        if forwarded is not None and client in ("127.0.0.1", "::1"):
            client = forwarded.decode("latin-1").rpartition(",")[2].strip() or client
        self.client = client

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its lower-case name."""
        value = self.fields.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def read_body(self, limit: int) -> None:
        """Receive the body, unless it was received. Raise APIError `request_too_large` for more than `limit` bytes."""
        if self.body is None and self.receive is not None:
            announced = self.fields.get(b"content-length", b"")
            self.body = await asgi.read_body(int(announced) if announced.isdigit() else 0, self.receive, limit)
        elif len(self.body or b"") > limit:
            self.body = b""
            raise asgi.make_body_too_large_error(limit)

    def decode_body(self, limit: int) -> None:
        """Undo the content encoding of the body. Raise APIError for one that cannot be undone."""
        try:
            self.body = asgi.decode_body(self.body or b"", self.fields[b"content-encoding"], limit)
        except ValueError as error:
            coding = self.fields[b"content-encoding"].decode("latin-1")
            found = validation.Violation(("body",), f"The body is not valid {coding}: {error}", "value_error")
            validation.raise_violations([found])

    @property
    def size(self) -> int:
        """Bytes of head and body."""
        head = len(self.path) + len(self.query) + sum([len(name) + len(value) for name, value in self.headers])
        return head + len(self.body or b"")


def parse_request(
    operation: Operation, request: Request, path_params: Mapping[str, str]
) -> tuple[Mapping[str, Json], Json, list[Violation]]:
    """Return the parameters and the JSON body of a request, and everything that violates their schemas."""
    params: Mapping[str, Json] = {}
    findings: list[Violation] = []
    if operation.parameters:
        params, findings = validation.parse_parameters(operation, path_params, request.query, request.header)
    schema, body = operation.body_validator, request.body or b""
    if schema is None:
        return params, None, findings
    if len(body) > validation.LARGE_BODY and (excess := validation.find_excess(body)):
        return params, None, findings + excess
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    if normalize is None and request.fields.get(b"content-type") in _JSON:
        try:
            data = orjson.loads(body)
            if schema.is_valid(data):
                return params, data, findings
        except ValueError:
            pass  # reported below, with its place
    media_type = None if operation.protocol == "control" else request.header("content-type")
    data, more = validation.parse_body(operation, media_type, body)
    if normalize and data is not None:
        data = normalize(data, operation)
        more = validation.find_violations(schema, data)
    if operation.protocol == "control":
        more = [_suggest_member(finding, operation) for finding in more]
    return params, data, findings + more


def _suggest_member(finding: Violation, operation: Operation) -> Violation:
    """Add the nearest known member, or all of them, to a violation that names an unknown one."""
    if finding.kind != "extra_forbidden":
        return finding
    schema = operation.resolve(operation.request_body["content"]["application/json"]["schema"])
    known = schema.get("properties", ()) if len(finding.place) == 1 else ()
    unknown = finding.message.rpartition(": ")[2].partition(",")[0]
    near = difflib.get_close_matches(unknown, [*(known or operation.body_members)], n=1, cutoff=0.6)
    remedy = f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})" if known else ""
    return replace(finding, message=finding.message + remedy)


def validate_call(call: Call, session: Session, findings: list[Violation], check: Check | None) -> None:
    """Raise APIError with all violations of the contract, if any.

    `check` finds violations that schemas cannot express.
    """
    if check is not None:
        places = {finding.place for finding in findings}
        findings += [finding for finding in check(call, session) if finding.place not in places]
    validation.raise_violations(findings)


def make_call(exchange: Exchange, operation: Operation, params: Mapping[str, Json], data: Json) -> Call:
    """Return the call of a request with these parameters and this body."""
    request = exchange.request
    return Call(
        operation,
        request.method,
        request.path,
        request.query,
        request.headers,
        request.body or b"",
        request.client,
        exchange.request_id,
        params,
        data,
        exchange.caller,
        None,
        exchange.at,
        exchange.key,
        exchange.token,
        request.mount_path,
    )


def find_root_url(request: Call | Request, scheme: str) -> str:
    """Return the URL at which a client reached the mock, to which it adds paths; `scheme` is that of the server."""
    scheme = request.header("x-forwarded-proto") or scheme
    return f"{scheme}://{request.header('host') or '127.0.0.1:8000'}{request.mount_path}"
