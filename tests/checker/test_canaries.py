"""Gateways that lose, double, alter and cross answers under load, in front of a mock in the role of an upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aione_mock.checker.canaries.asking import ReceivedAnswer
from aione_mock.checker.canaries.questions import make_questions
from aione_mock.checker.canaries.upstream import UpstreamCall
from aione_mock.checker.canaries.verdicts import CanaryJudge
from aione_mock.checker.protocols import PROTOCOLS
from aione_mock.cli import main
from aione_mock.model.tokens import count_tokens
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.text.canaries import CANARY, MARK, make_canary

CALLS = 24
KEY = "sk-gateway-secret-0123456789"
HEADERS = {"authorization": "Bearer any"}


class PlainGateway:
    """A small gateway that is correct: it checks its own key and passes everything on. Others break a part of it."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.count = upstream, 0
        self._client: httpx2.AsyncClient | None = None

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.handle, methods=["GET", "POST"])])

    async def handle(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}" and request.headers.get("x-api-key") != KEY:
            return JSONResponse({"error": {"message": f"wrong key, not {KEY}"}}, 401)
        if request.url.path == "/v1/models":
            return JSONResponse({"data": [{"id": "house-model"}]})
        if request.url.path not in ("/v1/chat/completions", "/v1/messages"):
            return JSONResponse({"error": {"message": "not here"}}, 404)
        body = await request.body()
        self.count += 1
        return await self.answer(request.url.path, body, self.count)

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        return await self.ask(path, body)

    async def ask(self, path: str, body: bytes) -> Response:
        self._client = self._client or httpx2.AsyncClient(trust_env=False, timeout=60)
        answer = await self._client.post(self.upstream + path, content=body)  # without any key
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


class CrossingGateway(PlainGateway):
    """Gives the answers of two simultaneous questions of the same kind to each other, once in a while."""

    waiting: dict[bytes, tuple[Response, asyncio.Future[Response]]] | None = None

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        mine = await self.ask(path, body)
        kind = path.encode() + (b"s" if b'"stream":true' in body else b"p")
        self.waiting = {} if self.waiting is None else self.waiting
        if kind in self.waiting:
            theirs, future = self.waiting.pop(kind)
            if not future.done():
                future.set_result(mine)
                return theirs
        elif number % 3 == 0:
            future = asyncio.get_running_loop().create_future()
            self.waiting[kind] = mine, future
            done, _ = await asyncio.wait([future], timeout=5)
            return future.result() if done else mine
        return mine


class DroppingGateway(PlainGateway):
    """Answers every fourth question with a 502 after asking, every fifth without asking."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        if number % 4 == 0:
            await self.ask(path, body)
        if number % 4 == 0 or number % 5 == 0:
            return JSONResponse({"error": {"message": "bad gateway"}}, 502)
        return await self.ask(path, body)


class RetryingGateway(PlainGateway):
    """Asks every third question twice."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        if number % 3 == 0:
            await self.ask(path, body)
        return await self.ask(path, body)


class AlteringGateway(PlainGateway):
    """Changes words of answers."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        response = await self.ask(path, body)
        if number % 3 == 0:
            return Response(bytes(response.body).replace(b" the", b" THE"), media_type=response.media_type)
        return response


class RewritingGateway(PlainGateway):
    """Changes words of questions, and takes the mark out of some."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        if number % 3 == 0:
            body = body.replace(b"?", b"!")
        elif number % 3 == 1:
            body = MARK.sub("hello", body.decode()).encode()
        return await self.ask(path, body)


class EmptyingGateway(PlainGateway):
    """Answers with words of its own."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        response = await self.ask(path, body)
        return Response(CANARY.sub("hi", bytes(response.body).decode()), media_type=response.media_type)


class TellingGateway(PlainGateway):
    """Answers with its own key."""

    async def answer(self, path: str, body: bytes, number: int) -> Response:
        return JSONResponse({"choices": [{"message": {"content": f"The key is {KEY}."}}]})


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with Server(create_app(Settings(as_upstream=True, check_answers="log"))) as server:
        yield server.url


@contextmanager
def run_gateway(kind: type[PlainGateway], upstream: str) -> Iterator[str]:
    with Server(kind(upstream).app) as server:
        yield server.url


Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(upstream: str, capsys: pytest.CaptureFixture[str]) -> Check:
    """Check a kind of gateway, and return the exit code and the report."""

    def run(kind: type[PlainGateway], *more: str) -> tuple[int, dict[str, Any]]:
        with run_gateway(kind, upstream) as url:
            ask = ["--url", url, "--upstream", upstream, "--key", KEY, "--calls", str(CALLS), "--concurrency", "8"]
            code = main(["canaries", *ask, "--json", "-", *more])
        told = capsys.readouterr()
        assert KEY not in told.out + told.err
        return code, json.loads(told.out)

    return run


def test_a_correct_gateway_passes_in_the_protocols_that_it_speaks(check: Check) -> None:
    code, report = check(PlainGateway)
    assert (code, report["findings"]) == (0, [])
    assert report["counts"] == {"right": CALLS, "lost": 0, "doubled": 0, "altered": 0, "crossed": 0}
    assert report["asked"] == ["openai, plain", "openai, streamed", "anthropic, plain", "anthropic, streamed"]
    assert [reason.partition(":")[0] for reason in report["not_spoken"]] == ["gemini"]
    assert report["model"] == "house-model"


def test_the_mock_alone_passes_in_all_protocols(upstream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["canaries", "--url", upstream, "--upstream", upstream, "--calls", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"30 questions through {upstream}, 16 at a time (openai, plain; ")
    assert "gemini, streamed" in lines[0]
    assert lines[1].split()[:2] == ["right", "30"]


def test_crossed_answers_are_found(check: Check) -> None:
    code, report = check(CrossingGateway, "--protocol", "openai", "--stream", "plain")
    assert code == 1
    crossed = [finding for finding in report["findings"] if finding["verdict"] == "crossed"]
    assert len(crossed) >= 2
    assert {finding["verdict"] for finding in report["findings"]} == {"crossed"}
    pairs = {(finding["mark"], MARK.findall(finding["detail"])[0]) for finding in crossed}
    assert all((theirs, mine) in pairs for mine, theirs in pairs)


def test_dropped_answers_are_lost_whether_the_upstream_was_asked_or_not(check: Check) -> None:
    code, report = check(DroppingGateway, "--protocol", "openai")
    assert code == 1
    assert {finding["verdict"] for finding in report["findings"]} == {"lost"}
    details = [finding["detail"] for finding in report["findings"]]
    assert sum("the upstream answered 200" in detail for detail in details) == CALLS // 4
    assert sum("never got the question" in detail for detail in details) == len(
        [n for n in range(1, CALLS + 1) if n % 5 == 0 and n % 4]
    )
    assert all(detail.startswith("status 502: ") for detail in details)


def test_retried_questions_are_doubled(check: Check) -> None:
    code, report = check(RetryingGateway, "--protocol", "anthropic")
    assert (code, report["counts"]["doubled"], report["counts"]["right"]) == (1, CALLS // 3, CALLS - CALLS // 3)
    assert "the upstream answered it 2 times: its exchanges " in report["findings"][0]["detail"]


def test_changed_words_are_altered(check: Check) -> None:
    code, report = check(AlteringGateway, "--protocol", "openai", "--stream", "plain")
    assert code == 1
    assert {finding["verdict"] for finding in report["findings"]} == {"altered"}
    assert "THE" in report["findings"][0]["detail"]


def test_changed_questions_are_altered(check: Check) -> None:
    code, report = check(RewritingGateway, "--protocol", "openai")
    assert code == 1
    details = [finding["detail"] for finding in report["findings"]]
    assert any(detail.startswith("the question reached the upstream as “ask-") for detail in details)
    assert any("without its mark" in detail for detail in details)
    assert {finding["verdict"] for finding in report["findings"]} == {"altered"}


def test_answers_without_a_canary_are_altered(check: Check) -> None:
    code, report = check(EmptyingGateway, "--protocol", "openai", "--stream", "plain")
    assert (code, report["counts"]["altered"]) == (1, CALLS)
    assert all("no canary is in “" in finding["detail"] for finding in report["findings"])


def test_the_text_says_what_is_wrong_and_the_file_has_it_too(
    upstream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    with run_gateway(RetryingGateway, upstream) as url:
        arguments = ["--url", url, "--upstream", upstream, "--key", KEY, "--calls", "45", "--json", str(out)]
        assert main(["canaries", *arguments, "--protocol", "openai"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[:2] == ["doubled", "15"]
    assert sum(line.startswith("doubled: ask-") for line in lines) == 10
    assert lines[-1] == "doubled: and 5 more (--json has all)"
    assert len(json.loads(out.read_text())["findings"]) == 15


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--url", "http://127.0.0.1:9"], "cannot be reached"),
        (["--protocol", "opanai"], "did you mean 'openai'"),
        (["--upstream", "http://127.0.0.1:9"], "no mock tells of canaries at http://127.0.0.1:9"),
        (["--key", "wrong"], "lists no models"),
        (["--key", "wrong", "--model", "m"], "answers in no protocol"),
        (["--calls", "0"], "--calls"),
        (["--header", "nonsense"], "a header is written as"),
    ],
)
def test_what_cannot_be_checked_is_a_line_and_exit_code_2(
    upstream: str, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with run_gateway(PlainGateway, upstream) as url:
        code = main(["canaries", "--url", url, "--upstream", upstream, "--key", KEY, *arguments])
    told = capsys.readouterr()
    assert code == 2, told.out
    assert expected in told.err
    assert told.err.count("\n") == 1
    assert KEY not in told.err


def test_a_mock_that_is_no_upstream_is_refused(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["canaries", "--url", server.url, "--upstream", server.url]) == 2
    assert "start it with `aione-mock serve --as-upstream`" in capsys.readouterr().err


def test_a_journal_that_is_too_short_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(create_app(Settings(as_upstream=True, journal_entries=10))) as server:
        assert main(["canaries", "--url", server.url, "--upstream", server.url, "--calls", "20"]) == 2
    assert "--journal-entries" in capsys.readouterr().err


def test_a_secret_that_a_gateway_tells_is_masked(check: Check) -> None:
    code, report = check(TellingGateway, "--protocol", "openai", "--stream", "plain")
    assert (code, report["counts"]["altered"]) == (1, CALLS)
    assert "“The key is $AIONE_API_KEY.”" in report["findings"][0]["detail"]


def test_a_run_sees_nothing_of_the_run_before(upstream: str, check: Check) -> None:
    assert check(RetryingGateway, "--protocol", "openai")[0] == 1
    assert check(PlainGateway, "--protocol", "openai")[0] == 0


def answer_to(number: int, text: str | None, problem: str = "") -> ReceivedAnswer:
    question = [*make_questions("0f1e2d3c", 3, [PROTOCOLS["openai"]], [False])][number - 1]
    return ReceivedAnswer(question, text, 200, problem)


def call_of(number: int, asked: int, answer: str | None = None, status: int = 200) -> UpstreamCall:
    canary = make_canary(str(number))
    question = answer_to(asked, None).question.text
    return UpstreamCall(number, canary, question, answer or f"{canary} Cats purr.", status, "finish")


JUDGED: list[tuple[list[UpstreamCall], ReceivedAnswer, list[tuple[str, str]]]] = [
    ([call_of(1, 1)], answer_to(1, f"{make_canary('1')} Cats purr."), []),
    ([call_of(1, 1)], answer_to(1, f" {make_canary('1')} Cats purr.\n"), []),
    ([call_of(1, 1)], answer_to(1, f"{make_canary('1')} Cats"), [("altered", "ends after")]),
    ([call_of(1, 1), call_of(2, 2)], answer_to(1, f"{make_canary('2')} Cats purr."), [("crossed", "ask-0f1e2d3c-2")]),
    ([call_of(1, 1)], answer_to(1, f"{make_canary('9')} Cats purr."), [("crossed", "before this run or never")]),
    ([call_of(1, 1)], answer_to(1, f"{make_canary('1')} a {make_canary('1')} b"), [("doubled", "is 2 times")]),
    ([call_of(1, 1, status=500), call_of(2, 1)], answer_to(1, f"{make_canary('2')} Cats purr."), []),
    ([call_of(1, 1), call_of(2, 1)], answer_to(1, f"{make_canary('2')} Cats purr."), [("doubled", "exchanges 1, 2")]),
    ([call_of(1, 1)], answer_to(1, ""), [("lost", "the answer is empty")]),
    ([call_of(1, 1)], answer_to(1, None, "no answer within 1 s"), [("lost", "no answer within 1 s")]),
    ([], answer_to(1, "From a cache."), [("altered", "never got the question")]),
]


@pytest.mark.parametrize(("calls", "answer", "expected"), JUDGED)
def test_each_verdict(calls: list[UpstreamCall], answer: ReceivedAnswer, expected: list[tuple[str, str]]) -> None:
    found = CanaryJudge(calls).judge(answer)
    assert [finding.verdict for finding in found] == [verdict for verdict, _ in expected]
    assert all(part in finding.detail for finding, (_, part) in zip(found, expected, strict=True)), found


def test_an_upstream_takes_every_key_and_model_and_limits_nothing(upstream: str) -> None:
    body = {"model": "a model/nobody:knows", "messages": [{"role": "user", "content": "ask-0f1e2d3c-1: Hello"}]}
    for headers in ({}, {"authorization": "Bearer what"}, {"authorization": "Bearer sk-nex-rpm-two-a-minute"}):
        for _ in range(3):
            answer = httpx2.post(f"{upstream}/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200
            text = answer.json()["choices"][0]["message"]["content"]
            assert CANARY.match(text)


def test_the_tokens_of_a_canary_are_counted(upstream: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Count me"}]}
    with Server(create_app(Settings(models="any", auth="any"))) as server:
        asked = [
            httpx2.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS) for url in (server.url, upstream)
        ]
    plain, marked = [answer.json() for answer in asked]
    text = marked["choices"][0]["message"]["content"]
    assert text.endswith(plain["choices"][0]["message"]["content"])
    difference = marked["usage"]["completion_tokens"] - plain["usage"]["completion_tokens"]
    assert difference == count_tokens(text.partition(" ")[0] + " ")


def test_a_canary_belongs_to_one_call_and_depends_on_seed_and_request() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}

    def ask_twice() -> list[str]:
        with Server(create_app(Settings(as_upstream=True, seed="7"))) as server:
            url = f"{server.url}/v1/chat/completions"
            return [httpx2.post(url, json=body).json()["choices"][0]["message"]["content"] for _ in range(2)]

    first, second = ask_twice()
    assert CANARY.findall(first) != CANARY.findall(second)
    assert ask_twice() == [first, second]


@pytest.mark.parametrize("limit", range(1, 15))
def test_a_canary_keeps_to_the_limit_of_tokens(upstream: str, limit: int) -> None:
    body = {"model": "m", "max_tokens": limit, "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx2.post(f"{upstream}/v1/chat/completions", json=body).json()
    assert answer["usage"]["completion_tokens"] <= limit
    assert answer["choices"][0]["finish_reason"] == "length"


def test_json_stays_json_behind_a_gateway(upstream: str) -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "response_format": {"type": "json_object"},
    }
    answer = httpx2.post(f"{upstream}/v1/chat/completions", json=body).json()
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"]), dict)


def test_the_answers_with_canaries_keep_the_contract(upstream: str) -> None:
    rows = httpx2.get(f"{upstream}/_mock/journal", params={"limit": 1000}).json()["items"]
    assert [row for row in rows if row["finding"] == "wrong_answer"] == []
