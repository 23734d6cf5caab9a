"""Compose prose from ready sentences.

The sentences stand in `fixtures/prose.yaml`, one bank for each place in an answer. They are split into tokens and
escaped for JSON when a language is first needed. An answer concatenates them around one key word of the question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
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
_MAX_QUOTE = 60
"""Tokens of a tool's result that are quoted."""
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN_WORD = re.compile(r"[^\W\d_\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+")
_PUNCTUATION = ".,;:!?()[]\"'“”‘’…*`"
_LONGEST_WORD = 24
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
    word: re.Pattern[str] | None
    """What a candidate for the key word looks like; None for words between spaces."""
    shortest: int
    """Characters of the shortest key word."""
    topic: Tokens
    """What an answer is about when the question has no key word."""
    space: str
    """What stands between two sentences, and before a word."""
    kinds: dict[str, tuple[tuple[Sentence, ...], ...]]
    """The banks of each kind of answer."""
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
    answer = _draw_sentences(voice, kind or "prose", topic, seed.key)
    if images := prompt.turns[-1].images:
        answer = _acknowledge_images(voice, language, images) + answer
    return TokenText(answer)


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
    sentences = len(str(budget))
    thoughts = _draw_sentences(voice, "thinking", _find_topic(voice, question), seed.digest("thinking")[:sentences])
    return TokenText(thoughts[:budget])


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
    return Voice(
        common=frozenset([*common.split(), *common.title().split()]),
        word=chinese if language == "zh" else None,
        shortest=2 if language == "zh" else 3,
        topic=tokenize(space + data["topic"]).encoded,
        space=space,
        kinds={
            kind: tuple([_prepare_bank(bank, space if at else "") for at, bank in enumerate(banks)])
            for kind, banks in data.items()
            if isinstance(banks, list) and isinstance(banks[0], list)
        },
        phrases=data,
    )


def _prepare_bank(sentences: list[str], space: str) -> tuple[Sentence, ...]:
    return tuple([_prepare_sentence(text if text[0] == "\n" else space + text) for text in sentences])


def _prepare_sentence(text: str) -> Sentence:
    # the space before a key word goes to its first token
    return tuple([tokenize(part).encoded for part in re.split(r" ?\{topic\}", text)])


def _draw_sentences(voice: Voice, kind: str, topic: Tokens, chance: bytes) -> Tokens:
    """Return one sentence of each bank of a kind."""
    tokens: Tokens = ()
    for bank, byte in zip(voice.kinds[kind], chance, strict=False):
        sentence = bank[byte % len(bank)]
        tokens += sentence[0] if len(sentence) == 1 else sentence[0] + topic + sentence[1]
    return tokens


def _find_layout(question: str) -> str:
    for words, layout in _LAYOUTS.items():
        if words in question:
            return layout
    return "prose"


def _find_topic(voice: Voice, question: str) -> Tokens:
    """Return the longest word of a question that is not a common one, as tokens."""
    if len(question) > _SAMPLE:
        question = question[-_SAMPLE:].partition(" ")[2] or question[-_SAMPLE:]
    # splitting takes half as long as an expression for words between spaces
    words = voice.word.findall(question) if voice.word else [word.strip(_PUNCTUATION) for word in question.split()]
    for word in sorted(words, key=len, reverse=True):
        if voice.shortest <= len(word) <= _LONGEST_WORD and word not in voice.common and word.isalpha():
            return tokenize(voice.space + word).encoded
    return voice.topic


def _quote_result(phrases: dict[str, Any], result: ToolResult, byte: int) -> str:
    bank = phrases["failure" if result.is_error else "result"]
    text = " ".join(result.text[:2000].split()) or phrases["empty"]
    tokens = split_tokens(text)
    quote = text if len(tokens) <= _MAX_QUOTE else "".join(tokens[:_MAX_QUOTE]) + "…"
    lead: str = bank[byte % len(bank)].replace("{tool}", result.name or phrases["tool"])
    return lead.replace("{text}", quote)
