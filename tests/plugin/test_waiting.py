"""Clients that sleep go on when the clock of the session is advanced, and need not sleep after a prepared failure."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import openai._base_client as module
import pytest
import tenacity

from aione_mock import MockSession
from aione_mock.testing.waiting import Waits

QUESTION: Any = [{"role": "user", "content": "How long does a refund take?"}]
LONG = 50
"""Seconds that a client is told to wait: more than any test may take."""


def ask_openai(mock: MockSession) -> None:
    with openai.OpenAI(base_url=mock.openai_base_url, api_key=mock.api_key, max_retries=1) as client:
        client.chat.completions.create(model="gpt-5.4", messages=QUESTION)


def ask_anthropic(mock: MockSession) -> None:
    with anthropic.Anthropic(base_url=mock.base_url, api_key=mock.api_key, max_retries=1) as client:
        client.messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=QUESTION)


def ask_with_tenacity(mock: MockSession) -> None:
    with openai.OpenAI(base_url=mock.openai_base_url, api_key=mock.api_key, max_retries=0) as client:
        retry = tenacity.Retrying(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_fixed(LONG), reraise=True)
        retry(client.chat.completions.create, model="gpt-5.4", messages=QUESTION)


def ask_async_openai(mock: MockSession) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=mock.openai_base_url, api_key=mock.api_key, max_retries=1) as client:
            await client.chat.completions.create(model="gpt-5.4", messages=QUESTION)

    asyncio.run(ask())


CLIENTS = [ask_openai, ask_anthropic, ask_with_tenacity, ask_async_openai]


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_client_that_sleeps_goes_on_when_the_clock_is_advanced(aione_mock: MockSession, ask: Any) -> None:
    aione_mock.fail("rate_limit_exceeded", retry_after=LONG)
    started, before = time.monotonic(), aione_mock.now
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, aione_mock)
        aione_mock.advance(LONG - 1, sleepers=1)
        time.sleep(0.1)
        assert not asked.done()
        assert len(aione_mock.calls) == 1
        aione_mock.advance(1)
        asked.result(30)
    assert [call.status for call in aione_mock.calls] == [429, 200]
    assert (aione_mock.now - before).total_seconds() == LONG
    assert time.monotonic() - started < LONG - 10


@pytest.mark.parametrize("error", ["rate_limit_exceeded", "internal_error"])
@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic, ask_async_openai])
def test_nobody_waits_after_a_prepared_failure(
    aione_mock: MockSession, ask: Any, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(aione_mock.waits, "_make_timer", lambda seconds: slept.append(seconds) or (lambda: 0.0))
    aione_mock.fail(error)
    ask(aione_mock)
    assert [call.status for call in aione_mock.calls] == [aione_mock.calls[0].status, 200]
    assert slept == [0.001]


def test_what_the_contract_says_comes_with_none(aione_mock: MockSession) -> None:
    aione_mock.fail("rate_limit_exceeded", retry_after=None)
    with (
        openai.OpenAI(base_url=aione_mock.openai_base_url, api_key=aione_mock.api_key, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as refused,
    ):
        client.chat.completions.create(model="gpt-5.4", messages=QUESTION)
    headers = refused.value.response.headers
    assert (headers["retry-after"], headers.get("retry-after-ms")) == ("1", None)


def test_a_test_that_replaces_sleep_sees_every_sleep(aione_mock: MockSession, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    aione_mock.fail("rate_limit_exceeded", retry_after=LONG)
    ask_openai(aione_mock)
    assert slept == [LONG]


def test_nobody_who_sleeps_is_said(aione_mock: MockSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aione_mock.testing.waiting._PATIENCE_SECONDS", 0.1)
    with pytest.raises(AssertionError, match=r"advance\(\) waited 0.1 s for 2 sleeping clients; 0 slept"):
        aione_mock.advance(1, sleepers=2)


def test_sdks_are_as_before_after_the_test() -> None:
    with Waits().patch_clients():
        replaced: Any = module.time
        assert replaced is not time
        assert replaced.monotonic is time.monotonic
    assert module.time is time
