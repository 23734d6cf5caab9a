"""Tests with models, keys and organisations of their own."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from aione_mock import MockSession
from aione_mock.errors import ConfigError
from aione_mock.testing import MockServer
from aione_mock.testing.sdk_clients import make_openai_client
from tests.plugin.test_fixtures import suite

pytest_plugins = ["pytester"]
__all__ = ["suite"]
QUESTION: Any = [{"role": "user", "content": "How long does a refund take?"}]
WORLD = """
extends: default
label: ours
name: Our organisation
keys:
  - {name: own, secret: sk-our-own-key, models_allowed: [our-own]}
"""


def ask(mock: MockSession, model: str, key: str | None = None) -> str:
    with make_openai_client(mock) as client:
        answer = client.with_options(api_key=key or mock.api_key).chat.completions.create(
            model=model, messages=QUESTION
        )
    return answer.model


@pytest.mark.aione_mock(models=["our-own", {"id": "tiny", "context_length": 1000, "aliases": ["small"]}])
def test_models_of_the_marker_are_served_besides_the_bundled_ones(aione_mock: MockSession) -> None:
    assert [ask(aione_mock, name) for name in ("our-own", "small", "gpt-5.4")] == ["our-own", "tiny", "gpt-5.4"]
    with pytest.raises(openai.NotFoundError):
        ask(aione_mock, "no-such-model")


def test_other_tests_do_not_have_them(aione_mock: MockSession) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(aione_mock, "our-own")


@pytest.mark.aione_mock(models="any")
def test_any_name_is_a_model(aione_mock: MockSession) -> None:
    assert ask(aione_mock, "no-such-model") == "no-such-model"


@pytest.mark.aione_mock(
    keys=[{"name": "two a minute", "rpm_limit": 2}, {"label": "sonnet", "models_allowed": ["claude-sonnet-4-6"]}]
)
def test_keys_of_the_marker_have_their_limits(aione_mock: MockSession) -> None:
    assert aione_mock.api_key == aione_mock.api_keys["two a minute"]
    assert aione_mock.env()["OPENAI_API_KEY"] == aione_mock.api_key
    ask(aione_mock, "gpt-5.4")
    ask(aione_mock, "gpt-5.4")
    with pytest.raises(openai.RateLimitError):
        ask(aione_mock, "gpt-5.4")
    with pytest.raises(openai.PermissionDeniedError):
        ask(aione_mock, "gpt-5.4", aione_mock.api_keys["sonnet"])
    assert ask(aione_mock, "gpt-5.4", aione_mock.api_keys["demo"]) == "gpt-5.4"


def test_sessions_of_one_world_share_a_server(aione_mock_server: MockServer) -> None:
    with (
        aione_mock_server.session(models=["our-own"]) as one,
        aione_mock_server.session(models=["our-own"]) as same,
        one.session() as inherited,
        aione_mock_server.session() as other,
    ):
        roots = [each.base_url.partition("/_session")[0] for each in (one, same, inherited, other)]
        assert roots[0] == roots[1] == roots[2] != roots[3] == aione_mock_server.url
        assert ask(inherited, "our-own") == "our-own"


def test_a_world_file_lies_beside_the_test(suite: pytest.Pytester) -> None:
    suite.path.joinpath("world.yaml").write_text(WORLD)
    suite.path.joinpath("models.yaml").write_text("extends: default\nmodels: [{id: our-own}]\n")
    suite.makepyfile(
        """
        import openai, pytest

        @pytest.mark.aione_mock(models="models.yaml", world="world.yaml")
        def test_it(aione, aione_openai):
            client = aione_openai.with_options(api_key="sk-our-own-key")
            ask = client.chat.completions.create
            question = [{"role": "user", "content": "hi"}]
            assert ask(model="our-own", messages=question).model == "our-own"
            with pytest.raises(openai.PermissionDeniedError):
                ask(model="gpt-5.4", messages=question)
        """
    )
    suite.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"models": [{"id": "m", "contxt": 1}]}, ConfigError, "contxt"),
        ({"keys": [{"name": "k", "models": []}]}, ConfigError, r"keys\[0\].models: .* did you mean 'models_allowed'"),
        ({"models": "none.yaml"}, ConfigError, "none.yaml"),
        ({"keys": [{"name": "k", "models_allowed": ["nope"]}]}, ConfigError, "nope"),
        ({"keys": [{"name": "k"}], "world": "w.yaml"}, TypeError, "write the keys into world="),
        ({"keys": {"name": "k"}}, TypeError, "keys= is a list such as"),
        ({"models": 7}, TypeError, "models= is a list of names, a path or 'any', not 7"),
    ],
)
def test_mistakes_are_said_in_one_line(
    aione_mock_server: MockServer, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        aione_mock_server.session(**options)
    assert "\n" not in str(raised.value)


def test_a_mock_elsewhere_cannot_have_another_world(suite: pytest.Pytester, session_url: str) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.aione_mock(models=["our-own"])
        def test_it(aione):
            pass
        """
    )
    url = session_url.partition("/_session")[0]
    result = suite.runpytest("-p", "no:cacheprovider", "--aione-mock-url", url)
    result.assert_outcomes(errors=1)
    lines = [line for line in result.outlines if line.startswith("E ")]
    assert len(lines) == 1
    assert lines[0].endswith(f"models cannot change on the mock at {url}; start that one with them")
