"""Official clients need a real socket, and no proxy between them and it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

PROXIES = [name for word in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (word, word.upper())]
CREDENTIALS = [
    f"{maker}_{what}"
    for maker in ("OPENAI", "ANTHROPIC", "GOOGLE", "GEMINI")
    for what in ("API_KEY", "BASE_URL", "AUTH_TOKEN", "ORG_ID", "PROJECT_ID", "GENAI_USE_VERTEXAI")
]


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a developer has set for the real services reaches the clients."""
    for name in [*PROXIES, *CREDENTIALS]:
        monkeypatch.delenv(name, raising=False)
    return
