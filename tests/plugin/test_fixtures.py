"""Every fixture, the marker and the options, in a test suite of their own."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest

from aione_mock import mock_server
from aione_mock.server.http import Server
from tests.timing import duration, measure_slowness

pytest_plugins = ["pytester"]
ASK = """
def ask(client, text="Hello", **more):
    answer = client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": text}], **more)
    return answer if more.get("stream") else answer.choices[0].message.content
"""


@pytest.fixture(autouse=True)
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty test suite with a helper to ask a model."""
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(helper=ASK)
    return pytester


def passes(suite: pytest.Pytester, code: str, *options: str, count: int = 1) -> None:
    suite.makepyfile(test_it=code)
    suite.runpytest("-p", "no:cacheprovider", "--strict-markers", *options).assert_outcomes(passed=count)


def fails(suite: pytest.Pytester, code: str, *options: str) -> list[str]:
    """Return the lines that a failing test shows."""
    suite.makepyfile(test_it=code)
    result = suite.runpytest("-p", "no:cacheprovider", *options)
    assert result.ret == 1
    return [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E ")]


def test_the_session_begins_at_the_same_instant_with_the_same_words(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        from helper import ask
        import pytest

        said = []

        @pytest.mark.parametrize("turn", [1, 2])
        def test_fresh(aione_mock, aione_openai, turn):
            assert aione_mock.now.isoformat() == "2026-04-07T09:30:00+00:00"
            assert aione_mock.calls == []
            said.append(ask(aione_openai))
            assert len(aione_mock.calls) == 1 and said[0] == said[-1] != ""
        """,
        count=2,
    )


def test_awkward_answers(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import json

        import pytest
        from helper import ask

        TOOLS = [{"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}]

        def test_with_conditions_and_times(aione, aione_openai):
            aione.awkward("fenced_json", times=2, when={"text": "JSON"})
            aione.awkward("invented_tool")
            aione.awkward("empty_answer", times=None)
            assert ask(aione_openai, "Give me JSON").startswith("```json")
            assert ask(aione_openai, "Give me refunds") == ""
            assert "".join(
                chunk.choices[0].delta.content or "" for chunk in ask(aione_openai, "JSON, please", stream=True)
            ).endswith("```")
            assert ask(aione_openai, "More JSON") == ""
            assert ask(aione_openai, "My refund", tools=TOOLS) is None
            assert aione.last_call.response["choices"][0]["message"]["tool_calls"][0]["function"]["name"] != "refund"

        @pytest.mark.aione_mock(scenario="echoed_prompt", strict=True)
        def test_for_all_calls(aione_openai):
            assert ask(aione_openai, "Hello?") == "Hello?"

        @pytest.mark.aione_mock(rules=[{"then": {"sequence": [{"awkward": "whitespace_only"}, {}]}}])
        def test_in_a_rule(aione_openai):
            assert ask(aione_openai).isspace()
            assert not ask(aione_openai).isspace()
        """,
        count=3,
    )


def test_base_url_and_key(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import httpx2

        def test_plain_http(aione_mock, aione_base_url, aione_api_key):
            assert aione_base_url == aione_mock.base_url and "/_session/test_plain_http-" in aione_base_url
            answer = httpx2.get(f"{aione_base_url}/v1/models", headers={"authorization": f"Bearer {aione_api_key}"})
            assert answer.status_code == 200
            aione_mock.assert_called("listModels", times=1, status=200)
        """,
    )


def test_environment_aims_every_sdk_at_the_session(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "somebody-elses")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    passes(
        suite,
        """
        import os
        from helper import ask

        def test_openai(aione_env, aione_mock):
            from openai import OpenAI

            aione_mock.reply("Good morning")
            assert ask(OpenAI()) == "Good morning"
            assert "openai-organization" not in aione_mock.last_call.headers
            assert aione_env["OPENAI_BASE_URL"] == os.environ["OPENAI_BASE_URL"] == aione_mock.openai_base_url
            assert os.environ["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"

        def test_anthropic(aione_env, aione_mock):
            from anthropic import Anthropic

            aione_mock.reply("Good evening")
            asked = [{"role": "user", "content": "Hello"}]
            answer = Anthropic().messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=asked)
            assert answer.content[0].text == aione_mock.last_call.text == "Good evening"

        def test_google(aione_env, aione_mock):
            from google import genai

            aione_mock.reply("Good night")
            client = genai.Client()
            assert client.models.generate_content(model="gemini-2.5-flash", contents="Hello").text == "Good night"
            assert aione_mock.last_call.operation == "generateContent"
            assert aione_mock.last_call.asked == "Hello"

        def test_application(aione_env, aione_mock, aione_api_key):
            assert os.environ["AIONE_BASE_URL"] == aione_mock.base_url
            assert os.environ["AIONE_API_KEY"] == aione_api_key
            assert os.environ["AIONE_CONSOLE_TOKEN"]
        """,
        count=4,
    )
    suite.makepyfile(test_after="import os\ndef test_it():\n    assert os.environ['OPENAI_ORG_ID'] == 'org-mine'\n")
    suite.runpytest("test_after.py").assert_outcomes(passed=1)


def test_ready_clients(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import openai, pytest
        from helper import ask

        def test_openai(aione_openai, aione_mock):
            aione_mock.fail("rate_limit_exceeded")
            with pytest.raises(openai.RateLimitError):
                ask(aione_openai)
            assert len(aione_mock.calls) == 1

        async def test_async_openai(aione_async_openai, aione_mock):
            aione_mock.reply(chunks=["a", "b", "c"])
            stream = await aione_async_openai.chat.completions.create(
                model="gpt-5.4", messages=[{"role": "user", "content": "Hi"}], stream=True)
            pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
            assert [piece for piece in pieces if piece] == ["a", "b", "c"]

        def test_anthropic(aione_anthropic, aione_mock):
            aione_mock.reply("Yes")
            asked = [{"role": "user", "content": "Hello"}]
            answer = aione_anthropic.messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=asked)
            assert answer.content[0].text == "Yes"
        """,
        "-W",
        "error",
        count=3,
    )


def test_a_missing_sdk_is_a_skip_that_says_why(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_it="""
        import sys, pytest

        @pytest.fixture(autouse=True)
        def without(monkeypatch):
            for name in ("openai", "anthropic"):
                monkeypatch.setitem(sys.modules, name, None)

        def test_openai(without, aione_openai): pass
        def test_async_openai(without, aione_async_openai): pass
        def test_anthropic(without, aione_anthropic): pass
        """
    )
    result = suite.runpytest("-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(
        [
            "*aione_openai needs the openai SDK: pip install openai",
            "*aione_async_openai needs the openai SDK: pip install openai",
            "*aione_anthropic needs the anthropic SDK: pip install anthropic",
        ],
        consecutive=False,
    )


def test_works_with_anyio(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import pytest

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        async def test_it(aione_async_openai, aione_mock):
            aione_mock.reply("Yes")
            answer = await aione_async_openai.chat.completions.create(
                model="gpt-5.4", messages=[{"role": "user", "content": "Hi"}])
            assert answer.choices[0].message.content == "Yes"
        """,
        "-p",
        "no:asyncio",
        "-o",
        "asyncio_mode=",
        "-W",
        "ignore::pytest.PytestConfigWarning",
    )


def test_own_wiring(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import pytest
        from helper import ask

        @pytest.fixture(scope="module")
        def shop(aione_mock_server):
            with aione_mock_server.session("shop", seed="shop", pace="instant") as mock:
                yield mock

        def test_first(shop):
            shop.reply("for all tests", times=None)
            assert shop.base_url.startswith(shop.base_url.split("/_session/")[0])

        def test_second(shop, aione_mock_server):
            from openai import OpenAI
            assert ask(OpenAI(base_url=shop.openai_base_url, api_key=shop.api_key)) == "for all tests"
            assert shop.base_url.startswith(aione_mock_server.url)
        """,
        count=2,
    )


MARKED = """
import pytest
from helper import ask

pytestmark = pytest.mark.aione_mock(seed=7)

def test_seed(aione_mock, aione_openai, aione_mock_server):
    with aione_mock_server.session(seed=8) as other:
        from openai import OpenAI
        client = OpenAI(base_url=other.openai_base_url, api_key=other.api_key)
        assert ask(aione_openai, "whales") != ask(client, "whales")

@pytest.mark.aione_mock(now="2026-01-31T23:59:00Z")
def test_now(aione_mock):
    assert str(aione_mock.now) == "2026-01-31 23:59:00+00:00"

@pytest.mark.aione_mock(scenario="rate_limit_exceeded; times=1; retry_after=3")
def test_scenario(aione_mock, aione_openai):
    import openai
    aione_mock.reply("after it")
    with pytest.raises(openai.RateLimitError) as caught:
        ask(aione_openai)
    assert caught.value.response.headers["retry-after"] == "3"
    assert ask(aione_openai) == "after it"

@pytest.mark.aione_mock(rules=[{"when": {"text": "refund"}, "then": {"reply": {"text": "Five days."}}}])
def test_rules(aione_mock, aione_openai):
    aione_mock.reply("first of all")
    assert [ask(aione_openai, "a refund?") for _ in range(3)] == ["first of all", "Five days.", "Five days."]

@pytest.mark.aione_mock(rules="mine.yaml")
def test_file(aione_mock, aione_openai):
    assert ask(aione_openai) == "from a file"

@pytest.mark.aione_mock(pace={"ttft": 0.3})
def test_pace(aione_mock, aione_openai):
    import time
    began = time.perf_counter()
    ask(aione_openai)
    assert time.perf_counter() - began > 0.28
"""


def test_marker(suite: pytest.Pytester) -> None:
    suite.makefile(".yaml", mine="rules:\n  - then: {reply: {text: from a file}}\n")
    passes(suite, MARKED, count=6)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "sed=7",
            "TypeError: @pytest.mark.aione_mock has no option 'sed'; did you mean 'seed'? "
            "It takes seed, scenario, rules, pace, now, replay, replay_only, models, keys, world, strict",
        ),
        (
            "zzz=7",
            "TypeError: @pytest.mark.aione_mock has no option 'zzz'; "
            "it takes seed, scenario, rules, pace, now, replay, replay_only, models, keys, world, strict",
        ),
        ("7", "TypeError: @pytest.mark.aione_mock takes keywords only, such as seed=7; it was given 7"),
        ("now='yesterday'", "*'yesterday' is not an ISO 8601 time such as 2026-01-31T09:00:00Z"),
        ("scenario='rate_limted'", "*unknown scenario 'rate_limted'; did you mean 'rate_limit_exceeded'?"),
        ("pace='slow'", "*'slow' is not a pace; use instant, realistic or 'pace; ttft=0.5; tps=20'"),
        ("pace='pace; ttft=soon'", "*ttft*"),
        ("pace='cut'", "*'cut' is not a pace; use instant, realistic or 'pace; ttft=0.5; tps=20'"),
        ("rules='none.yaml'", "*cannot read the scenario file '*none.yaml': No such file or directory"),
        ("rules=[{'then': {'eror': 'x'}}]", "*rules/0/then/eror: unknown member 'eror'; did you mean 'error'?"),
        ("rules='wrong.yaml'", "*wrong.yaml: rules/1/then/eror: unknown member 'eror'; did you mean 'error'?"),
    ],
)
def test_a_wrong_marker_says_what_is_right(suite: pytest.Pytester, marker: str, message: str) -> None:
    suite.makefile(".yaml", wrong="rules: [{then: {error: not_found}}, {then: {eror: x}}]")
    suite.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.aione_mock({marker})\ndef test_it(aione_mock): assert False\n"
    )
    result = suite.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E  *{message}"])
    shown = [line for line in result.outlines if "aione_mock/" in line and line.split(":")[0].endswith(".py")]
    assert not [line for line in shown if "testing" in line], "frames of the plugin are shown"


def test_seed_of_the_command_line(suite: pytest.Pytester) -> None:
    code = """
    import pytest
    from helper import ask

    def test_it(aione_openai):
        print("SAID", ask(aione_openai, "whales"))

    @pytest.mark.aione_mock(seed=3)
    def test_marked(aione_openai):
        print("SAID", ask(aione_openai, "whales"))
    """
    suite.makepyfile(test_it=code)

    def run_suite(*options: str) -> list[str]:
        return [line for line in suite.runpytest("-s", *options).outlines if "SAID" in line]

    usual, other = run_suite(), run_suite("--aione-mock-seed", "5")
    assert len(usual) == 2
    assert usual == run_suite("--aione-mock-seed=0")
    assert usual[0] != other[0]
    assert usual[1].split("SAID")[1] == other[1].split("SAID")[1]


WHOLE = """
import pytest, openai
from helper import ask

RULES = [{"then": {"reply": {"text": "rule"}}}]

@pytest.mark.aione_mock(seed=7, now="2026-01-31T23:59:00Z", pace="instant", rules=RULES)
def test_everything(aione_mock, aione_openai):
    assert str(aione_mock.now) == "2026-01-31 23:59:00+00:00"
    aione_mock.fail("rate_limit_exceeded", times=2)
    aione_mock.reply("Yes", when={"text": "really"})
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            ask(aione_openai)
    assert ask(aione_openai) == "rule"
    with pytest.raises(AssertionError, match="1 of 2 prepared replies was not used up"):
        aione_mock.assert_no_unused_replies()
    assert ask(aione_openai, "Really?") == "Yes"
    aione_mock.assert_no_unused_replies()
    aione_mock.advance("61s")
    assert str(aione_mock.now) == "2026-02-01 00:00:01+00:00"
    aione_mock.assert_called("createChatCompletion", times=4, model="gpt-5.4")
    aione_mock.assert_called(status=429, times=2)
    with pytest.raises(AssertionError, match="expected 1 call to listModels, found 0"):
        aione_mock.assert_called("listModels", times=1)
    with pytest.raises(Exception, match="did you mean 'rate_limit_exceeded'"):
        aione_mock.fail("rate_limted")
    assert [call.status for call in aione_mock.calls] == [429, 429, 200, 200]
    assert aione_mock.last_call.text == "Yes" and aione_mock.last_call.usage.total > 0
    aione_mock.reset()
    assert aione_mock.calls == [] and str(aione_mock.now) == "2026-01-31 23:59:00+00:00"

@pytest.mark.aione_mock(scenario="internal_error")
def test_scenario(aione_mock, aione_openai):
    with pytest.raises(openai.InternalServerError):
        ask(aione_openai)
"""


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_the_vocabulary_is_the_same_here_and_elsewhere(suite: pytest.Pytester, server: Server, where: str) -> None:
    before = len(server.app.sessions)
    passes(suite, WHOLE, *(["--aione-mock-url", server.url + "/"] if where == "elsewhere" else []), count=2)
    assert len(server.app.sessions) == before, "sessions are left behind"


def test_nobody_answers_at_the_url(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it="def test_it(aione_mock): pass\n")
    result = suite.runpytest("--aione-mock-url", "http://127.0.0.1:9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*aione-mock: no mock answers at http://127.0.0.1:9: *; start one with `aione-mock serve`"]
    )
    assert "Traceback" not in result.stdout.str()


def test_help_and_markers(suite: pytest.Pytester) -> None:
    suite.runpytest("--help").stdout.fnmatch_lines(
        ["aione-mock, a mock of*", "*--aione-mock-url=URL*", "*--aione-mock-seed=SEED*"]
    )
    suite.runpytest("--markers").stdout.fnmatch_lines(
        [
            "@pytest.mark.aione_mock(*seed, scenario, rules, pace, now, replay, replay_only, models, keys, world, strict)*"  # noqa: E501
        ]
    )


HEAVY = ("starlette", "uvicorn", "schemathesis", "hypothesis_jsonschema", "faker", "openai", "anthropic", "orjson",
         "jsonschema_rs", "yaml", "httpx2", "aione_mock.testing.session",
         "aione_mock.server.app", "aione_mock.settings")  # fmt: skip


def test_it_costs_nothing_when_unused(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile(
        test_it=f"""
        import sys

        def test_nothing_is_loaded():
            assert "aione_mock.testing.pytest_plugin" in sys.modules
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
        """
    )
    # other plugins load what this one must not
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    suite.makeini("[pytest]")
    suite.runpytest_subprocess("-p", "aione_mock.testing.pytest_plugin").assert_outcomes(passed=1)


def test_the_package_alone_is_light() -> None:
    code = f"import sys, aione_mock; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def in_workers(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *options: str) -> pytest.RunResult:
    # each worker loads every plugin that is installed, which would take most of the time
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    suite.makeini("[pytest]")
    return suite.runpytest_subprocess(
        "-p", "xdist", "-p", "aione_mock.testing.pytest_plugin", "-n", "4", "-q", *options
    )


def test_four_workers_do_not_see_each_other(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile(
        test_it="""
        import httpx2, pytest

        http = httpx2.Client()

        @pytest.mark.parametrize("number", range(400))
        def test_mine(aione_mock, number):
            aione_mock.reply(f"answer {number}")
            asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"question {number}"}]}
            headers = {"authorization": f"Bearer {aione_mock.api_key}"}
            answer = http.post(f"{aione_mock.openai_base_url}/chat/completions", json=asked, headers=headers)
            assert answer.json()["choices"][0]["message"]["content"] == f"answer {number}"
            assert [call.asked for call in aione_mock.calls] == [f"question {number}"]
            aione_mock.assert_no_unused_replies()
        """
    )
    in_workers(suite, monkeypatch).assert_outcomes(passed=400)


def test_four_workers_share_a_server_elsewhere(
    suite: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(
        test_it="""
        import httpx2, pytest

        http = httpx2.Client()

        @pytest.mark.parametrize("number", range(40))
        def test_mine(aione_mock, number):
            assert aione_mock.calls == []
            aione_mock.reply(f"answer {number}")
            asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "same for all"}]}
            headers = {"authorization": f"Bearer {aione_mock.api_key}"}
            answer = http.post(f"{aione_mock.openai_base_url}/chat/completions", json=asked, headers=headers)
            assert answer.json()["choices"][0]["message"]["content"] == f"answer {number}"
        """
    )
    before = {session.name for session in server.app.sessions}
    in_workers(suite, monkeypatch, "--aione-mock-url", server.url).assert_outcomes(passed=40)
    assert {session.name for session in server.app.sessions} == before


def test_what_a_test_costs(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_empty="""
        import pytest

        @pytest.mark.parametrize("number", range(200))
        def test_it(number): pass
        """,
        test_mock="""
        import pytest

        @pytest.mark.parametrize("number", range(200))
        def test_it(aione_mock, number): pass
        """,
    )

    def seconds(name: str) -> float:
        """Return the first quartile of the time from the start of a test to the start of the next."""
        recorder = suite.inline_run("-q", name)
        recorder.assertoutcome(passed=200)
        starts = [r.start for r in recorder.getreports("pytest_runtest_logreport") if r.when == "setup"]
        return sorted(later - earlier for earlier, later in pairwise(starts[1:]))[len(starts) // 4]

    def cost() -> float:
        slow = measure_slowness()
        empty = min(seconds("test_empty.py") for _ in range(2))
        return (min(seconds("test_mock.py") for _ in range(2)) - empty) / slow

    # other processes may spoil one attempt
    assert any(cost() < 0.005 for _ in range(3))


def test_the_server_is_up_soon() -> None:
    from aione_mock.testing import MockServer, start_server

    servers = list[MockServer]()
    try:
        assert duration(lambda: servers.append(start_server())) < 0.3
    finally:
        for server in servers:
            server.close()


def test_unittest() -> None:
    command = [sys.executable, "-m", "unittest", "tests.plugin.unittest_suite"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr
    assert "Traceback" not in done.stderr


EMBED = """
    def test_vectors(aione_openai, aione_mock):
        answer = aione_openai.embeddings.create(model="text-embedding-3-small", input="Hello", dimensions=8)
        assert len(answer.data[0].embedding) == 8
        assert aione_mock.calls[0].operation == "createEmbedding"
    """


def test_extensions_are_added_by_option_or_ini_file(suite: pytest.Pytester) -> None:
    passes(suite, EMBED, "--aione-mock-with", "embeddings")
    passes(suite, EMBED, "-o", "aione_mock_with=embeddings")
    assert "NotFoundError" in "".join(fails(suite, EMBED))
    suite.runpytest("-p", "no:cacheprovider", "--aione-mock-with", "pictures").stdout.fnmatch_lines(
        ["aione-mock: --with: there is no extension 'pictures'; choose from embeddings, responses"]
    )


def test_replies_and_assertions_work_on_responses(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        TOOLS = [{"type": "function", "name": "refund", "parameters": {"type": "object", "properties": {}}}]

        def test_conversation(aione_openai, aione_mock):
            aione_mock.reply(tool_calls=[{"name": "refund", "arguments": {}}])
            aione_mock.reply("It is on its way.")
            create = aione_openai.responses.create
            first = create(model="gpt-5.4", instructions="Be kind.", input="I want my money back", tools=TOOLS)
            result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "done"}
            second = create(model="gpt-5.4", input=[*first.output, result], tools=TOOLS)
            assert second.output_text == "It is on its way."
            aione_mock.assert_prompt(contains="money back", system="Be kind.")
            aione_mock.assert_tool_trajectory(["refund"])
            assert aione_mock.calls[0].asked == "I want my money back"
            aione_mock.assert_tokens(max_total=500)
            aione_mock.assert_schema()
        """,
        "--aione-mock-with",
        "responses",
        "--aione-mock-strict",
    )


def test_extensions_of_a_server_of_one_s_own() -> None:
    with mock_server(extensions=["embeddings"]) as mock:
        answer = httpx2.post(
            f"{mock.base_url}/v1/embeddings",
            json={"model": "text-embedding-3-small", "input": "Hello"},
            headers={"authorization": f"Bearer {mock.api_key}"},
        )
        assert answer.status_code == 200
