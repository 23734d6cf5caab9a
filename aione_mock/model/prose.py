"""Compose prose from ready sentences.

The sentences stand in `fixtures/prose.yaml`, one bank for each place in an answer. They are split into tokens and
escaped for JSON when a language is first needed. An answer concatenates them around one key word of the question.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, filterfalse, product, takewhile
from typing import Any, Literal

import yaml

from aione_mock.model.input_images import describe_image
from aione_mock.model.tokens import split_tokens, tokenize
from aione_mock.seed import Seed
from aione_mock.settings import read_fixture
from aione_mock.structs import frozen
from aione_mock.types import NO_TEXT, ImageInput, Prompt, TokenText, ToolResult, Turn

Language = Literal["en", "zh"]
Tokens = tuple[bytes, ...]
Sentence = tuple[Tokens, ...]
"""The tokens of a sentence; two parts if a key word stands between them."""

_SAMPLE = 240
"""Characters at the end of a question that are searched for a key word."""
_MAX_QUESTION = 2000
"""Characters of the longest question that is read as a whole."""
_MAX_OPENING = 500
"""Characters at the beginning of a question that may ask for a list or for code."""
_MAX_QUOTE = 60
"""Tokens of a tool's result that are quoted."""
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN_WORD = re.compile(r"[^\W\d_\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+")
_ENDINGS = 256
"""Endings of answers of one kind that are joined ahead."""
_STRIDE = 1009
"""A prime, so that endings joined ahead differ in every sentence."""
_LONGEST_WORD = 24
_KEY_WORD = re.compile(r"\b[^\W\d_]{3,24}\b")
_SPACES = bytes(32 if chr(byte) in string.punctuation.replace("_", "") else byte for byte in range(256))
"""Table for `bytes.translate` that leaves letters, digits and `_` between spaces."""
_SMALL_TALK = re.compile(
    r"\W*(?:(?P<greeting>hello|hi|hey|good (?:morning|afternoon|evening)|[你您]好|大家好|[早晚]上好|下午好)"
    r"|(?P<thanks>thanks|thank you|谢谢|感谢|多谢)|(?P<farewell>bye|goodbye|see you|再见|拜拜))(?![a-z])",
    re.IGNORECASE,
)
_LAYOUTS = {
    **dict.fromkeys((" code", " function", " script", "代码", "函数"), "code"),
    **dict.fromkeys(("List ", " list ", "列出", "清单"), "list"),
}
"""What a question contains that asks for a list or for code."""
_LAYOUT = re.compile("|".join(_LAYOUTS))
_QUOTE_MARKS = "\"'“”‘’「」`"
_WANTING = re.compile("[:\"'“「：]")
"""What most questions contain that want to hear a text."""
_SAY = re.compile(
    r"(?:^|[.!?。！？，\n])\s*(?:please |请)?(?:"
    r"(?:say|repeat|(?:reply|respond|answer) with)(?: (?:only|exactly|just|the|words?|text|phrase|following))*"
    r"\s*(?::|(?=[\"“']))"
    r"|你?[只仅]?(?:回复|重复|说|回答|输出)(?:一遍|一下)?(?:[:：]|(?=[“「\"])))"
    r"\s*(?P<text>[^\n]{1,500})"
    r"|^\s*(?:please )?say (?P<plain>[^\n]{1,500})",
    re.IGNORECASE,
)


@frozen
class Voice:
    """Hold the sentences of one language, ready for use."""

    common: frozenset[str]
    """Words that are never the key word."""
    word: re.Pattern[str]
    """What a candidate for the key word looks like, in a question that is not ASCII alone."""
    shortest: int
    """Characters of the shortest key word."""
    topic: Tokens
    """What an answer is about when the question has no key word."""
    space: str
    """What stands between two sentences, and before a word."""
    answers: dict[str, tuple[tuple[Sentence, ...], tuple[Tokens, ...]]]
    """The openings of each kind of answer, and what may follow any of them."""
    thoughts: tuple[tuple[Sentence, ...], ...]
    """The banks of thinking."""
    phrases: dict[str, Any]
    """The other texts of the language, as they are written."""


def compose_prose(prompt: Prompt, seed: Seed) -> TokenText:
    """Return the answer in words: the text that the question wants to hear, or sentences drawn by the seed."""
    question = _shorten_question(prompt)
    if (wanted := find_wanted_text(question)) is not None:
        return tokenize(wanted)
    language = detect_language(question)
    voice = load_voice(language)
    small_talk = _SMALL_TALK.match(question)
    topic = _find_topic(voice, question[small_talk.end() :] if small_talk else question)
    kind = small_talk.lastgroup if small_talk and topic is voice.topic else _find_layout(question)
    openings, endings = voice.answers[kind or "prose"]
    first, second = seed.key[:2]
    answer = _fill_sentence(openings[first % len(openings)], topic) + endings[second % len(endings)]
    if images := prompt.turns[-1].images:
        answer = _acknowledge_images(voice, language, images) + answer
    return TokenText(answer)


def compose_long_prose(prompt: Prompt, seed: Seed, size: int) -> TokenText:
    """Return so many tokens of prose, in paragraphs."""
    question = _shorten_question(prompt)
    voice = load_voice(detect_language(question))
    openings, endings = voice.answers["prose"]
    found = [*_fill_sentence(openings[seed.key[0] % len(openings)], _find_topic(voice, question))]
    start, break_ = seed.key[1], tokenize("\n\n").encoded
    while len(found) < size:
        found += endings[start % len(endings)] + break_
        start += 1
    return TokenText(tuple(found[:size]))


def _acknowledge_images(voice: Voice, language: Language, images: Sequence[ImageInput]) -> Tokens:
    described = (", " if language == "en" else "、").join([describe_image(image, language) for image in images])
    return tokenize(voice.phrases["seen"].replace("{images}", described) + voice.space).encoded


def compose_thoughts(prompt: Prompt, seed: Seed) -> TokenText:
    """Return the thinking before an answer: at most as many tokens as the prompt allows, more for a larger budget."""
    budget = prompt.reasoning
    if budget <= 0:
        return NO_TEXT
    question = _shorten_question(prompt)
    voice = load_voice(detect_language(question))
    topic, chance = _find_topic(voice, question), seed.digest("thinking")[: len(str(budget))]
    thoughts = [
        _fill_sentence(bank[byte % len(bank)], topic) for bank, byte in zip(voice.thoughts, chance, strict=False)
    ]
    return TokenText(tuple(chain.from_iterable(thoughts))[:budget])


def compose_report(prompt: Prompt, seed: Seed) -> TokenText:
    """Return an answer that quotes the results of tools that end the conversation."""
    ending = takewhile(lambda turn: turn.results, reversed(prompt.turns))
    results = [result for turn in [*ending][::-1] for result in turn.results]
    phrases = load_voice(detect_language(_shorten_question(prompt))).phrases
    lines = [_quote_result(phrases, result, seed.key[at % 16]) for at, result in enumerate(results)]
    return tokenize("\n".join(lines))


def compose_caption(prompt: Prompt) -> TokenText:
    """Return the text that comes with a generated image."""
    return tokenize(load_voice(detect_language(_shorten_question(prompt))).phrases["drawn"])


def find_question(turns: Sequence[Turn]) -> str:
    """Return the last text of the user, or an empty string."""
    for turn in reversed(turns):
        if turn.role == "user" and turn.text:
            return turn.text
    return ""


def find_topic(prompt: Prompt) -> str:
    """Return the key word of the question, or a phrase in its language that stands for it."""
    question = _shorten_question(prompt)
    return TokenText(_find_topic(load_voice(detect_language(question)), question)).text.strip()


def _shorten_question(prompt: Prompt) -> str:
    """Return the question, of a long one the beginning and the end."""
    question = find_question(prompt.turns)
    if len(question) <= _MAX_QUESTION:
        return question
    return f"{question[: _MAX_QUESTION // 2]}\n{question[-_MAX_QUESTION // 2 :]}"


def detect_language(text: str) -> Language:
    """Return `zh` for a text with more Chinese characters than other words, else `en`."""
    if text.isascii():
        return "en"
    return "zh" if len(_CHINESE.findall(text)) > len(_LATIN_WORD.findall(text)) else "en"


def find_wanted_text(question: str) -> str | None:
    """Return the text that a question such as `Reply with exactly: …` wants to hear, None for other questions."""
    # most questions hold none of these, and the expression takes far longer to find nothing
    if _WANTING.search(question) is None and "say " not in question[:12].lower():
        return None
    if (found := _SAY.search(question)) is None:
        return None
    text = (found["text"] or found["plain"]).strip()
    return _unquote(text) or None


def _unquote(text: str) -> str:
    """Return what stands in the quotation marks that a text begins with, else the text."""
    if text[:1] not in _QUOTE_MARKS:
        return text
    end = next((at for at in range(1, len(text)) if text[at] in _QUOTE_MARKS), len(text))
    return text[1:end].strip()


@cache
def load_voice(language: Language) -> Voice:
    """Read the sentences of a language."""
    data = yaml.load(read_fixture("prose.yaml"), Loader=yaml.CSafeLoader)[language]
    common, space = data.pop("common"), " " if language == "en" else ""
    chinese = re.compile(rf"[A-Za-z]{{2,24}}|(?:(?![{common.replace(' ', '')}])[\u4e00-\u9fff]){{2,8}}")
    kinds = {
        kind: [_prepare_bank(bank, space if at else "") for at, bank in enumerate(banks)]
        for kind, banks in data.items()
        if isinstance(banks, list) and isinstance(banks[0], list)
    }
    return Voice(
        common=frozenset([*common.split(), *common.title().split()]),
        word=chinese if language == "zh" else _KEY_WORD,
        shortest=2 if language == "zh" else 3,
        topic=tokenize(space + data["topic"]).encoded,
        space=space,
        thoughts=tuple(kinds.pop("thinking")),
        answers={kind: (banks[0], _join_endings(banks[1:])) for kind, banks in kinds.items()},
        phrases=data,
    )


def _join_endings(banks: Sequence[tuple[Sentence, ...]]) -> tuple[Tokens, ...]:
    """Return sentences of all banks joined in many ways. None of them has a place for a key word."""
    ways = [*product(*[[sentence[0] for sentence in bank] for bank in banks])]
    count = min(len(ways), _ENDINGS)
    return tuple([tuple(chain.from_iterable(ways[at * _STRIDE % len(ways)])) for at in range(count)])


def _prepare_bank(sentences: list[str], space: str) -> tuple[Sentence, ...]:
    return tuple([_prepare_sentence(text if text[0] == "\n" else space + text) for text in sentences])


def _prepare_sentence(text: str) -> Sentence:
    # the space before a key word goes to its first token
    return tuple([tokenize(part).encoded for part in re.split(r" ?\{topic\}", text)])


def _fill_sentence(sentence: Sentence, topic: Tokens) -> Tokens:
    """Return a sentence with the key word in its place, if it has one."""
    return sentence[0] if len(sentence) == 1 else sentence[0] + topic + sentence[1]


def _find_layout(question: str) -> str | None:
    found = _LAYOUT.search(question, 0, _MAX_OPENING)
    return _LAYOUTS[found[0]] if found else None


def _find_topic(voice: Voice, question: str) -> Tokens:
    """Return the longest word of a question that is not a common one, as tokens."""
    if len(question) > _SAMPLE:
        question = question[-_SAMPLE:].partition(" ")[2] or question[-_SAMPLE:]
    words: Iterable[str] = (
        filter(str.isalpha, question.encode().translate(_SPACES).decode().split())
        if question.isascii()
        else voice.word.findall(question)
    )
    word = max(filterfalse(voice.common.__contains__, words), key=len, default="")
    return tokenize(voice.space + word).encoded if voice.shortest <= len(word) <= _LONGEST_WORD else voice.topic


def _quote_result(phrases: dict[str, Any], result: ToolResult, byte: int) -> str:
    bank = phrases["failure" if result.is_error else "result"]
    text = " ".join(result.text[:2000].split()) or phrases["empty"]
    tokens = split_tokens(text)
    quote = text if len(tokens) <= _MAX_QUOTE else "".join(tokens[:_MAX_QUOTE]) + "…"
    lead: str = bank[byte % len(bank)].replace("{tool}", result.name or phrases["tool"])
    return lead.replace("{text}", quote)
