"""A client of the console, the data plane and the signed operations of ModelRouter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx2

from aione_mock.protocols import acs3_signature
from tests.timing import PATIENCE

KEY = "sk-nex-demo-every-model"
TECH, BUSINESS = "nex-console-tech", "nex-console-business"
OTHER = "nex-console-other"
ACCESS = ("aione-mock-access-key", "aione-mock-access-secret")
OTHER_ACCESS = ("aione-mock-other-access-key", "aione-mock-other-access-secret")
KEYS, USAGE, DASHBOARD = "/api/v1/gateway/keys", "/api/v1/obs/usage", "/api/v1/obs/dashboard"
OBSERVATION = "/api/v1/modelRouter/open/observation/"
_NONCES = count()


def make_bearer_headers(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


class Console:
    """Sends requests to one session of a server over a real socket."""

    def __init__(self, url: str, session: str = "default") -> None:
        self.http = httpx2.Client(base_url=url, headers={"x-mock-session": session}, trust_env=False, timeout=PATIENCE)
        self.host = url.partition("://")[2]

    @contextmanager
    def open_in_process(self, app: Any) -> Iterator[Console]:
        """Yield a client without a socket: this thread answers its requests, so that their CPU time can be measured."""
        made = Console(str(self.http.base_url), self.http.headers["x-mock-session"])
        with asyncio.Runner() as runner:
            made.http = httpx2.Client(
                base_url=self.http.base_url, headers=self.http.headers, transport=_InProcessTransport(app, runner)
            )
            yield made

    def ask(self, method: str, path: str, secret: str = TECH, **more: Any) -> httpx2.Response:
        headers = make_bearer_headers(secret) | more.pop("headers", {})
        return self.http.request(method, path, headers=headers, **more)

    def get(self, path: str, secret: str = TECH, **params: Any) -> Any:
        """Return the JSON of a successful answer."""
        answer = self.ask("GET", path, secret, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read_violations(self, method: str, path: str, **more: Any) -> list[tuple[str, str]]:
        """Return places and types of all violations that a 422 lists."""
        answer = self.ask(method, path, **more)
        assert answer.status_code == 422, answer.text
        return [("/".join(map(str, found["loc"])), found["type"]) for found in answer.json()["detail"]]

    def create(self, secret: str = TECH, **fields: Any) -> dict[str, Any]:
        """Create a key."""
        answer = self.ask("POST", KEYS, secret, json={"name": "Test", **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def chat(self, secret: str = KEY, text: str = "Hello", scenario: str = "", **fields: Any) -> httpx2.Response:
        """Request one chat completion."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **fields}
        headers = {"x-mock-scenario": scenario} if scenario else {}
        return self.ask("POST", "/v1/chat/completions", secret, json=body, headers=headers)

    def send_signed(
        self, name: str, query: str = "", access: tuple[str, str] = ACCESS, date: float | None = None, **more: str
    ) -> httpx2.Response:
        """Send a signed observation request; `more` are headers, dashes written as underscores."""
        path = OBSERVATION + name
        headers = {
            "host": self.host,
            "x-acs-action": f"ModelRouterQueryObservation{name.title()}",
            "x-acs-version": "20240611",
            "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(date)),
            "x-acs-signature-nonce": f"nonce-{next(_NONCES)}-{time.time_ns()}",
            "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        }
        headers |= {key.replace("_", "-"): value for key, value in more.items()}
        authorization = acs3_signature.sign_request("GET", path, query, headers.items(), b"", *access)
        return self.http.get(f"{path}?{query}" if query else path, headers={"authorization": authorization} | headers)

    def observe(self, name: str, access: tuple[str, str] = ACCESS, **params: Any) -> Any:
        """Return the data of a successful, signed observation."""
        answer = self.send_signed(name, urlencode(params), access)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def read_rejection(self, name: str, **params: Any) -> str:
        """Return the code of a 400 to a signed observation."""
        answer = self.send_signed(name, urlencode(params))
        assert answer.status_code == 400, answer.text
        body = answer.json()
        assert (body["errCode"], body["errMessage"]) == (body["code"], body["message"])
        code: str = body["code"]
        return code


class _InProcessTransport(httpx2.BaseTransport):
    def __init__(self, app: Any, runner: asyncio.Runner) -> None:
        self._ask = httpx2.ASGITransport(app).handle_async_request
        self._runner = runner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._runner.run(self._answer(request))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        sent = httpx2.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = await self._ask(sent)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


def sum_cost(rows: list[dict[str, Any]]) -> Decimal:
    """Return the cost of usage rows."""
    return sum((Decimal(row["cost_rmb"]) for row in rows), Decimal(0))
