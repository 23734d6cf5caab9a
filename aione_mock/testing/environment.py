"""Environment variables that aim SDKs and applications at a session."""

from __future__ import annotations

from collections.abc import Iterable

from aione_mock.tenant.organisation_file import SeededCredential

STRAY = (
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_ADMIN_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_CUSTOM_HEADERS",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
)
"""Variables of a developer's own machine that would lead elsewhere, or send a second credential."""


def variables(
    base_url: str, api_key: str, credentials: Iterable[SeededCredential], *, no_proxy: str = ""
) -> dict[str, str]:
    """Name to value. `base_url` carries the session; `no_proxy` is the present value, which is added to.

    Source: the SDKs' own readers of the environment; LangChain's OpenAI class for `OPENAI_API_BASE`.
    """
    seeded = {name: value for credential in credentials for name, value in credential.env}
    hosts = ",".join(filter(None, [no_proxy, "127.0.0.1,localhost"]))
    return {
        **seeded,
        "AIONE_BASE_URL": base_url,
        "AIONE_API_KEY": api_key,
        "OPENAI_BASE_URL": f"{base_url}/v1",
        "OPENAI_API_BASE": f"{base_url}/v1",
        "OPENAI_API_KEY": api_key,
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_KEY": api_key,
        "GOOGLE_GEMINI_BASE_URL": base_url,
        "GOOGLE_GENAI_API_VERSION": "v1beta",  # from version 3 on the SDK asks for v1
        "GOOGLE_API_KEY": api_key,
        "GEMINI_API_KEY": api_key,
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }
