"""Send requests to a target within the time limit, the rate limit and the budget."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

import httpx2
import orjson

from aione_mock.checker.budget import Budget
from aione_mock.checker.errors import AnswerTimedOut, BudgetSpent, NotChecked, TargetGone, TimeLimitReached
from aione_mock.checker.exchange import HeaderPairs, HttpExchange, HttpRequest
from aione_mock.checker.json_reader import MAX_DEPTH
from aione_mock.checker.retry_delay import read_retry_delay
from aione_mock.checker.target import SecretMask, Target
from aione_mock.checker.timed_network import limit_time
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import ConfigError
from aione_mock.protocols import acs3_signature
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Json

_MAX_BODY_BYTES = 48 << 20
_SHOWN_BYTES = 1000
"""What is kept of a body that cannot be read."""
_MAX_LINES = 20_000
"""Of a stream; an event has two or three."""
_MAX_UNANSWERED = 5
"""Requests in a row without an answer after which the target counts as gone, if it answers no other request either."""
_MAX_TIMEOUTS = 3
"""Answers of an operation in a row that do not come in time; after them it is not called any more."""
_PLAIN_ANSWERS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""What TLS says of an answer without TLS."""
_PASSING_STATUSES = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
"""Failures that may be over when the request is repeated."""
_REPEAT_SECONDS = 0.2
_MAX_REPEATS = 3
"""Repeated requests of an operation in a row that fail again; after them none is repeated."""
_READING_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_WAIT_SECONDS = 60.0
"""Longest time that a run waits for rate limits in all."""
_CREDENTIAL_FIELDS = {"consoleToken": "token", "acs3": "access_secret"}
"""Security scheme → field of `Target`; the API key for all others."""
MISSING_CREDENTIALS = {
    "key": "no API key was given (--key)",
    "token": "no console token was given (--token)",
    "business_token": "no business token was given (--business-token)",
    "other_token": "no token of a second organisation was given (--other-token)",
    "access_secret": "no access key was given (--access-key, --access-secret)",
}
"""Field of `Target` → why what needs it is not checked."""


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
        model_timeout: float = 120.0,
        deadline: float | None = None,
        seed: str = "0",
    ) -> None:
        self.target, self.contract, self.allow_writes = target, contract, allow_writes
        self.budget = budget or Budget()
        self.mask = SecretMask(target)
        self.timeout, self.model_timeout = timeout, model_timeout
        self.deadline = deadline
        """Seconds since 1970."""
        self.timed_out: dict[str, str] = {}
        """Operation → why an answer of it was not read to its end."""
        self.rejected: dict[str, str] = {}
        """Field of `Target` → why its credential is not used."""
        self.rejections: list[str] = []
        """How the target rejected credentials."""
        self.protected: frozenset[str] = frozenset()
        """Ids of what must not be changed, in lower case."""
        self.forbidden: frozenset[str] = frozenset()
        """Operations that are not called."""
        self.observers: list[Callable[[HttpExchange], None]] = []
        self.requests = 0
        self.statuses: dict[int, int] = {}
        self.last: HttpExchange | None = None
        self._interval = 1 / rate_limit if rate_limit else 0.0
        self._next_start = 0.0
        self._unanswered = 0
        self._timeouts: dict[str, int] = {}
        """Operation → answers in a row that did not come in time."""
        self.passed_failures: Counter[str] = Counter()
        """Operation → failures that were over when the request was repeated."""
        self._lasting_failures: Counter[str] = Counter()
        """Operation → repeated requests in a row that failed again."""
        self._answered_request: HttpRequest | None = None
        """A request that was answered and may be repeated."""
        self._patience = _MAX_WAIT_SECONDS
        """Seconds that may still be waited for rate limits."""
        self._lock = threading.Lock()
        # nonces must differ between runs of the same seed
        self._nonces = Seed.of(seed).child("nonce", str(SYSTEM_CLOCK.timestamp()))
        self._http = _open_client(target)
        self._timer = limit_time(self._http)

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
        chosen = self.make_target_auth(spec) if auth == "target" else auth
        return self.add_auth(request, chosen) if chosen else request

    def find_operation(self, name: str) -> Operation:
        """Return an operation of the contract. Raises NotChecked if an overlay has removed it."""
        if name not in self.contract.operations:
            raise NotChecked(f"the contract has no operation {name}")
        return self.contract.operations[name]

    def make_target_auth(self, operation: Operation) -> Auth | None:
        """Return the target's credential for an operation, None if it needs none. Raises NotChecked if missing."""
        if not operation.security:
            return None
        scheme = operation.security[0][0]
        name = _CREDENTIAL_FIELDS.get(scheme, "key")
        secret = getattr(self.target, name)
        if secret is None or (scheme == "acs3" and not self.target.access_key):
            raise NotChecked(self.rejected.get(name) or MISSING_CREDENTIALS[name])
        return Auth(scheme, secret)

    def reject_credential(self, field: str, reason: str, answer: str) -> None:
        """Use a credential no more, as the target rejects it; `answer` tells how."""
        self.rejected[field] = reason
        self.rejections.append(answer)
        self.target = replace(self.target, **{field: None})

    def add_target_headers(self, request: HttpRequest) -> HttpRequest:
        """Return a request with the headers that every request to the target has."""
        present = {name.lower() for name, _ in request.headers}
        added = tuple(pair for pair in self.target.headers if pair[0].lower() not in present)
        return replace(request, headers=(*request.headers, *added)) if added else request

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
            *acs3_signature.make_required_headers(
                request.operation,
                str(document.get("info", {}).get("version", "")),
                self.target.origin.partition("://")[2],
                request.body or b"",
                moment,
                self._create_nonce(),
            ),
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

        def build() -> HttpRequest:
            return self.build_request(operation, params, **request)

        return self.send(build(), timeout=timeout, rebuild=build)

    def send(
        self,
        request: HttpRequest,
        *,
        timeout: float | None = None,
        pause: float = 0.0,
        rebuild: Callable[[], HttpRequest] | None = None,
    ) -> HttpExchange:
        """Send a request and read its answer to the end, or to the limit of its size.

        With a `pause` in seconds, the body is sent in pieces. `rebuild` makes the request again, with a signature of
        its own; without it, a signed request is sent once, even if it fails. Raises NotChecked for a write that is not
        allowed, BudgetSpent, TimeLimitReached, AnswerTimedOut or TargetGone.
        """
        operation = self.find_operation(request.operation)
        request = self.add_target_headers(request)
        self._ensure_allowed(operation, request)
        timeout = timeout or (self.model_timeout if operation.paid else self.timeout)
        exchange = self._send_once(operation, request, timeout, pause)
        if self._is_lost(operation, exchange):
            exchange = self._send_again(operation, request, timeout, pause) or exchange
        if self._wait_for_limit(exchange):
            exchange = self._send_again(operation, request, timeout, pause) or exchange
        if self._may_pass(operation, exchange) and (rebuild or not request.is_signed):
            time.sleep(_REPEAT_SECONDS)
            again = self.add_target_headers(rebuild()) if rebuild else request
            if repeated := self._send_again(operation, again, timeout, pause):
                self._show_exchange(exchange)
                exchange = repeated
                self._note_repetition(exchange)
        with self._lock:
            self._count_exchange(exchange)
        self._show_exchange(exchange)
        self._ensure_alive(exchange)
        if exchange.timed_out:
            reason = f"{operation.id}: {exchange.summary} ({timeout:g} s)"
            self.timed_out[operation.id] = reason
            raise AnswerTimedOut(reason)
        return exchange

    def _show_exchange(self, exchange: HttpExchange) -> None:
        if not (exchange.timed_out or exchange.unsent):
            for observer in self.observers:
                observer(exchange)

    def may_call(self, operation: str) -> bool:
        """Return whether an operation is in the contract, is not left out and answers in time."""
        allowed = operation in self.contract.operations and operation not in self.forbidden
        return allowed and self._timeouts.get(operation, 0) < _MAX_TIMEOUTS

    def _ensure_allowed(self, operation: Operation, request: HttpRequest) -> None:
        if operation.id in self.forbidden:
            raise NotChecked(f"it needs {operation.id}, which --skip leaves out")
        calls_model = request.method == operation.method == "POST" and operation.protocol in (
            "openai",
            "anthropic",
            "gemini",
        )
        if not (self.allow_writes or calls_model or request.method in _READING_METHODS):
            raise NotChecked("it would change something (--allow-writes)")

        if request.method not in _READING_METHODS and any(map(self.is_protected, request.path.split("/"))):
            raise NotChecked("it would change a key that was there before the run")
        if self._timeouts.get(operation.id, 0) >= _MAX_TIMEOUTS:
            raise AnswerTimedOut(f"{operation.id} did not answer in time {_MAX_TIMEOUTS} times in a row")

    def is_protected(self, name: str) -> bool:
        """Return whether an id, or a percent-encoded segment of a path, names what must not be changed."""
        return bool(self.protected) and unquote(name).lower() in self.protected

    def _find_delay(self) -> float:
        """Return the seconds to wait before the next request. Raises TimeLimitReached if they are not left."""
        now = SYSTEM_CLOCK.timestamp()
        delay = max(0.0, self._next_start - now) if self._interval else 0.0
        if self.deadline is not None and now + delay >= self.deadline:
            raise TimeLimitReached
        return delay

    def _ensure_alive(self, exchange: HttpExchange) -> None:
        """Raise TimeLimitReached if the time limit cut an exchange, or TargetGone if the target answers nothing."""
        if exchange.timed_out and self.deadline is not None and SYSTEM_CLOCK.timestamp() >= self.deadline:
            raise TimeLimitReached
        if self._unanswered < _MAX_UNANSWERED:
            return
        request = self._answered_request
        if request is None or not self._read_answer(request, self.timeout, 0.0).status:
            raise TargetGone(f"{self._unanswered} requests in a row had no answer: {exchange.failure}")
        self._unanswered = 0

    def _wait_for_limit(self, exchange: HttpExchange) -> bool:
        """Wait as long as a 429 tells, if there is time; return whether the request may be repeated.

        Laws about limits reach them with keys of their own, which are not waited for.
        """
        request, delay = exchange.request, read_retry_delay(exchange)
        if delay is None or delay > self._patience or request.is_signed or not self._is_from_target(request):
            return False
        if self.deadline is not None and SYSTEM_CLOCK.timestamp() + delay >= self.deadline:
            return False
        self._patience -= delay
        time.sleep(delay)
        return True

    def _may_pass(self, operation: Operation, exchange: HttpExchange) -> bool:
        """Return whether an answer is a failure that may be over soon, and the request may be repeated."""
        request = exchange.request
        changes = operation.protocol == "console" and request.method not in _READING_METHODS
        if exchange.status not in _PASSING_STATUSES or changes:
            return False
        late = self.deadline is not None and SYSTEM_CLOCK.timestamp() + _REPEAT_SECONDS >= self.deadline
        return not late and self._lasting_failures[operation.id] < _MAX_REPEATS

    def _note_repetition(self, exchange: HttpExchange) -> None:
        name = exchange.request.operation
        if exchange.status in _PASSING_STATUSES:
            self._lasting_failures[name] += 1
        elif exchange.status:
            self._lasting_failures[name] = 0
            self.passed_failures[name] += 1

    def _is_from_target(self, request: HttpRequest) -> bool:
        """Return whether a request carries a credential of the target."""
        secrets = [secret for secret in (self.target.key, self.target.token) if secret]
        return any(secret in value for secret in secrets for _, value in request.headers)

    def _is_lost(self, operation: Operation, exchange: HttpExchange) -> bool:
        """Return whether the request may be repeated: a server that had just failed closed the connection before it."""
        failed = self.last is not None and self.last.status >= 500
        lost = not exchange.status and exchange.failure.startswith("the connection ")
        return failed and lost and (operation.protocol != "console" or exchange.request.method == "GET")

    def _count_exchange(self, exchange: HttpExchange) -> None:
        self.requests += 1
        self.last = exchange
        self.statuses[exchange.status] = self.statuses.get(exchange.status, 0) + 1
        self._unanswered = 0 if exchange.status and not exchange.timed_out else self._unanswered + 1
        name = exchange.request.operation
        self._timeouts[name] = self._timeouts.get(name, 0) + 1 if exchange.timed_out else 0
        if 0 < exchange.status < 400 and exchange.request.method == "GET" and not exchange.request.is_signed:
            self._answered_request = exchange.request

    def sleep(self, seconds: float) -> None:
        """Wait. Raises TimeLimitReached if the time limit is nearer."""
        if self.deadline is not None and SYSTEM_CLOCK.timestamp() + seconds >= self.deadline:
            raise TimeLimitReached
        time.sleep(seconds)

    def _send_once(self, operation: Operation, request: HttpRequest, timeout: float, pause: float) -> HttpExchange:
        """Send a request within the rate limit and the budget. Raises as `send` does."""
        with self._lock:
            delay = self._find_delay()
            reserved = self.budget.reserve(request) if operation.paid and request.method == "POST" else None
            self._next_start = SYSTEM_CLOCK.timestamp() + delay + self._interval
        if delay > 0:
            time.sleep(delay)
        exchange = self._read_answer(request, timeout, pause)
        if reserved is not None:
            with self._lock:
                self.budget.settle(reserved, exchange)
        return exchange

    def _send_again(
        self, operation: Operation, request: HttpRequest, timeout: float, pause: float
    ) -> HttpExchange | None:
        """Send a request once more; return None if the time or the budget is used up."""
        try:
            return self._send_once(operation, request, timeout, pause)
        except (BudgetSpent, TimeLimitReached):
            return None

    def _read_answer(self, request: HttpRequest, timeout: float, pause: float) -> HttpExchange:
        started = SYSTEM_CLOCK.timestamp()
        end = started + timeout if self.deadline is None else min(started + timeout, self.deadline)
        status, body, failure, timed_out, unsent = 0, bytearray(), "", False, False
        headers: HeaderPairs = ()
        try:
            sent = self._http.build_request(
                request.method,
                httpx2.URL(self.target.origin + request.path_and_query),
                headers=_encode_headers(request, pause),
                content=_send_slowly(request.body, pause) if pause and request.body else request.body,
                timeout=max(0.05, end - started),
            )
            with self._timer.end_at(end), closing(self._http.send(sent, stream=True)) as answer:
                status, headers = answer.status_code, tuple(answer.headers.multi_items())
                failure = _read_body(answer, body)
        except (httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise NotChecked(f"the request cannot be sent: {error}") from None
        except httpx2.TimeoutException as error:
            timed_out = True
            failure = f"not ended after {len(body)} bytes when the time was over" if status else describe_failure(error)
        except Exception as error:  # whatever a server may cause
            failure, unsent = describe_failure(error), isinstance(error, httpx2.ConnectError)
        elapsed = SYSTEM_CLOCK.timestamp() - started
        exchange = HttpExchange(request, status, headers, bytes(body), elapsed, failure, timed_out, unsent)
        if exchange.is_too_deep:
            reason = f"nested more than {MAX_DEPTH} levels deep"
            return replace(exchange, body=exchange.body[:_SHOWN_BYTES], failure=reason)
        return exchange


def _open_client(target: Target) -> httpx2.Client:
    """Return an HTTP client. Raises ConfigError for certificates or a proxy of the environment that it cannot use."""
    trust_env = not target.is_local
    try:
        verify = httpx2.create_ssl_context(target.verify, trust_env=trust_env)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"the certificates of $SSL_CERT_FILE cannot be used: {reason}; correct or unset it") from None
    try:
        return httpx2.Client(
            verify=verify,
            follow_redirects=False,
            trust_env=trust_env,
            headers={"user-agent": "aione-mock-check", "accept": "*/*", "accept-encoding": "identity"},
        )
    except (ValueError, ImportError, httpx2.InvalidURL):
        # the error shows the address of the proxy, which may have a password
        words = "write it as http://HOST:PORT; socks5:// needs `pip install 'httpx2[socks]'`"
        raise ConfigError(f"the proxy of $HTTP_PROXY, $HTTPS_PROXY or $ALL_PROXY cannot be used: {words}") from None


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


def _read_body(answer: httpx2.Response, body: bytearray) -> str:
    """Append the answer to `body`; return why it was not read to its end, or an empty string."""
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > _MAX_BODY_BYTES:
        return f"longer than {_MAX_BODY_BYTES} bytes"
    stream = "event-stream" in answer.headers.get("content-type", "")
    lines = 0
    # raw chunks: with chunks of a fixed size a slow body would not be looked at before its end
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            return f"not ended after {len(body)} bytes"
        lines += chunk.count(b"\n")
        if stream and lines > _MAX_LINES:
            return f"not ended after {_MAX_LINES} lines"
    return ""


def describe_failure(error: BaseException) -> str:
    """Return why a request had no answer."""
    text = " ".join(str(error).split()) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS error: {text}" + ("; try http://" if cause.reason in _PLAIN_ANSWERS else "")
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
