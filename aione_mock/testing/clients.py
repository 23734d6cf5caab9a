"""Ready clients of the official SDKs. They do not retry, so that a test sees each refusal, and give up after 10 s.

Each function raises ImportError when the SDK is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anthropic
    import openai

    from aione_mock.testing.session import MockSession

_TIMEOUT = 10.0
"""Seconds."""


def openai_client(mock: MockSession) -> openai.OpenAI:
    """OpenAI's client, aimed at the session."""
    import openai

    # a proxy of the machine has no business between a test and its mock
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(
        base_url=mock.openai_base_url, api_key=mock.api_key, max_retries=0, timeout=_TIMEOUT, http_client=http
    )


def async_openai_client(mock: MockSession) -> openai.AsyncOpenAI:
    """OpenAI's client for asyncio. It keeps no connection open, so nothing outlives the test's event loop."""
    import httpx2
    import openai

    http = openai.DefaultAsyncHttpxClient(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
    return openai.AsyncOpenAI(
        base_url=mock.openai_base_url, api_key=mock.api_key, max_retries=0, timeout=_TIMEOUT, http_client=http
    )


def anthropic_client(mock: MockSession) -> anthropic.Anthropic:
    """Anthropic's client, aimed at the session."""
    import anthropic

    http = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(
        base_url=mock.base_url, api_key=mock.api_key, max_retries=0, timeout=_TIMEOUT, http_client=http
    )
