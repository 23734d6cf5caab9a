"""Clients of the official SDKs for a session. They do not retry, their timeout is 10 s, and they use no proxy.

Each function raises ImportError if the SDK is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anthropic
    import openai

    from aione_mock.testing.session import MockSession

_OPTIONS: dict[str, Any] = {"max_retries": 0, "timeout": 10.0}


def make_openai_client(mock: MockSession) -> openai.OpenAI:
    """Return an OpenAI client for the session."""
    import openai

    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=mock.openai_base_url, api_key=mock.api_key, http_client=http, **_OPTIONS)


def make_async_openai_client(mock: MockSession) -> openai.AsyncOpenAI:
    """Return an asynchronous OpenAI client. It keeps no idle connection, which could outlive the test's event loop."""
    import httpx2
    import openai

    http = openai.DefaultAsyncHttpxClient(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
    return openai.AsyncOpenAI(base_url=mock.openai_base_url, api_key=mock.api_key, http_client=http, **_OPTIONS)


def make_anthropic_client(mock: MockSession) -> anthropic.Anthropic:
    """Return an Anthropic client for the session."""
    import anthropic

    http = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(base_url=mock.base_url, api_key=mock.api_key, http_client=http, **_OPTIONS)
