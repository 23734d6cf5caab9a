"""Mutants: each is declared well, differs from the mock, and distorts nothing but its own operations."""

from __future__ import annotations

import re
from collections import Counter

import httpx2
import pytest

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError
from aione_mock.mutants import MUTANTS, find_mutant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

KEY = "sk-nex-demo-every-model"
NOW = "2026-11-20T10:30:00Z"

CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Name three rivers"}]}


def test_there_are_enough_of_them_over_all_areas() -> None:
    assert len(MUTANTS) >= 40
    areas = Counter(mutant.area for mutant in MUTANTS.values())
    assert set(areas) == {"streams", "chat", "limits", "access", "keys", "usage", "billing", "modelrouter", "outages",
                          "embeddings", "responses"}  # fmt: skip


def test_each_is_declared_well(extended_app: Mock) -> None:
    for name, mutant in MUTANTS.items():
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert mutant.title
        assert mutant.found_by, name
        assert set(mutant.operations) <= set(extended_app.contract.operations), name


def test_an_unknown_one_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'usage_frozen'"):
        find_mutant("usage_frozn")
    with pytest.raises(ConfigError, match="unknown mutant"):
        create_app(Settings(mutant="none_such"))


@pytest.mark.parametrize(
    ("name", "path", "body", "seen"),
    [
        ("stream_without_done", "/v1/chat/completions", {**CHAT, "stream": True}, lambda r: b"[DONE]" not in r.content),
        ("usage_off_by_one", "/v1/chat/completions", CHAT, lambda r: r.json()["usage"]["total_tokens"]
         != r.json()["usage"]["prompt_tokens"] + r.json()["usage"]["completion_tokens"]),
        ("errors_nested", "/v1/chat/completions", {}, lambda r: "detail" in r.json()),
        ("request_id_missing", "/v1/chat/completions", CHAT, lambda r: "x-request-id" not in r.headers),
        ("emoji_500", "/v1/chat/completions", {**CHAT, "messages": [{"role": "user", "content": "🙂"}]},
         lambda r: r.status_code == 500),
        ("model_listed_only", "/v1/models", None, lambda r: "gpt-phantom" in r.text),
    ],
)  # fmt: skip
def test_a_mutant_is_wrong_as_it_says_and_the_mock_is_not(
    server: Server, name: str, path: str, body: object, seen: object
) -> None:
    def ask(url: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {KEY}"}
        method = "POST" if body is not None else "GET"
        return httpx2.request(method, url + path, json=body, headers=headers, trust_env=False)

    assert callable(seen)
    assert not seen(ask(server.url))
    with Server(create_app(Settings(now=parse_instant(NOW), mutant=name))) as mutated:
        assert seen(ask(mutated.url))
        assert httpx2.get(f"{mutated.url}/_mock/health", trust_env=False).status_code == 200
