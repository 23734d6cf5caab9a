"""Prose is readable, drawn by the seed, and in the language of the question."""

from __future__ import annotations

import ast
import re
import unicodedata
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from aione_mock.model import prose, tokens
from aione_mock.seed import Seed
from aione_mock.settings import read_fixture
from aione_mock.types import ImageInput, Prompt, ToolResult, Turn
from tests.timing import cost

ENGLISH = [
    "Explain how event loops work in Python",
    "What is the capital of France?",
    "Tell me about my garden in winter.",
    "Summarise the quarterly report for the sales team.",
    "Why do cats purr?",
]
CHINESE = [
    "请介绍一下杭州的天气",
    "如何学习机器学习？",
    "为什么天空是蓝色的？",
    "帮我用 Python 分析销售数据",
    "怎样准备一次面试",
]
MATERIAL: dict[str, Any] = yaml.safe_load(read_fixture("prose.yaml"))
anything = st.text(st.characters(codec="utf-8"))
seeds = st.integers(0, 2**32).map(Seed.of)


def ask(text: str, *more: Turn, **options: Any) -> Prompt:
    return Prompt("tiny", (Turn("user", text), *more), **options)


def answer(seed: Seed, text: str) -> str:
    return prose.compose_prose(ask(text), seed).text


def think(seed: Seed, text: str, budget: int) -> str:
    return prose.compose_thoughts(ask(text, reasoning=budget), seed).text


def report(text: str, *results: ToolResult) -> str:
    turns = (Turn("assistant"), *[Turn("tool", results=(result,)) for result in results])
    return prose.compose_report(ask(text, *turns), Seed.of(1)).text


def result(text: str, *, is_error: bool = False) -> ToolResult:
    return ToolResult("call-1", "get_weather", text, is_error)


def is_chinese(text: str) -> bool:
    return sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 2


@given(seeds, anything, anything)
@example(Seed.of(0), "", "")
@example(Seed.of(0), 'say: "{topic}"', "{text}")
@example(Seed.of(0), "list ten things, hello 你好", '{"{tool}": "{text}"}')
def test_any_text_gets_words(seed: Seed, text: str, found: str) -> None:
    for said in (answer(seed, text), report(text, result(found), result(found, is_error=True)), think(seed, text, 50)):
        assert said.strip()


@given(seeds, st.sampled_from(ENGLISH + CHINESE), st.integers(1, 5000))
def test_same_seed_same_words(seed: Seed, text: str, budget: int) -> None:
    again = Seed(bytes(seed.key))
    assert answer(seed, text) == answer(again, text)
    assert think(seed, text, budget) == think(again, text, budget)


@pytest.mark.parametrize("text", ENGLISH + CHINESE)
def test_other_seed_other_words(text: str) -> None:
    assert len({answer(Seed.of(number), text) for number in range(100)}) >= 95


@given(seeds, st.sampled_from(ENGLISH), st.sampled_from(CHINESE))
def test_language_follows_the_last_user_message(seed: Seed, english: str, chinese: str) -> None:
    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", answer(seed, english))
    assert is_chinese(answer(seed, chinese))
    turned = ask(chinese, Turn("assistant", "好的。"), Turn("user", english))
    assert prose.compose_prose(turned, seed).text == answer(seed, english)
    assert is_chinese(think(seed, chinese, 200))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("12345 ?!", "en"),
        ("Translate 你好 into English", "en"),
        ("What does 你好世界 mean in English, please?", "en"),
        ("用Python写一个function", "zh"),
        ("请用 React 和 TypeScript 写一个登录页面", "zh"),
        ("Пожалуйста, объясни фотосинтез", "en"),
        ("a b c 你好世界", "zh"),
    ],
)
def test_language_of_mixed_text(text: str, language: str) -> None:
    assert prose.detect_language(text) == language


@given(seeds, st.sampled_from(ENGLISH + CHINESE))
def test_answers_are_a_few_sentences(seed: Seed, text: str) -> None:
    said = answer(seed, text)
    assert 5 <= len(re.findall(r"[.!?](?: |$)|[。！？]", said)) <= 6
    assert 40 <= len(prose.compose_prose(ask(text), seed)) <= 110
    assert not re.search(r"[{}<>\[\]_]|lorem|todo|xxx", said, re.I)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Explain how event loops work in Python", "Python"),
        ("What is the capital of France?", "capital"),
        ("Why do cats purr?", "cats"),
        ("Hello, what is photosynthesis?", "photosynthesis"),
        ("请介绍一下杭州", "杭州"),
        ("帮我用 Python 写一个排序", "Python"),
        ("What should I do?", "this subject"),
        ("x" * 2000, "this subject"),
        ("Compare ab7 and _x", "this subject"),
        ("please " * 1000 + "tea", "tea"),
        ("为什么？", "这个话题"),
    ],
)
def test_key_words(text: str, word: str) -> None:
    for number in range(10):
        assert word in answer(Seed.of(number), text)


@pytest.mark.parametrize(
    ("text", "bank"),
    [
        ("Hello!", "greeting"),
        ("hi there, how are you?", "greeting"),
        ("你好", "greeting"),
        ("Thanks!", "thanks"),
        ("谢谢你", "thanks"),
        ("bye", "farewell"),
        ("再见", "farewell"),
        ("highlights of the year", "prose"),
        ("List the planets", "list"),
        ("Make a list of rivers", "list"),
        ("Please listen", "prose"),
        ("列出三个城市", "list"),
        ("Write a Python function for sorting", "code"),
        ("写一个排序函数", "code"),
    ],
)
def test_kinds_of_answers(text: str, bank: str) -> None:
    words = MATERIAL[prose.detect_language(text)]
    openings = [re.escape(opening).replace(r"\{topic\}", r"[\w ]+") for opening in words[bank][0]]
    for number in range(10):
        assert re.match("|".join(openings), answer(Seed.of(number), text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Reply with exactly: pong", "pong"),
        ("Hi. Reply with exactly the words “pong ping” and stop", "pong ping"),
        ("Respond with just 'pong'", "pong"),
        ("Say this is a test", "this is a test"),
        ("please say: it's 5:00", "it's 5:00"),
        ("请你只回复：收到", "收到"),
        ("你好，请说“早点休息”。", "早点休息"),
        ("Question: where is Paris?\nAnswer: France", None),
        ("What did they say: yes or no", None),
        ("Reply with JSON: a list", None),
        ("他说：“明天下雨”", None),
        ("Say:", None),
        ("", None),
    ],
)
def test_wanted_texts(text: str, wanted: str | None) -> None:
    assert prose.find_wanted_text(text) == wanted


@given(st.text("Say: '\"Reply with exactly\n.“”请说回复：", max_size=300))
def test_wanted_texts_are_part_of_the_question(text: str) -> None:
    wanted = prose.find_wanted_text(text)
    assert wanted is None or (wanted and wanted in text)


@pytest.mark.parametrize("unit", ["say ", ". ", "\n", "please ", "reply with ", "'", "“", "请", "a"])
def test_long_questions_are_read_in_time(unit: str) -> None:
    # a quadratic expression would take minutes over this
    assert answer(Seed.of(1), unit * 200_000)


@given(seeds, st.sampled_from(ENGLISH + CHINESE + ["", "Hello", "list", "代码"]))
def test_the_tokens_of_an_answer_are_nearly_those_of_its_text(seed: Seed, text: str) -> None:
    said = prose.compose_prose(ask(text), seed)
    assert b"".join(said.encoded) == orjson.dumps(said.text)[1:-1]
    assert abs(len(said) - tokens.count_tokens(said.text)) <= 8


def test_python_snippets_compile() -> None:
    for number in range(10):
        (code,) = re.findall(r"```python\n(.*?)```", answer(Seed.of(number), "Write a Python function"), re.S)
        (function,) = ast.parse(code).body
        assert isinstance(function, ast.FunctionDef)


@pytest.mark.parametrize("text", ["It is sunny.", '"quoted"', "42", '{"a": [1, 2]}', "two\nlines"])
def test_results_are_quoted(text: str) -> None:
    said = report("What is up?", result(text))
    assert "get_weather" in said
    assert " ".join(text.split()) in said


def test_empty_results_and_unknown_tools() -> None:
    assert "nothing" in report("And?", result(" "))
    assert "没有内容" in report("然后呢？", result(""))
    assert "the tool" in report("And?", ToolResult("call-1", "", "sunny"))
    assert "工具" in report("然后呢？", ToolResult("call-1", "", "sunny"))


def test_failed_tools_are_regretted() -> None:
    assert re.search("sorry|unfortunately", report("Weather?", result("no such city", is_error=True)), re.I)
    assert re.search("抱歉|不好意思", report("天气怎么样？", result("no such city", is_error=True)))


def test_results_of_earlier_turns_are_not_quoted_again() -> None:
    old = (Turn("tool", results=(result("rain"),)), Turn("assistant", "Rain."), Turn("user", "And now?"))
    said = prose.compose_report(ask("Weather?", *old, Turn("tool", results=(result("sun"),))), Seed.of(1)).text
    assert "sun" in said
    assert "rain" not in said
    assert said.index("Oslo") < said.index("Rome") if (said := report("?", result("Oslo"), result("Rome"))) else None


@given(anything)
@example("葛\U000e0100" * 500)
def test_long_results_are_cut(text: str) -> None:
    assert tokens.count_tokens(report("Weather?", result(f"start {text * 50}"))) < 150


@pytest.mark.parametrize(
    ("images", "lead"),
    [
        ([("image/png", 640, 480)], "You sent a 640×480 PNG. "),
        ([("image/png", 1, 2), ("image/gif", 18, 9)], "You sent a 1×2 PNG, an 18×9 GIF. "),
        ([("image/*", 0, 0)], "You sent a picture whose address I know but have not opened. "),
    ],
)
def test_images_are_acknowledged(images: list[tuple[str, int, int]], lead: str) -> None:
    pictures = tuple([ImageInput(*image, digest="00") for image in images])
    said = prose.compose_prose(Prompt("tiny", (Turn("user", "What is this?", pictures),)), Seed.of(1)).text
    assert said == lead + answer(Seed.of(1), "What is this?")
    chinese = prose.compose_prose(Prompt("tiny", (Turn("user", "这是什么？", pictures),)), Seed.of(1)).text
    assert chinese.startswith("你发来了一张")


@given(seeds, st.sampled_from(ENGLISH + CHINESE), st.integers(-1, 300))
def test_thinking_keeps_its_budget(seed: Seed, text: str, budget: int) -> None:
    thought = prose.compose_thoughts(ask(text, reasoning=budget), seed)
    assert len(thought) <= max(budget, 0)
    assert bool(thought) == (budget > 0)


def test_both_languages_have_the_same_kinds() -> None:
    english, chinese = MATERIAL["en"], MATERIAL["zh"]
    assert english.keys() == chinese.keys()
    for kind, banks in english.items():
        if isinstance(banks, list) and isinstance(banks[0], list):
            assert len(banks) == len(chinese[kind])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sentences_differ_and_hold_one_key_word_at_most(language: str) -> None:
    for kind, banks in MATERIAL[language].items():
        for at, bank in enumerate(banks if isinstance(banks, list) and isinstance(banks[0], list) else ()):
            assert len(bank) == len(set(bank))
            assert {sentence.count("{topic}") for sentence in bank} <= {0, 1}, (kind, at)


def test_sentences_are_plain_text() -> None:
    text = orjson.dumps(MATERIAL).decode()
    assert all(unicodedata.category(c) not in ("Cf", "Co", "Cn", "Cs") for c in text)


def test_answers_are_cheap() -> None:
    for text in (ENGLISH[0], CHINESE[0], "word and " * 100_000):
        prompt, drawn = ask(text), [Seed.of(number) for number in range(200)]
        assert cost(lambda: [prose.compose_prose(prompt, seed) for seed in drawn]) / len(drawn) < 50e-6  # noqa: B023
