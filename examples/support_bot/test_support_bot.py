"""Tests of the bot without a model: run `pytest` in this folder."""

from __future__ import annotations

import openai
import pytest
from support_bot import Shop, SupportBot, Unfinished, client, main

ORDERS = {4711: "on its way", 4712: "in the workshop"}


@pytest.fixture
def shop():
    return Shop(dict(ORDERS))


@pytest.fixture
def bot(aione_env, shop):
    return SupportBot(client(), shop)


def ask(bot, question="Where is my order?"):
    return "".join(bot.answer(question))


def test_it_streams_the_answer(bot, aione_mock):
    aione_mock.reply(chunks=["We open ", "at nine."])
    assert list(bot.answer("When do you open?")) == ["We open ", "at nine."]
    aione_mock.assert_called("createChatCompletion", times=1, stream=True, text="open", tool_offered="find_order")


def test_it_looks_up_the_order(bot, aione_mock):
    aione_mock.reply(tool_calls={"find_order": {"number": 4711}})
    aione_mock.reply("It is on its way.", when={"tool_result": "find_order"})
    assert ask(bot, "Where is order 4711?") == "It is on its way."
    result = aione_mock.last_call.body["messages"][-1]
    assert result["content"] == '{"number": 4711, "status": "on its way"}'
    aione_mock.assert_no_unused_replies()


def test_it_runs_every_tool_that_is_called(bot, aione_mock, shop):
    aione_mock.reply(
        tool_calls=[
            {"name": "start_refund", "arguments": {"number": 4711}},
            {"name": "start_refund", "arguments": {"number": 1}},
        ]
    )
    aione_mock.reply("One of them could be refunded.")
    ask(bot)
    assert shop.refunds == [4711]
    assert len(aione_mock.last_call.tool_results) == 2


@pytest.mark.aione_mock(rules="refunds.yaml")
def test_a_refund(bot, aione_mock, shop):
    assert ask(bot, "I want a refund for order 4712.") == "Your refund is on its way."
    assert shop.refunds == [4712]
    aione_mock.assert_called(times=2)


def test_it_retries_after_a_rate_limit(bot, aione_mock):
    aione_mock.fail("rate_limit_exceeded", retry_after=1)
    aione_mock.reply("Here you are.")
    assert ask(bot) == "Here you are."
    assert [call.status for call in aione_mock.calls] == [429, 200]


def test_it_gives_up_after_three_attempts(bot, aione_mock):
    aione_mock.fail("upstream_unavailable", times=None, retry_after=1)
    with pytest.raises(openai.InternalServerError):
        ask(bot)
    aione_mock.assert_called(times=3, status=503)


def test_a_partial_answer_is_an_error(bot, aione_mock):
    aione_mock.reply("A long answer that will not arrive as a whole.")
    ask(bot)
    aione_mock.stream_fault("cut", after=3)
    with pytest.raises(openai.APIConnectionError):
        ask(bot)
    aione_mock.stream_fault("no_finish")
    with pytest.raises(Unfinished):
        ask(bot)


def test_a_model_that_keeps_calling_tools(bot, aione_mock):
    aione_mock.reply(tool_calls={"find_order": {"number": 4711}}, times=None)
    with pytest.raises(Unfinished, match="keeps calling"):
        ask(bot)


@pytest.mark.parametrize(("error", "code", "word"), [(None, 0, ""), ("internal_error", 1, "InternalServerError")])
def test_the_command(aione_env, aione_mock, monkeypatch, capsys, error, code, word):
    monkeypatch.setattr("sys.argv", ["support_bot.py", "Where is order 4711?"])
    aione_mock.reply("On its way.") if error is None else aione_mock.fail(error, times=None)
    assert main() == code
    assert word in capsys.readouterr().err


def test_it_is_resilient(aione_mock, shop):
    def ask_bot(mock):
        bot = SupportBot(client(base_url=mock.openai_base_url, api_key=mock.api_key, timeout=0.5), shop)
        return ask(bot, "Where is order 4711? Tell me about bicycles too.")

    aione_mock.assert_resilient(ask_bot, patience=8)
