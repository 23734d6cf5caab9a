from __future__ import annotations

import ast
import re
import unicodedata

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aione_mock.model import prose, tokens, topic
from aione_mock.seed import Seed
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
anything = st.text(st.characters())
seeds = st.integers(0, 2**32).map(Seed.of)


def ask(text: str, *more: Turn) -> Prompt:
    return Prompt("tiny", (Turn("user", text), *more))


def used(question: str, *results: ToolResult) -> Prompt:
    return ask(question, Turn("assistant"), *[Turn("tool", results=(result,)) for result in results])


def result(text: str, *, is_error: bool = False) -> ToolResult:
    return ToolResult("call-1", "get_weather", text, is_error)


def is_chinese(text: str) -> bool:
    return sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 2


def answer(seed: Seed, prompt: Prompt) -> str:
    return "".join(prose.answer(seed, prompt))


def after_tools(seed: Seed, prompt: Prompt) -> str:
    return "".join(prose.after_tools(seed, prompt))


def about_images(seed: Seed, prompt: Prompt) -> str:
    return "".join(prose.about_images(seed, prompt))


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?: |$)|[。！？]", text))


@given(seeds, anything, anything)
@example(Seed.of(0), "", "")
@example(Seed.of(0), "\ud800", "\ud800")
@example(Seed.of(0), 'say: "{topic}" {other}', "{text}")
@example(Seed.of(0), "list ten things, 2+2, hello 你好", '{"{value}": "{key}", "a": {"b": {"c": 1}}, "": []}')
def test_any_text_gets_sendable_words(seed: Seed, text: str, found: str) -> None:
    prompt = used(text, result(found), result(found, is_error=True))
    for said in (
        answer(seed, ask(text)),
        after_tools(seed, prompt),
        prose.thinking(seed, ask(text), 50),
    ):
        assert said.strip()
        assert said.encode()


@given(seeds, st.sampled_from(ENGLISH + CHINESE), st.integers(1, 5000))
def test_same_seed_same_words(seed: Seed, text: str, budget: int) -> None:
    again = Seed(bytes(seed.key))
    assert answer(seed, ask(text)) == answer(again, ask(text))
    assert prose.thinking(seed, ask(text), budget) == prose.thinking(again, ask(text), budget)


@pytest.mark.parametrize("text", ENGLISH + CHINESE)
def test_other_seed_other_words(text: str) -> None:
    answers = {answer(Seed.of(number), ask(text)) for number in range(100)}
    assert len(answers) >= 80


@given(seeds, st.sampled_from(ENGLISH), st.sampled_from(CHINESE))
def test_language_follows_the_last_user_message(seed: Seed, english: str, chinese: str) -> None:
    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", answer(seed, ask(english)))
    assert is_chinese(answer(seed, ask(chinese)))
    turned = ask(chinese, Turn("assistant", "好的。"), Turn("user", english))
    assert answer(seed, turned) == answer(seed, ask(english))
    assert is_chinese(prose.thinking(seed, ask(chinese), 200))


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
    assert topic.language(text) == language


@given(seeds, st.sampled_from(ENGLISH + CHINESE))
def test_answers_are_a_few_sentences_about_the_topic(seed: Seed, text: str) -> None:
    said = answer(seed, ask(text))
    assert 2 <= sentences(said) <= 5
    assert topic.of(ask(text)).main in said
    assert not re.search(r"[{}<>\[\]_]|lorem|todo|xxx", said, re.I)


@pytest.mark.parametrize(
    ("text", "main", "other"),
    [
        ("Explain how event loops work in Python", "event loops", "Python"),
        ("What is the capital of France?", "the capital of France", ""),
        ("Tell me about my garden.", "your garden", ""),
        ("Write a Python function that sorts", "sorts", ""),
        ("Write an SQL query for monthly sales", "monthly sales", ""),
        ("请介绍一下杭州的天气", "杭州", "天气"),
        ("What should I do?", "", ""),
        ("x" * 2000, "", ""),
    ],
)
def test_key_words(text: str, main: str, other: str) -> None:
    about = topic.of(ask(text))
    assert (about.main, about.other) == (main, other)


@pytest.mark.parametrize(
    ("text", "kind"),
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
        ("Name three rivers", "list"),
        ("Summarise it in three sentences", "prose"),
        ("列出三个城市", "list"),
        ("Write a Python function for sorting", "code"),
        ("写一个排序函数", "code"),
        ("What is 2 + 2?", "sum"),
        ("On 2026-03-14 call 555-1234", "prose"),
        ('Please say "good night"', "echo"),
        ("Reply with exactly: pong", "echo_only"),
        ("请只回复“收到”", "echo_only"),
        ("Question: where is Paris?\nAnswer: France", "prose"),
        ("What did they say: yes or no", "prose"),
        ("他说：“明天下雨”", "prose"),
    ],
)
def test_kind_of_answer(text: str, kind: str) -> None:
    assert topic.of(ask(text)).kind == kind


numbers = st.integers(1, 10**12).map(str)
texts_with_numbers = st.lists(
    st.sampled_from([*ENGLISH, *CHINESE, "write a function", "in sql", "say:", "list", "steps", "Hi", "订单", "号"])
    | st.sampled_from([" ", "", ". ", "-", "+", " + ", ".", ",", "'", "#", "_", "个", "\n"])
    | numbers
).map("".join)


@given(texts_with_numbers)
@example("write " + "7" * 70 + " a function")
@example("Say: 12345")
@example("100 + 250")
@example("第123456个")
@example("10 rivers and 100 rivers")
def test_long_numbers_do_not_tell_what_a_message_is_about(text: str) -> None:
    assert topic.of(ask(text)) == topic._about.__wrapped__(text)


@pytest.mark.parametrize("text", ["Case @: name three rivers.", "@", "About order @, please?"])
def test_messages_that_differ_in_a_long_number_are_read_once(text: str) -> None:
    topic.of(ask(text.replace("@", "12345")))
    before = topic._about.cache_info().misses
    topic.of(ask(text.replace("@", "67890")))
    assert topic._about.cache_info().misses == before


@given(seeds, texts_with_numbers | anything)
@example(Seed.of(3), "Is C++ better than C#?")
@example(Seed.of(3), "Hello! Is {topic} better than {other} itself?")
def test_what_is_said_is_cut_as_any_text(seed: Seed, text: str) -> None:
    said = prose.answer(seed, ask(text))
    assert [*said] == tokens.split("".join(said))


@given(st.sampled_from([part for bank in topic.material()["en"].values() if isinstance(bank, list) for part in bank]))
def test_parts_are_cut_around_their_key_words(part: str) -> None:
    assert len(prose._cut(part)) == 1 + 2 * (part.count("{topic}") + part.count("{other}"))
    for main, other in (("the river Po", "seas"), ("maps", "the sea"), ("a", "e")):
        said = prose._filled(prose._cut(part), main, other)
        assert [*said] == tokens.split(part.replace("{topic}", main).replace("{other}", other))


@given(seeds)
def test_greetings_are_returned(seed: Seed) -> None:
    words = topic.material()
    assert answer(seed, ask("Hello!")).startswith(tuple(words["en"]["greetings"]))
    assert answer(seed, ask("你好")).startswith(tuple(words["zh"]["greetings"]))
    both = answer(seed, ask("Hi, what is photosynthesis?"))
    assert both.startswith(tuple(words["en"]["greetings"]))
    assert "photosynthesis" in both


@pytest.mark.parametrize(
    ("text", "entries"),
    [("List three fruits", 3), ("Give me 5 tips for better sleep", 5), ("List some rivers", 3), ("列出十个城市", 10)],
)
@pytest.mark.parametrize("number", range(20))
def test_lists_have_the_number_asked_for(text: str, entries: int, number: int) -> None:
    lines = re.findall(r"^\d+\. (.+)$", answer(Seed.of(number), ask(text)), re.M)
    assert len(lines) == len(set(lines)) == entries


@pytest.mark.parametrize("number", range(20))
def test_python_snippets_compile(number: int) -> None:
    said = answer(Seed.of(number), ask("Write a Python function for parsing café menus"))
    (code,) = re.findall(r"```python\n(.*?)```", said, re.S)
    (function,) = ast.parse(code).body
    assert isinstance(function, ast.FunctionDef)


@pytest.mark.parametrize(
    ("text", "value"),
    [("What is 17+25?", "42"), ("9 - 12 =", "-3"), ("6 times 7", "42"), ("12 * 12", "144"), ("3加4", "7")],
)
def test_sums_are_right(text: str, value: str) -> None:
    assert re.search(rf"(?<![\d-]){value}(?!\d)", answer(Seed.of(1), ask(text)))


@pytest.mark.parametrize(
    "text", ["17 * 23 + 4?", "4 + 17 * 23", "2+2/4", "8 / 2 + 2", "(1 + 2) * 3", "3 * (1 + 2)", "2 plus 3 times 4"]
)
def test_longer_sums_are_not_answered_by_half(text: str) -> None:
    assert topic.of(ask(text)).kind != "sum"


def test_words_asked_for_are_said() -> None:
    assert answer(Seed.of(1), ask("Reply with exactly: pong")) == "pong"
    assert answer(Seed.of(1), ask("Hi. Reply with exactly: pong")) == "pong"
    assert answer(Seed.of(1), ask("Say this is a test")).startswith("This is a test. ")
    assert answer(Seed.of(1), ask("请说“早点休息”")).startswith("早点休息。")


def test_facts_of_an_object_are_named() -> None:
    data = {"city": "Paris", "temperature_c": 21, "isDay": True, "wind": {"speed_kmh": 12.5}, "alerts": []}
    said = after_tools(Seed.of(1), used("Weather in Paris?", result(orjson.dumps(data).decode())))
    assert "get_weather" in said
    for fact in (
        "the city is Paris",
        "temperature is 21 °C",
        "is yes",
        "the wind speed is 12.5 km/h",
        "alerts are empty",
    ):
        assert fact in said
    said = after_tools(Seed.of(1), used("巴黎天气怎么样？", result(orjson.dumps(data).decode())))
    assert "city 为 Paris" in said
    assert "为是" in said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("It is sunny.", "“It is sunny”."),
        ('"quoted"', "“quoted”"),
        ("42", "“42”"),
        ('[{"id": 7}, {"id": 8}]', "the entry count is 2 and the id is 7"),
        ('["a", "b"]', "the result is a, b"),
        ('{"rows": [1, 2, 3, 4, 5, 6]}', "the rows are 6 entries in all"),
        ("{broken", "“{broken”"),
        ("", "It returned nothing."),
        ("{}", "“{}”"),
    ],
)
def test_what_a_tool_found_is_told(found: str, said: str) -> None:
    assert said in after_tools(Seed.of(4), used("What is up?", result(found)))


@pytest.mark.parametrize(
    "failed",
    [
        result("no such city.", is_error=True),
        result('{"error": "no such city"}'),
        result('{"error": {"code": 4, "message": "no such city"}}', is_error=True),
    ],
)
def test_failed_tools_are_apologised_for(failed: ToolResult) -> None:
    for number in range(10):
        said = after_tools(Seed.of(number), used("Weather in Paris?", failed))
        assert re.search("sorry|unfortunately", said, re.I)
        assert "“no such city”" in said
    assert re.search("抱歉|不好意思", after_tools(Seed.of(1), used("巴黎天气怎么样？", failed)))


def test_only_the_first_facts_are_told() -> None:
    data = orjson.dumps({f"key{at}": at for at in range(100, 120)}).decode()
    assert re.findall(r"key(\d+)", after_tools(Seed.of(1), used("Why?", result(data)))) == [
        "100", "101", "102", "103", "104"
    ]  # fmt: skip


def test_several_results_are_all_told() -> None:
    said = after_tools(Seed.of(2), used("Weather?", result('{"city": "Oslo"}'), result('{"city": "Rome"}')))
    assert said.index("Oslo") < said.index("Rome")


def test_without_results_the_answer_is_plain() -> None:
    assert after_tools(Seed.of(2), ask("Why?")) == answer(Seed.of(2), ask("Why?"))


@given(anything)
@example("葛\U000e0100" * 500)
def test_long_results_are_cut(text: str) -> None:
    said = after_tools(Seed.of(2), used("Weather?", result(f"start {text * 50}")))
    assert tokens.count(said) < 200


def test_a_cut_quotation_says_so() -> None:
    assert "…”" in after_tools(Seed.of(2), used("Why?", result("word " * 100)))
    assert "…" not in after_tools(Seed.of(2), used("Why?", result("word " * 50)))


@pytest.mark.parametrize(
    ("images", "lead"),
    [
        ([("image/png", 640, 480)], "The image is a 640×480 PNG, in landscape format."),
        ([("image/jpeg", 800, 800)], "The image is an 800×800 JPEG, with a square frame."),
        ([("image/png", 1, 2), ("image/gif", 18, 9)], "You sent 2 images: a 1×2 PNG and an 18×9 GIF."),
    ],
)
def test_images_are_acknowledged(images: list[tuple[str, int, int]], lead: str) -> None:
    pictures = tuple([ImageInput(*image, digest="00") for image in images])
    assert prose.seen_images(Seed.of(1), Prompt("tiny", (Turn("user", "What is this?", pictures),))).startswith(lead)
    said = prose.seen_images(Seed.of(1), Prompt("tiny", (Turn("user", "这是什么？", pictures),)))
    assert f"{images[0][1]}×{images[0][2]} 的" in said
    assert is_chinese(re.sub(r"[\w×]*[0-9A-Z]+", "", said))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What is this?", "The image is a picture whose address I know but have not opened."),
        ("这是什么？", "这是一张只给出地址、没有打开的图片。"),
    ],
)
def test_an_image_that_is_only_an_address_has_no_size(text: str, said: str) -> None:
    pictures = (ImageInput("image/*", 0, 0, digest="00"),)
    assert prose.seen_images(Seed.of(1), Prompt("tiny", (Turn("user", text, pictures),))) == said


def test_chinese_sentences_stand_without_a_space() -> None:
    pictures = (ImageInput("image/png", 64, 48, digest="00"),)
    said = about_images(Seed.of(1), Prompt("tiny", (Turn("user", "描述这张图片", pictures),)))
    assert "。 " not in said
    assert "张图片可以" not in said


@pytest.mark.parametrize(("text", "tool"), [("And?", "the tool"), ("然后呢？", "工具")])
def test_a_result_of_no_known_call_is_told(text: str, tool: str) -> None:
    said = after_tools(Seed.of(1), used(text, ToolResult("call-1", "", "sunny", False)))
    assert tool in said
    assert "sunny" in said


@given(seeds, st.sampled_from(ENGLISH + CHINESE), st.integers(-1, 300))
def test_thinking_keeps_its_budget(seed: Seed, text: str, budget: int) -> None:
    thought = prose.thinking(seed, ask(text), budget)
    assert tokens.count(thought) <= max(budget, 0)
    assert bool(thought) == (budget > 0)


def test_more_budget_more_thinking() -> None:
    lengths = [len(prose.thinking(Seed.of(1), ask(ENGLISH[0]), budget)) for budget in (20, 200, 2000, 20000)]
    assert lengths == sorted(set(lengths))


@given(st.integers(2, 40), st.integers(0, 255), st.integers(0, 255))
def test_entries_are_drawn_without_repeats(size: int, start: int, stride: int) -> None:
    bank = [str(number) for number in range(size)]
    assert sorted(prose._some(bank, size, start, stride)) == sorted(bank)
    assert len(prose._some(bank, size + 5, start, stride)) == size


def test_both_languages_have_the_same_sections() -> None:
    english, chinese = topic.material()["en"], topic.material()["zh"]
    assert english.keys() == chinese.keys()
    for name, bank in english.items():
        if isinstance(bank, list):
            assert len(bank) == len(set(bank))
            assert len(chinese[name]) == len(set(chinese[name]))
        slots = [set(re.findall(r"{\w+}", orjson.dumps(words).decode())) for words in (bank, chinese[name])]
        assert slots[0] == slots[1], name


def test_word_material_is_plain_text() -> None:
    text = orjson.dumps(topic.material()).decode()
    assert all(unicodedata.category(c) not in ("Cf", "Co", "Cn", "Cs") for c in text)


def test_answers_are_cheap() -> None:
    for text, seconds in ((ENGLISH[0], 0.0003), (CHINESE[0], 0.0003), ("word and " * 100_000, 0.002)):
        prompt, drawn = ask(text), [Seed.of(number) for number in range(200)]
        assert cost(lambda: [answer(seed, prompt) for seed in drawn]) / len(drawn) < seconds  # noqa: B023
