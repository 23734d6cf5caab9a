from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from aione_mock.model import answers, tokens
from aione_mock.types import Prompt, Tool, Turn
from tests.timing import cost

SAMPLE = yaml.safe_load(Path(__file__).with_name("data").joinpath("tokens.yaml").read_text(encoding="utf-8"))
FAMILY = "👩🏽\u200d👩🏻\u200d👧🏿\u200d👦"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"

# what a reader sees as one character each
CHARACTERS = [
    FAMILY,
    SCOTLAND,
    "🇩🇪",
    "👍🏽",
    "❤️\u200d🔥",
    "🏳️\u200d🌈",
    "1️⃣",
    "e\u0301",
    "a\u0323\u0302",
    "ก็",
    "กี่",
    "葛\U000e0100",
    "\u1112\u1161\u11ab",
    "\r\n",
    "נ\u05b8",
]
anything = st.text(st.characters(codec="utf-8"))
pieces_of_text = st.lists(
    st.sampled_from([*CHARACTERS, " ", "word", "Word", "HTTP", "12345", "，", "的时候", "\n", "...", "  ", "\t", "_"])
).map("".join)


def estimate(rows: list[dict[str, str]]) -> int:
    return sum(tokens.count_tokens(row["text"]) for row in rows)


@pytest.mark.parametrize("language", ["english", "code", "chinese", "mixed", "all"])
def test_estimate_is_near_real_vocabularies(language: str) -> None:
    rows = [row for row in SAMPLE.values() if language in (row["language"], "all")]
    newer = sum(row["o200k_base"] for row in rows)
    mean = sum(row["o200k_base"] + row["cl100k_base"] for row in rows) / 2
    assert estimate(rows) == pytest.approx(newer, rel=0.15)
    # the older vocabulary spends half as much again on Chinese, and three tokens on an emoji
    assert estimate(rows) == pytest.approx(mean, rel=0.20 if language == "mixed" else 0.15)


def test_sample_is_bilingual() -> None:
    chinese = sum("\u4e00" <= c <= "\u9fff" for row in SAMPLE.values() for c in row["text"])
    latin = sum(c.isascii() and c.isalpha() for row in SAMPLE.values() for c in row["text"])
    assert chinese > 600
    assert latin > 1500


@given(st.one_of(anything, pieces_of_text))
@example("\ud800x")
@example("Case 12 of 3456 costs 7.50 €")
@example("Case 98 of 1234 costs 2.30 €")
def test_pieces_join_to_the_text(text: str) -> None:
    pieces = tokens.split_tokens(text)
    assert "".join(pieces) == text
    assert all(pieces)
    assert tokens.count_tokens(text) == len(pieces)


@given(anything)
def test_every_piece_can_be_sent_on_its_own(text: str) -> None:
    assert b"".join([piece.encode() for piece in tokens.split_tokens(text)]) == text.encode()


@given(st.lists(st.sampled_from(CHARACTERS), min_size=1))
def test_characters_stay_whole(characters: list[str]) -> None:
    edges = set()
    at = 0
    for character in characters:
        at += len(character)
        edges.add(at)
    at = 0
    for piece in tokens.split_tokens("".join(characters)):
        at += len(piece)
        assert at in edges


@given(pieces_of_text)
def test_no_piece_begins_with_a_mark(text: str) -> None:
    for piece in tokens.split_tokens(text):
        assert unicodedata.category(piece[0])[0] != "M"
        assert piece[0] not in "\u200d🏽"


def test_every_mark_of_unicode_stays_with_its_letter() -> None:
    marks = [char for char in map(chr, range(0x300, 0x110000)) if unicodedata.category(char)[0] == "M"]
    assert [ascii(mark) for mark in marks if tokens.split_tokens(f"a{mark}b") != [f"a{mark}", "b"]] == []


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("我们明天见。", ["我们", "明天", "见", "。"]),
        ("price 12345.67", ["price", " ", "123", "45", ".", "67"]),
        ("it's we'll", ["it", "'", "s", " we", "'", "ll"]),
        ("if x:\n    return", ["if", " x", ":\n", "    ", "return"]),
        ("a\r\n\r\nb", ["a", "\r\n\r\n", "b"]),
        ("user_name", ["user", "_", "name"]),
        (FAMILY + "!", [FAMILY, "!"]),
        ("🇨🇳🇫🇷", ["🇨🇳", "🇫🇷"]),
    ],
)
def test_cuts_by_example(text: str, pieces: list[str]) -> None:
    assert tokens.split_tokens(text) == pieces


HOSTILE = [
    "a",
    "A",
    " ",
    "\t",
    "\n",
    "\r",
    "9",
    ".",
    "中",
    "\u0301",
    "\u200d",
    "🇩",
    "👍🏽",
    "👩\u200d",
    "\U000e0020",
    "'",
]


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_time_is_linear_and_pieces_stay_short(unit: str) -> None:
    long, short = (unit * (size // len(unit)) for size in (160_000, 20_000))
    pieces = tokens.split_tokens(long)
    assert "".join(pieces) == long
    assert max(map(len, pieces)) <= 100
    # eight times as much; a quadratic expression would take 64 times as long
    assert cost(lambda: tokens.split_tokens(long), 3) < 24 * cost(lambda: tokens.split_tokens(short), 3)


def test_english_is_counted_fast() -> None:
    text = SAMPLE["english_letter"]["text"] * 3000
    assert len(text) / cost(lambda: tokens.count_tokens(text)) > 5_000_000


@given(st.text(st.characters(max_codepoint=127)))
@example("One. Two.\r\n\t x_y if(a):  \n'It''s 12345.67 HTTPServer")
def test_ascii_is_cut_as_any_text(text: str) -> None:
    assert tokens.split_tokens(text) == tokens._TOKEN.findall(text)


def test_short_texts_are_counted_fast() -> None:
    texts = [f"Name {number} rivers of Europe and one sea, please, and say how long each is." for number in range(200)]
    assert cost(lambda: [tokens.count_tokens(text) for text in texts]) / len(texts) < 40e-6


def test_a_tool_costs_its_words_and_a_token_for_four_bytes_of_its_schema() -> None:
    turns, schema = (Turn("user", "Hi"),), {"type": "object", "properties": {"城市": {"type": "string"}}}
    tool = Tool("find_order", "Find an order.", schema)
    added = answers.count_prompt_tokens(Prompt("m", turns, (tool,))) - answers.count_prompt_tokens(Prompt("m", turns))
    size = len('{"type":"object","properties":{"城市":{"type":"string"}}}'.encode())
    assert added == 8 + tokens.count_tokens("find_order") + tokens.count_tokens("Find an order.") + size // 4
    wanted = Prompt("m", turns, format="schema", schema=schema)
    assert answers.count_prompt_tokens(wanted) == answers.count_prompt_tokens(Prompt("m", turns)) + size // 4
