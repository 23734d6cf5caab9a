"""Send questions through a gateway, many at a time, and read the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx2
import orjson

from aione_mock.checker.canaries.questions import MarkedQuestion
from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.target import SecretMask, Target
from aione_mock.contract import Contract, Operation
from aione_mock.text import sse
from aione_mock.types import Json

_SHOWN_CHARACTERS = 120
_UNREADABLE = (UnreadableAnswer, ValueError, TypeError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ReceivedAnswer:
    """What came back to a question."""

    question: MarkedQuestion
    text: str | None = None
    """The words of the answer; None if there are none."""
    status: int | None = None
    """The HTTP status; None without an answer."""
    problem: str = ""
    """Why there are no words."""


class Asker:
    """Ask questions of one gateway."""

    def __init__(
        self, target: Target, contract: Contract, model: str, client: httpx2.AsyncClient, timeout: float
    ) -> None:
        """`timeout` is the longest time in seconds for an answer."""
        self._target, self._contract, self._model, self._client = target, contract, model, client
        self._mask, self._timeout = SecretMask(target), timeout

    async def ask_all(self, questions: Iterable[MarkedQuestion], concurrency: int) -> AsyncIterator[ReceivedAnswer]:
        """Yield the answers as they come, with `concurrency` questions under way at a time."""
        waiting, running = iter(questions), set[asyncio.Task[ReceivedAnswer]]()
        try:
            while True:
                while len(running) < concurrency and (question := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self.ask(question)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def ask(self, question: MarkedQuestion) -> ReceivedAnswer:
        """Ask one question and read its answer to the end."""
        operation = self._contract.operations[question.protocol.choose_operation(question.chat)]
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(self._build_request(question, operation))
        except TimeoutError:
            return ReceivedAnswer(question, problem=f"no answer within {self._timeout:g} s")
        except httpx2.HTTPError as error:
            return ReceivedAnswer(question, problem=f"the connection broke: {str(error) or type(error).__name__}")
        if not response.is_success:
            shown = self._mask.apply_to_answer(" ".join(response.text.split()))[:_SHOWN_CHARACTERS]
            return ReceivedAnswer(question, None, response.status_code, f"status {response.status_code}: {shown}")
        try:
            text = question.protocol.read_text(
                JsonReader(_read_body(operation, response, question.stream), operation.id)
            )
        except _UNREADABLE as error:
            return ReceivedAnswer(question, None, response.status_code, f"the answer cannot be read: {error}")
        return ReceivedAnswer(question, text, response.status_code)

    def _build_request(self, question: MarkedQuestion, operation: Operation) -> httpx2.Request:
        path = operation.path
        for name, value in question.protocol.make_path_params(self._model).items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return self._client.build_request(
            operation.method,
            self._target.url.rstrip("/") + path,
            params=question.protocol.make_query(question.chat),
            headers=make_headers(self._target, self._contract, operation),
            json=question.protocol.make_body(question.chat, self._model),
        )


@asynccontextmanager
async def open_client(concurrency: int) -> AsyncIterator[httpx2.AsyncClient]:
    """Open an HTTP client that retries nothing and has no time limit of its own."""
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx2.AsyncClient(trust_env=False, timeout=None, limits=limits) as client:
        yield client


def make_headers(target: Target, contract: Contract, operation: Operation) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request: those of the target, and its key as the operation expects it."""
    headers = dict(target.headers)
    if target.key is not None and operation.security:
        scheme = contract.schemes[operation.security[0][0]]
        is_http = scheme["type"] == "http"
        headers |= {"authorization": f"Bearer {target.key}"} if is_http else {scheme["name"]: target.key}
    return [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers.items()]


def _read_body(operation: Operation, response: httpx2.Response, stream: bool) -> Json:
    if stream and operation.stream is not None:
        return operation.stream.fold(sse.decode([response.content]))
    return orjson.loads(response.content)
