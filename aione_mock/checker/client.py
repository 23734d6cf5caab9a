"""Send requests to a target within the time limit, the rate limit and the budget."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote, urlencode

import httpx2
import orjson

from aione_mock.checker.budget import Budget
from aione_mock.checker.errors import NotChecked, TargetGone, TimeLimitReached
from aione_mock.checker.exchange import HeaderPairs, HttpExchange, HttpRequest
from aione_mock.checker.target import SecretMask, Target
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Contract, Operation
from aione_mock.protocols import acs3_signature
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Json

_MAX_BODY_BYTES = 48 << 20
_MAX_EVENTS = 5000
_MAX_UNANSWERED = 5
"""Requests in a row without an answer after which the target counts as gone."""
_CREDENTIAL_FIELDS = {"consoleToken": "token", "acs3": "access_secret"}
"""Security scheme → field of `Target`; the API key for all others."""
_MISSING_CREDENTIAL = {
    "token": "no console token was given (--token)",
    "access_secret": "no credential was given (--access-key and --access-secret)",
    "key": "no credential was given (--key)",
}


@dataclass(frozen=True, slots=True)
class Auth:
    """A secret and the security scheme that carries it."""

    scheme: str
    secret: str


AuthChoice = Auth | Literal["target"] | None
"""Credential of a request: a given one, the target's own, or none."""


class TargetClient:
    """Send requests, count them and show each exchange to the observers."""

    def __init__(
        self,
        target: Target,
        contract: Contract,
        *,
        budget: Budget | None = None,
        allow_writes: bool = False,
        rate_limit: float | None = None,
        timeout: float = 20.0,
        deadline: float | None = None,
        seed: str = "0",
    ) -> None:
        self.target, self.contract, self.allow_writes = target, contract, allow_writes
        self.budget = budget or Budget()
        self.mask = SecretMask(target)
        self.timeout = timeout
        self.deadline = deadline
        """Seconds since 1970."""
        self.observers: list[Callable[[HttpExchange], None]] = []
        self.requests = 0
        self.statuses: dict[int, int] = {}
        self.last: HttpExchange | None = None
        self._interval = 1 / rate_limit if rate_limit else 0.0
        self._next_start = 0.0
        self._unanswered = 0
        self._lock = threading.Lock()
        # nonces must differ between runs of the same seed
        self._nonces = Seed.of(seed).child("nonce", str(SYSTEM_CLOCK.timestamp()))
        self._http = httpx2.Client(
            verify=target.verify,
            follow_redirects=False,
            trust_env=not target.is_local,
            headers={"user-agent": "aione-mock-check", "accept": "*/*", "accept-encoding": "identity"},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Requests

    def build_request(
        self,
        operation: str,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Json] | None = None,
        body: Json = None,
        *,
        raw: bytes | None = None,
        auth: AuthChoice = "target",
        headers: Mapping[str, str] | None = None,
    ) -> HttpRequest:
        """Return a request for an operation, with `body` as JSON or `raw` as it is.

        Raises NotChecked if the target's credential is missing.
        """
        spec = self.find_operation(operation)
        content = raw if raw is not None or body is None else orjson.dumps(body)
        sent = list((headers or {}).items())
        if content is not None and not any(name.lower() == "content-type" for name, _ in sent):
            sent.append(("content-type", "application/json"))
        pairs = [(name, str(value)) for name, value in (query or {}).items() if value is not None]
        path = self.target.base_path + _fill_path(spec.path, params or {})
        request = HttpRequest(operation, spec.method, path, urlencode(pairs), tuple(sent), content)
        chosen = self.target_auth(spec) if auth == "target" else auth
        return self.add_auth(request, chosen) if chosen else request

    def find_operation(self, name: str) -> Operation:
        """Return an operation of the contract. Raises NotChecked if an overlay has removed it."""
        if name not in self.contract.operations:
            raise NotChecked(f"the contract has no operation {name}")
        return self.contract.operations[name]

    def target_auth(self, operation: Operation) -> Auth | None:
        """Return the target's credential for an operation, None if it needs none. Raises NotChecked if missing."""
        if not operation.security:
            return None
        scheme = operation.security[0][0]
        name = _CREDENTIAL_FIELDS.get(scheme, "key")
        secret = getattr(self.target, name)
        if secret is None or (scheme == "acs3" and not self.target.access_key):
            raise NotChecked(_MISSING_CREDENTIAL[name])
        return Auth(scheme, secret)

    def add_auth(self, request: HttpRequest, auth: Auth) -> HttpRequest:
        """Return the request with a credential where its security scheme puts it."""
        if auth.scheme == "acs3":
            return self.sign(request, self.target.access_key or "", auth.secret)
        scheme = self.contract.schemes.get(auth.scheme, {"type": "http"})
        if scheme["type"] == "http":
            return replace(request, headers=(*request.headers, ("authorization", f"Bearer {auth.secret}")))
        if scheme["in"] == "query":
            pair = urlencode([(scheme["name"], auth.secret)])
            return replace(request, query=f"{request.query}&{pair}" if request.query else pair)
        return replace(request, headers=(*request.headers, (scheme["name"], auth.secret)))

    def sign(self, request: HttpRequest, key: str, secret: str, *, at: float | None = None) -> HttpRequest:
        """Return the request signed as ModelRouter's clients do, at the present time or at seconds since 1970."""
        moment = SYSTEM_CLOCK.now() if at is None else SYSTEM_CLOCK.now().fromtimestamp(at, SYSTEM_CLOCK.now().tzinfo)
        document = self.contract.documents[self.find_operation(request.operation).document]
        headers: HeaderPairs = (
            *((name, value) for name, value in request.headers if not name.startswith("x-acs-") and name != "host"),
            ("host", self.target.origin.partition("://")[2]),
            ("x-acs-action", request.operation),
            ("x-acs-version", str(document.get("info", {}).get("version", ""))),
            ("x-acs-date", format_instant(moment)),
            ("x-acs-signature-nonce", self._create_nonce()),
            ("x-acs-content-sha256", hashlib.sha256(request.body or b"").hexdigest()),
        )
        # a session of the mock is a prefix of the path that is not signed
        path = request.path.removeprefix(self.target.base_path)
        value = acs3_signature.sign_request(
            request.method, path, request.query, headers, request.body or b"", key, secret
        )
        return replace(request, headers=(*headers, ("authorization", value)))

    def _create_nonce(self) -> str:
        self._nonces = self._nonces.child("next")
        return self._nonces.digest("value").hex()

    # Sending

    def call(
        self, operation: str, params: Mapping[str, str] | None = None, *, timeout: float | None = None, **request: Any
    ) -> HttpExchange:
        """Build a request and send it."""
        return self.send(self.build_request(operation, params, **request), timeout=timeout)

    def send(self, request: HttpRequest, *, timeout: float | None = None, pause: float = 0.0) -> HttpExchange:
        """Send a request and read its answer to the end, or to the limits of time and size.

        With a `pause` in seconds, the body is sent in pieces. Raises NotChecked for a write that is not allowed,
        BudgetSpent, TimeLimitReached or TargetGone.
        """
        operation = self.find_operation(request.operation)
        self._ensure_allowed(operation, request)
        with self._lock:
            reserved = self.budget.reserve(request) if operation.paid and request.method == "POST" else None
            delay = self._reserve_turn()
        if delay > 0:
            time.sleep(delay)
        exchange = self._send_once(request, timeout or self.timeout, pause)
        if self._is_lost(operation, exchange):
            exchange = self._send_once(request, timeout or self.timeout, pause)
        with self._lock:
            self._count_exchange(exchange, reserved)
        for observer in self.observers:
            observer(exchange)
        if self._unanswered >= _MAX_UNANSWERED:
            raise TargetGone(f"{self._unanswered} requests in a row had no answer: {exchange.failure}")
        return exchange

    def _ensure_allowed(self, operation: Operation, request: HttpRequest) -> None:
        calls_model = request.method == operation.method == "POST" and operation.protocol in (
            "openai",
            "anthropic",
            "gemini",
        )
        if not (self.allow_writes or calls_model or request.method in ("GET", "HEAD", "OPTIONS")):
            raise NotChecked("it would change something (--allow-writes)")

    def _reserve_turn(self) -> float:
        """Return the seconds to wait before the next request. Raises TimeLimitReached."""
        now = SYSTEM_CLOCK.timestamp()
        if self.deadline is not None and now >= self.deadline:
            raise TimeLimitReached
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        return start - now if self._interval else 0.0

    def _is_lost(self, operation: Operation, exchange: HttpExchange) -> bool:
        """Whether the request may be repeated: a server that had just failed closed the connection before it."""
        failed = self.last is not None and self.last.status >= 500
        lost = not exchange.status and exchange.failure.startswith("the connection ")
        return failed and lost and (operation.protocol != "console" or exchange.request.method == "GET")

    def _count_exchange(self, exchange: HttpExchange, reserved: Decimal | None) -> None:
        if reserved is not None:
            self.budget.settle(reserved, exchange)
        self.requests += 1
        self.last = exchange
        self.statuses[exchange.status] = self.statuses.get(exchange.status, 0) + 1
        self._unanswered = 0 if exchange.status else self._unanswered + 1

    def sleep(self, seconds: float) -> None:
        """Wait. Raises TimeLimitReached if the time limit is nearer."""
        if self.deadline is not None and SYSTEM_CLOCK.timestamp() + seconds >= self.deadline:
            raise TimeLimitReached
        time.sleep(seconds)

    def _send_once(self, request: HttpRequest, timeout: float, pause: float) -> HttpExchange:
        started = SYSTEM_CLOCK.timestamp()
        end = started + timeout if self.deadline is None else min(started + timeout, self.deadline)
        status, body, failure = 0, bytearray(), ""
        headers: HeaderPairs = ()
        try:
            sent = self._http.build_request(
                request.method,
                httpx2.URL(self.target.origin + request.path_and_query),
                headers=_encode_headers(request, pause),
                content=_send_slowly(request.body, pause) if pause and request.body else request.body,
                timeout=max(0.05, end - started),
            )
            answer = self._http.send(sent, stream=True)
            try:
                status, headers = answer.status_code, tuple(answer.headers.multi_items())
                failure = _read_body(answer, body, end)
            finally:
                answer.close()
        except (httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise NotChecked(f"the request cannot be sent: {error}") from None
        except Exception as error:  # whatever a server may cause
            failure = describe_failure(error)
        return HttpExchange(request, status, headers, bytes(body), SYSTEM_CLOCK.timestamp() - started, failure)


def _fill_path(template: str, params: Mapping[str, str]) -> str:
    for name, value in params.items():
        template = template.replace("{" + name + "}", quote(value, safe=""))
    return template


def _encode_headers(request: HttpRequest, pause: float) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in request.headers]
    # a body in pieces would otherwise be sent without its length
    return [*headers, (b"content-length", str(len(request.body or b"")).encode())] if pause else headers


def _send_slowly(body: bytes, pause: float) -> Iterator[bytes]:
    step = 1 + len(body) // 5
    for start in range(0, len(body), step):
        yield body[start : start + step]
        time.sleep(pause)


def _read_body(answer: httpx2.Response, body: bytearray, end: float) -> str:
    """Append the answer to `body`; return why it could not be read to its end, or an empty string."""
    stream = "event-stream" in answer.headers.get("content-type", "")
    # raw chunks: with chunks of a fixed size a slow body would not be looked at before its end
    for chunk in answer.iter_raw():
        body += chunk
        if SYSTEM_CLOCK.timestamp() > end:
            return f"not ended after {len(body)} bytes when the time limit was reached"
        if len(body) > _MAX_BODY_BYTES:
            return f"not ended after {len(body)} bytes"
        if stream and body.count(b"\n\n", max(0, len(body) - len(chunk) - 2)) and body.count(b"\n\n") > _MAX_EVENTS:
            return f"not ended after {_MAX_EVENTS} events"
    return ""


def describe_failure(error: BaseException) -> str:
    """Return why a request had no answer."""
    text = " ".join(str(error).split()) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS error: {text}"
        cause = cause.__cause__ or cause.__context__
    template = next((words for kind, words in _FAILURES if isinstance(error, kind)), f"{type(error).__name__}: {{}}")
    return template.format(text)


_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (httpx2.ConnectTimeout, "no connection within the time limit"),
    (httpx2.ConnectError, "cannot connect: {}"),
    (httpx2.ReadTimeout, "no answer within the time limit"),
    (httpx2.TimeoutException, "the time limit was reached"),
    (httpx2.RemoteProtocolError, "the connection was closed early: {}"),
    (httpx2.TransportError, "the connection failed: {}"),
)
