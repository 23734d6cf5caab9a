"""Strict tests, and what a report shows of a failed test, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aione_mock.testing.messages import GUIDE
from tests.plugin.test_fixtures import passes, suite

pytest_plugins = ["pytester"]
__all__ = ["suite"]
HEAD = "import pytest\nfrom helper import ask\n\n"
LONG = "'long ' * 1_000_000"


def report(suite: pytest.Pytester, body: str, *options: str, marker: str = "strict=True") -> list[str]:
    """Return the lines of the report of a test that fails."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    mark = f"@pytest.mark.aione_mock({marker})\n" if marker else ""
    suite.makepyfile(test_it=f"{HEAD}{mark}def test_it(aione, aione_openai):\n{lines}\n")
    result = suite.runpytest("-p", "no:cacheprovider", *options)
    result.assert_outcomes(failed=1)
    start = next(i for i, line in enumerate(result.outlines) if " test_it " in line)
    end = next(i for i, line in enumerate(result.outlines) if "short test summary" in line)
    return [line.strip() for line in result.outlines[start + 1 : end]]


def test_an_unanswered_call(suite: pytest.Pytester) -> None:
    assert report(
        suite,
        """
aione.reply("Five days.", when={"text": "refund"})
ask(aione_openai, "A refund, please")
ask(aione_openai, "Where is order 4711?")
aione_openai.models.list()
""",
    ) == [
        "strict: 1 call was answered by no prepared reply and no rule, of 3 in 'test_it-1'",
        "",
        "2. POST /v1/chat/completions  → 200  gpt-5.4  “Where is order 4711?”",
        "nearest is reply-1: reply “Five days.” when {'text': 'refund'}",
        "the last user message 'Where is order 4711?' does not contain 'refund'",
        "to prepare an answer: aione_mock.reply(\"…\", when={'text': 'Where is order 4711?'})",
        "",
        f"See {GUIDE}, “Strict tests”.",
    ]


def test_a_reply_that_others_have_used_up(suite: pytest.Pytester) -> None:
    lines = report(suite, "aione.reply('Five')\nask(aione_openai, 'one')\nask(aione_openai, 'a\\n' + 'b' * 90)")
    assert lines[3:6] == [
        "nearest is reply-1: reply “Five”",
        "earlier calls have used it up",
        f"to prepare an answer: aione_mock.reply(\"…\", when={{'text': '{'b' * 60}'}})",
    ]


def test_an_unused_reply(suite: pytest.Pytester) -> None:
    lines = report(suite, "aione.reply('Five', times=2)\nask(aione_openai, 'A refund')")
    assert lines[:4] == [
        "1 of 1 prepared replies was not used up",
        "",
        "reply-1: reply “Five”",
        "used 1 of 2 times",
    ]


@pytest.mark.parametrize("options", [("--aione-mock-strict",), ("-o", "aione_mock_strict=true")])
def test_strict_for_all_tests(suite: pytest.Pytester, options: tuple[str, ...]) -> None:
    assert report(suite, "ask(aione_openai)", *options, marker="")[3] == "no reply was prepared"


def test_all_is_prepared(suite: pytest.Pytester, tmp_path: Path) -> None:
    passes(
        suite,
        """
        import aione_mock, openai, pytest
        from helper import ask

        RULES = [{"id": "any", "when": {"text": "order"}, "then": {"reply": {"text": "Sent."}}}]

        @pytest.mark.aione_mock(strict=True, rules=RULES)
        def test_rules_and_replies(aione, aione_openai):
            aione.reply("Five days.")
            aione.pace(ttft=0.001)
            assert [ask(aione_openai, "A refund"), ask(aione_openai, "My order")] == ["Five days.", "Sent."]

        @pytest.mark.aione_mock(strict=False)
        def test_the_nearest_marker_wins(aione_openai):
            ask(aione_openai)

        def test_without_pytest():
            with pytest.raises(AssertionError, match="no reply was prepared"):
                with aione_mock.mock_server(strict=True) as mock:
                    ask(openai.OpenAI(base_url=mock.openai_base_url, api_key=mock.api_key))

        def test_a_cassette_and_the_mock():
            with pytest.raises(TypeError, match="strict=True needs replay_only=True"):
                aione_mock.mock_server(strict=True, replay="calls.yaml", replay_only=False).__enter__()
        """,
        "--aione-mock-strict",
        count=4,
    )


def test_an_awkward_answer_that_a_call_lacks_something_for(suite: pytest.Pytester) -> None:
    assert report(suite, "aione.awkward('invented_tool')\nask(aione_openai, 'A refund')")[2:5] == [
        "1. POST /v1/chat/completions  → 200  gpt-5.4  “A refund”",
        "nearest is awkward-1: awkward invented_tool",
        "'invented_tool' needs tools, but the request offers none that may be called",
    ]
    body = "aione.awkward('thinking_only')\nask(aione_openai)\naione.assert_no_unused_replies()"
    reason = "'thinking_only' needs a model that thinks, but the request asks for no thinking"
    assert any(line.endswith(reason) for line in report(suite, body, marker=""))


def test_a_reply_that_did_not_reach_the_client(suite: pytest.Pytester) -> None:
    lines = report(
        suite,
        f"aione.reply('Five')\nwith pytest.raises(Exception):\n    ask(aione_openai, {LONG})",
        marker="strict=True",
    )
    assert lines[0] == "1 of 1 prepared replies was not used up"
    assert lines[3] == "used 0 of 1 times"
    assert lines[5] == "got status 400 and not this reply, which it used up"


def test_a_failed_test_shows_its_calls_before_its_log(suite: pytest.Pytester) -> None:
    lines = report(
        suite,
        "import logging\nlogging.getLogger('app').debug('mine')\naione.reply('Hi')\nask(aione_openai)\nassert False",
        "--log-level=DEBUG",
    )
    start = next(i for i, line in enumerate(lines) if "aione-mock call" in line)
    assert lines[start + 1 : start + 4] == [
        "Calls in session 'test_it-1':",
        "1. POST /v1/chat/completions  → 200  gpt-5.4  “Hello”",
        "answered by reply-1",
    ]
    assert "Captured log call" in lines[start + 4]
    log = [line for line in lines[start + 5 :] if line.startswith(("DEBUG", "INFO"))]
    assert log[0].endswith("mine")
    assert len(log) == 1, "the log of the HTTP client is left out"
