"""Sends requests to a target: one at a time, within the time, the rate and the budget; answers are never trusted."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import orjson

from aione_mock.checker.budget import Budget
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.target import SecretMask, Target
from aione_mock.checker.traffic import HttpExchange, HttpRequest, Pairs
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Contract, Operation
from aione_mock.protocols import acs3_signature
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Json

MAX_BYTES = 48 << 20
MAX_EVENTS = 5000
_GONE_AFTER = 5
"""Requests without any answer in a row after which the server counts as gone."""


class Stop(Exception):
    """The run ends here; `str()` says why."""


class TimeUp(Stop):
    """`--max-time` is over."""


class TargetGone(Stop):
    """The server does not answer any more."""


@dataclass(frozen=True, slots=True)
class Auth:
    """A secret and the security scheme that carries it."""

    scheme: str
    secret: str


class _Auto:
    """Stands for the credential that the operation takes."""


AUTO = _Auto()


class TargetClient:
    """The one way to a target. Counts what it sends."""

    def __init__(
        self,
        target: Target,
        contract: Contract,
        *,
        budget: Budget | None = None,
        writes: bool = False,
        rate: float | None = None,
        timeout: float = 20.0,
        deadline: float | None = None,
        seed: str = "0",
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.target, self.contract, self.writes = target, contract, writes
        self.budget = budget or Budget()
        self.mask = SecretMask(target)
        self.timeout, self.deadline = timeout, deadline
        self.requests = 0
        self.statuses: dict[int, int] = {}
        self.last: HttpExchange | None = None
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0
        self._unanswered = 0
        self._lock = threading.Lock()
        # nonces must differ between runs, so the present moment takes part
        self._nonces = Seed.of(seed).child("nonce", str(SYSTEM_CLOCK.timestamp()))
        self._http = httpx2.Client(
            verify=target.verify,
            follow_redirects=False,
            transport=transport,
            trust_env=not target.local,
            headers={"user-agent": "aione-mock-check", "accept": "*/*", "accept-encoding": "identity"},
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # Requests

    def request(
        self,
        operation: str,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Json] | None = None,
        body: Json = None,
        *,
        raw: bytes | None = None,
        auth: Auth | _Auto | None = AUTO,
        headers: Mapping[str, str] | None = None,
    ) -> HttpRequest:
        """A request for an operation. `raw` goes out as it is, `body` as JSON; `auth` None sends no credential.

        Raises NotChecked where a credential is missing.
        """
        spec = self.operation(operation)
        path = urlsplit(self.target.url).path + fill(spec.path, params or {})
        sent = list((headers or {}).items())
        content = raw if raw is not None else (orjson.dumps(body) if body is not None else None)
        if content is not None and not any(name.lower() == "content-type" for name, _ in sent):
            sent.append(("content-type", "application/json"))
        pairs = [(name, str(value)) for name, value in (query or {}).items() if value is not None]
        made = HttpRequest(operation, spec.method, path, urlencode(pairs), tuple(sent), content)
        if isinstance(auth, _Auto):
            auth = self.credential(spec)
        return self.authorised(made, auth) if auth else made

    def operation(self, name: str) -> Operation:
        """An operation of the contract. Raises NotChecked where an overlay has removed it."""
        if name not in self.contract.operations:
            raise NotChecked(f"the contract has no operation {name}")
        return self.contract.operations[name]

    def credential(self, operation: Operation) -> Auth | None:
        """The target's own credential for an operation. Raises NotChecked when it was not given."""
        if not operation.security:
            return None
        scheme = operation.security[0][0]
        name = {"consoleToken": "token", "acs3": "access_secret"}.get(scheme, "key")
        secret = getattr(self.target, name)
        if secret is None and name == "token":
            raise NotChecked("no console token was given (--token)")
        if secret is None or (scheme == "acs3" and not self.target.access_key):
            option = "--access-key and --access-secret" if scheme == "acs3" else "--key"
            raise NotChecked(f"no credential was given ({option})")
        return Auth(scheme, secret)

    def authorised(self, request: HttpRequest, auth: Auth) -> HttpRequest:
        """The request with a credential where its security scheme puts it."""
        if auth.scheme == "acs3":
            return self.signed(request, self.target.access_key or "", auth.secret)
        scheme = self.contract.schemes.get(auth.scheme, {"type": "http"})
        if scheme["type"] == "http":
            return replace(request, headers=(*request.headers, ("authorization", f"Bearer {auth.secret}")))
        if scheme["in"] == "query":
            pair = urlencode([(scheme["name"], auth.secret)])
            return replace(request, query=f"{request.query}&{pair}" if request.query else pair)
        return replace(request, headers=(*request.headers, (scheme["name"], auth.secret)))

    def signed(
        self, request: HttpRequest, key: str, secret: str, *, at: float | None = None, nonce: str | None = None
    ) -> HttpRequest:
        """The request signed as ModelRouter's clients do; `at` is the time of signing in seconds since 1970."""
        moment = SYSTEM_CLOCK.now() if at is None else SYSTEM_CLOCK.now().fromtimestamp(at, SYSTEM_CLOCK.now().tzinfo)
        headers: Pairs = (
            *((name, value) for name, value in request.headers if not name.startswith("x-acs-") and name != "host"),
            ("host", urlsplit(self.target.url).netloc),
            ("x-acs-action", request.operation),
            ("x-acs-version", str(self._version(request.operation))),
            ("x-acs-date", format_instant(moment)),
            ("x-acs-signature-nonce", nonce or self.nonce()),
            ("x-acs-content-sha256", hashlib.sha256(request.body or b"").hexdigest()),
        )
        # the session of a mock is a prefix that its operations do not know
        path = request.path.removeprefix(urlsplit(self.target.url).path)
        value = acs3_signature.sign_request(
            request.method, path, request.query, headers, request.body or b"", key, secret
        )
        return replace(request, headers=(*headers, ("authorization", value)))

    def nonce(self) -> str:
        """A nonce that was never used."""
        self._nonces = self._nonces.child("next")
        return self._nonces.digest("value").hex()

    def _version(self, operation: str) -> Json:
        spec = self.operation(operation)
        return self.contract.documents[spec.document].get("info", {}).get("version", "")

    # Sending

    def call(self, operation: str, params: Mapping[str, str] | None = None, **given: Any) -> HttpExchange:
        """`request` and `send` in one."""
        timeout = given.pop("timeout", None)
        return self.send(self.request(operation, params, **given), timeout=timeout)

    def send(self, request: HttpRequest, *, timeout: float | None = None, pause: float = 0.0) -> HttpExchange:
        """Send, and read the answer to its end or to the limits of time and size; `pause` drips the body, in seconds.

        Raises NotChecked when it would change something and may not, BudgetSpent, TimeUp or TargetGone.
        """
        operation = self.operation(request.operation)
        self._permit(operation, request)
        with self._lock:
            reserved = self._reserve(operation, request)
            start = self._turn()
        if start > 0:
            time.sleep(start)
        exchange = self._exchange(request, timeout or self.timeout, pause)
        if self._stale(operation, exchange):
            exchange = self._exchange(request, timeout or self.timeout, pause)
        with self._lock:
            if reserved is not None:
                self.budget.settle(reserved, self._cost(request, exchange, reserved))
            self._note(exchange)
        return exchange

    def _stale(self, operation: Operation, exchange: HttpExchange) -> bool:
        """Whether a server that had just failed closed the connection, so that this request never reached it."""
        failed = self.last is not None and self.last.status >= 500
        lost = not exchange.status and exchange.failure.startswith("the connection ")
        return failed and lost and (operation.protocol != "console" or exchange.request.method == "GET")

    def _permit(self, operation: Operation, request: HttpRequest) -> None:
        asks = request.method == operation.method == "POST" and operation.protocol in ("openai", "anthropic", "gemini")
        if not (self.writes or asks or request.method in ("GET", "HEAD", "OPTIONS")):
            raise NotChecked("it would change something (--allow-writes)")

    def _reserve(self, operation: Operation, request: HttpRequest) -> Decimal | None:
        if not operation.paid or request.method != "POST":
            return None
        amount = self.budget.estimate(model_of(request), request.body or b"", answer_tokens(request.body))
        self.budget.reserve(amount)
        return amount

    def _cost(self, request: HttpRequest, exchange: HttpExchange, reserved: Decimal) -> Decimal | None:
        if 400 <= exchange.status < 600 or not exchange.status:
            return None if exchange.status else reserved
        used = tokens_of(exchange)
        return self.budget.price(model_of(request)).cost(*used) if used else reserved

    def _turn(self) -> float:
        """Seconds until the rate lets the next request go."""
        now = SYSTEM_CLOCK.timestamp()
        if self.deadline is not None and now >= self.deadline:
            raise TimeUp("the time is up (--max-time)")
        turn = max(now, self._next)
        self._next = turn + self._interval
        return turn - now if self._interval else 0.0

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the deadline. Raises TimeUp."""
        if self.deadline is not None and SYSTEM_CLOCK.timestamp() + seconds >= self.deadline:
            raise TimeUp("the time is up (--max-time)")
        time.sleep(seconds)

    def _exchange(self, request: HttpRequest, timeout: float, pause: float) -> HttpExchange:
        started = SYSTEM_CLOCK.timestamp()
        end = started + timeout if self.deadline is None else min(started + timeout, self.deadline)
        left = max(0.05, end - started)
        parts = urlsplit(self.target.url)
        url = f"{parts.scheme}://{parts.netloc}{request.target}"
        status, body, failure = 0, bytearray(), ""
        headers: Pairs = ()
        try:
            sent = self._http.build_request(
                request.method,
                httpx2.URL(url),
                headers=_encoded(request, pause),
                content=_dripping(request.body, pause) if pause and request.body else request.body,
                timeout=left,
            )
            answer = self._http.send(sent, stream=True)
            try:
                status, headers = answer.status_code, tuple(answer.headers.multi_items())
                failure = _read(answer, body, end)
            finally:
                answer.close()
        except (httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise NotChecked(f"the request cannot be sent: {error}") from None
        except Exception as error:
            failure = reason(error)
        return HttpExchange(request, status, headers, bytes(body), SYSTEM_CLOCK.timestamp() - started, failure)

    def _note(self, exchange: HttpExchange) -> None:
        self.requests += 1
        self.last = exchange
        self.statuses[exchange.status] = self.statuses.get(exchange.status, 0) + 1
        self._unanswered = 0 if exchange.status else self._unanswered + 1
        if self._unanswered >= _GONE_AFTER:
            raise TargetGone(f"{self._unanswered} requests in a row had no answer: {exchange.failure}")


def _encoded(request: HttpRequest, pause: float) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in request.headers]
    # a body that comes in pieces would otherwise be sent without its length
    return [*headers, (b"content-length", str(len(request.body or b"")).encode())] if pause else headers


def _dripping(body: bytes, pause: float) -> Iterator[bytes]:
    step = 1 + len(body) // 5
    for start in range(0, len(body), step):
        yield body[start : start + step]
        time.sleep(pause)


def _read(answer: httpx2.Response, body: bytearray, end: float) -> str:
    """Read into `body`; what kept it from being read to the end, or an empty string."""
    stream = "event-stream" in answer.headers.get("content-type", "")
    # pieces as they come: gathered into larger ones, a body that drips would never be looked at
    for chunk in answer.iter_raw():
        body += chunk
        if SYSTEM_CLOCK.timestamp() > end:
            return f"not ended after {len(body)} bytes when the time for it was over"
        if len(body) > MAX_BYTES:
            return f"not ended after {len(body)} bytes"
        if stream and body.count(b"\n\n", max(0, len(body) - len(chunk) - 2)) and body.count(b"\n\n") > MAX_EVENTS:
            return f"not ended after {MAX_EVENTS} events"
    return ""


def reason(error: BaseException) -> str:
    """Why a request had no answer, in plain words."""
    text = " ".join(str(error).split()) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS error: {text}"
        cause = cause.__cause__ or cause.__context__
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words.format(text)
    return f"{type(error).__name__}: {text}"


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (httpx2.ConnectTimeout, "no connection within the time"),
    (httpx2.ConnectError, "cannot connect: {}"),
    (httpx2.ReadTimeout, "silent until the time for it was over"),
    (httpx2.TimeoutException, "the time for it was over"),
    (httpx2.RemoteProtocolError, "the connection broke off: {}"),
    (httpx2.TransportError, "the connection failed: {}"),
)


def fill(template: str, params: Mapping[str, str]) -> str:
    """A path with its parameters put in, percent-encoded."""
    for name, value in params.items():
        template = template.replace("{" + name + "}", quote(value, safe=""))
    return template


def model_of(request: HttpRequest) -> str | None:
    """The model that a request names, in its body or its path."""
    body = read(request.body)
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        return str(body["model"])
    _, found, rest = request.path.partition("/models/")
    return rest.partition(":")[0] if found else None


def read(body: bytes | None) -> Json:
    """A body as JSON; None for anything else."""
    try:
        return orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None


_DEFAULT_TOKENS = 400
_LIMITS = ("max_tokens", "max_completion_tokens", "maxOutputTokens")


def answer_tokens(body: bytes | None) -> int:
    """Tokens that the answer to a body may have; a plain guess where it sets no limit."""
    data = read(body)
    places: Iterable[Json] = (data, data.get("generationConfig")) if isinstance(data, dict) else ()
    found = [p[name] for p in places if isinstance(p, dict) for name in _LIMITS if isinstance(p.get(name), int)]
    # a limit beyond any model is refused, and what is refused costs nothing
    limit = next((n for n in found if 0 < n <= 1_000_000), _DEFAULT_TOKENS)
    choices = data.get("n", 1) if isinstance(data, dict) else 1
    return limit * (choices if isinstance(choices, int) and 0 < choices < 100 else 1)


def tokens_of(exchange: HttpExchange) -> tuple[int, int] | None:
    """Prompt and completion tokens that an answer of any protocol admits to; None where there are none."""
    data: list[Json] = (
        [read(event.data.encode()) for event in exchange.events]
        if exchange.media_type.endswith("event-stream")
        else [read(exchange.body)]
    )
    for item in reversed(data):
        usage = _usage(item)
        if usage:
            prompt = [usage.get(name) for name in ("prompt_tokens", "input_tokens", "promptTokenCount")]
            answer = [usage.get(name) for name in ("completion_tokens", "output_tokens", "candidatesTokenCount")]
            return max([n for n in prompt if isinstance(n, int)], default=0), max(
                [n for n in answer if isinstance(n, int)], default=0
            )
    return None


def _usage(item: Json) -> dict[str, Json] | None:
    if isinstance(item, list):
        item = item[-1] if item else None
    found = (item.get("usage") or item.get("usageMetadata")) if isinstance(item, dict) else None
    return found if isinstance(found, dict) else None
