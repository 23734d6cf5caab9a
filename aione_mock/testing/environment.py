"""Environment variables that make SDKs and applications send their requests to a session."""

from __future__ import annotations

from collections.abc import Sequence

from aione_mock.tenant.organisation_file import SeededCredential, list_credentials

CONFLICTING_VARIABLES = (
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_ADMIN_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_CUSTOM_HEADERS",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
)
"""Variables to remove: they would send requests to another server, or send a second credential."""


def make_session_variables(
    base_url: str, api_key: str, *, no_proxy: str = "", credentials: Sequence[SeededCredential] | None = None
) -> dict[str, str]:
    """Return names and values. `base_url` includes the session; hosts are added to `no_proxy`, the present value.

    `credentials` are those of the server's own organisations, if it does not serve the bundled ones.

    Source: the environment variables that the SDKs read; LangChain's OpenAI class for `OPENAI_API_BASE`.
    """
    seeded = {name: value for credential in credentials or list_credentials() for name, value in credential.env}
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
        "GOOGLE_GENAI_API_VERSION": "v1beta",  # version 3 of the SDK uses v1 by default
        "GOOGLE_API_KEY": api_key,
        "GEMINI_API_KEY": api_key,
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }
