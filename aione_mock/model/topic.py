"""What a prompt is about: its language, its key words, and the kind of answer that is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import chain, groupby
from operator import add, mul, sub
from typing import Any, Literal, NamedTuple

import yaml

from aione_mock.settings import read_fixture
from aione_mock.structs import frozen
from aione_mock.types import Prompt

Language = Literal["en", "zh"]
Kind = Literal["prose", "greeting", "thanks", "farewell", "list", "code", "sum", "echo", "echo_only"]
Words = dict[str, Any]

_SAMPLE = 250
"""Characters that are read at each end of a long message."""
_PHRASES = {"en": 12, "zh": None}
"""The first so many of a message's phrases are looked at."""

_MANY = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_MANY |= {"两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_NUMBER = rf"(?:{'|'.join(_MANY)}|[2-9]|10)"

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile(r"[^\W\d_\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+")
_SHAPE = re.compile(r"A?T{1,4}(?:LA?T{1,3})?")
"""A phrase of telling words: an article, words, perhaps linked to more words."""
_ARTICLES = frozenset(("a", "an", "the", "my", "our"))
_LINKS = frozenset(("of", "for", "in", "and"))
_LANGUAGES = re.compile(r"(?:a |an |the )?(?:python|javascript|typescript|node|sql|bash|shell|java|go|rust)", re.I)
_WORD = re.compile(r"[^\W_][\w'’+#-]*(?:\.(?=\w)[\w'’+#-]*)*")
_ZH_PART = re.compile(r"[\u4e00-\u9fff]{2,}|[A-Za-z](?:[\w+#-]|\.(?=\w))*")
_GREETING = re.compile(
    r"\s*(?:(?:hello|hi|hey|greetings|good (?:morning|afternoon|evening))\b|你好|您好|大家好|早上好|下午好|晚上好|嗨)",
    re.I,
)
_THANKS = re.compile(r"\s*(?:thanks|thank you|many thanks|cheers\b|谢谢|感谢|多谢)", re.I)
_FAREWELL = re.compile(r"\s*(?:bye\b|goodbye|see you|再见|拜拜)", re.I)
_OPENINGS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("thanks", _THANKS),
    ("farewell", _FAREWELL),
    ("greeting", _GREETING),
)
_LIST = re.compile(
    rf"\b(?:(?:list|bullets?|steps|tips|ideas|reasons|examples|ways|suggestions)\b"
    rf"|{_NUMBER} (?!(?:sentences|words|lines|paragraphs|seconds|minutes|hours|days|weeks|months|years)\b)"
    rf"(?:[a-z]+ )?[a-z]+s\b)|列[出举表]|清单|步骤"
    r"|(?:(?<=[两三四五六七八九十2-9])|(?<=[两三四五六七八九十2-9]\s))[个条点种项]"
)
"""What asks for a list, from the place of one of `_SIGNS` on."""
_COUNT = re.compile(rf"(?<![a-z\d]){_NUMBER}(?![a-z\d])")
_CODE = re.compile(
    r"\b(?:write|show|give|create|implement|generate|need)\b.{0,60}?\b(?:code|function|script|snippet|program|query)\b"
    r"|[写给编].{0,20}?(?:代码|函数|脚本|程序)",
)
_SUM = re.compile(
    r"(?<![\w.(-])(?<![/÷^%*×+-] )(?<!plus )(?<!minus )(?<!times )(?<!by )"
    r"(\d{1,9}) ?(\+|\*|×| - | plus | minus | times |加|减|乘) ?(\d{1,9})"
    r"(?![\w-]|\.\d| ?\)? ?(?:[-+*×/÷^%]|plus|minus|times|divided|over|[加减乘除]))"
)
"""Two numbers and what to do with them; a longer sum is none, because half of it would be answered wrongly."""
_NUMBERS = re.compile(r"[0-9](?<![\w.'’+#-][0-9])[0-9]{2,}(?![\w'’+#-]|\.\w)")
"""Numbers of three digits and more that are no part of a word: but for what is to be repeated, or summed up, they do
not tell what a message is about."""
_SNIPPETS = ("javascript", "sql", "bash")
"""Languages of code beside Python."""
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    **dict.fromkeys(("+", "plus", "加"), add),
    **dict.fromkeys(("-", "minus", "减"), sub),
    **dict.fromkeys(("*", "×", "times", "乘"), mul),
}
_SIGNS = {
    **dict.fromkeys(("say", "repeat", "echo", "with", "回复", "重复", "说", "回答", "输出"), "e"),
    **dict.fromkeys(("plus", "minus", "times", "+", "-", "*", "×", "加", "减", "乘"), "s"),
    **dict.fromkeys(("code", "function", "script", "snippet", "program", "query", "代码", "函数", "脚本", "程序"), "c"),
    **dict.fromkeys(("list", "bullet", "steps", "tips", "ideas", "reasons", "examples", "ways", "suggestions"), "l"),
    **dict.fromkeys([f"{number} " for number in (*_MANY, *range(2, 11))], "l"),
    **dict.fromkeys(("列", "清单", "步骤", *"个条点种项"), "l"),
}
# by first letters, because an expression that tries one word after the other is far slower
_SIGN = re.compile(
    "|".join(
        f"{re.escape(letter)}(?:{'|'.join([re.escape(word[1:]) for word in words])})"
        for letter, words in groupby(sorted(_SIGNS), key=lambda word: word[0])
    )
)
"""What has to stand somewhere for an expression to find anything: each takes longer to find nothing."""
# only where a sentence starts: "she said: …" and "Answer: …" ask for nothing
_ECHO = re.compile(
    r"(?:^|[.!?\n])\s*(?:please |just |now )*(?:say|repeat|echo|(?:reply|respond|answer) with)\b"
    r"(?P<only>(?: (?:only|exactly|just))*)"
    r"(?: (?:the )?(?:words?|text|phrase|following))?(?: ?: ?| (?=[\"“]))[\"“]?(?P<quoted>[^\"“”\n]{1,200})"
    r"|^\s*(?:please )?say (?P<plain>this is [^.!?\"\n]{1,60})"
    r"|(?:^|[。！？，,\n])\s*请?你?(?P<only_zh>[只仅]?)(?:回复|重复|说|回答|输出)(?:一遍|一下)?[:：]?"
    r"[“「\"](?P<quoted_zh>[^”」\"\n]{1,200})",
    re.I,
)


@frozen
class Topic:
    """The last user message, as far as an answer needs it."""

    language: Language
    kind: Kind
    main: str = ""
    """Its most telling words; empty when there are none."""
    other: str = ""
    """The next most telling words."""
    detail: str = ""
    """What to say (kinds `echo`), the result (`sum`), how many entries (`list`), the language (`code`)."""
    greeted: bool = False
    """Whether it opens with a greeting."""

    @property
    def literal(self) -> bool:
        """Whether it hangs on each letter of the message."""
        return self.kind in ("echo", "echo_only", "sum")


class _Chunk(NamedTuple):
    """What stands between two spaces."""

    words: tuple[str, ...]
    """Its words, and nothing for each of the gaps before, between and behind them."""
    shape: str
    """A letter of `_SHAPE` for each of them."""
    signs: str
    """What it may ask for: an `e`cho, a `s`um, `c`ode, a `l`ist."""


def of(prompt: Prompt) -> Topic:
    """The topic of a prompt's last user message that has text."""
    return about(last_said(prompt))


def about(text: str) -> Topic:
    """The topic of a message."""
    if len(text) > 2 * _SAMPLE:
        head, tail = text[:_SAMPLE], text[-_SAMPLE:]
        text = f"{head.rpartition(' ')[0] or head}\n{tail.partition(' ')[2] or tail}"
    found = _about(alike(text))
    return _about(text) if found.literal else found


def alike(text: str) -> str:
    """What a message has in common with those that differ from it in the number of a case: topic, unless `literal`."""
    return _NUMBERS.sub(_zeros, text) if len(text) <= 2 * _SAMPLE else text


@lru_cache(1024)
def _about(text: str) -> Topic:
    spoken = language(text)
    found, signs = (_chinese if spoken == "zh" else _english)(text)
    phrases = sorted(dict.fromkeys(found[: _PHRASES[spoken]]), key=len, reverse=True)
    kind, detail = _kind(text, signs, bool(phrases))
    if kind == "code":
        phrases = [phrase for phrase in phrases if not _LANGUAGES.fullmatch(phrase)]
    main, other = (*phrases, "", "")[:2]
    return Topic(spoken, kind, main, other, detail, _GREETING.match(text) is not None)


def last_said(prompt: Prompt) -> str:
    """The last user message that has text, or nothing."""
    for turn in reversed(prompt.turns):
        if turn.role == "user" and turn.text:
            return turn.text
    return ""


def language(text: str) -> Language:
    """`zh` where Chinese characters dominate, `en` for everything else."""
    if text.isascii():
        return "en"
    han = len(_HAN.findall(text))
    latin = _LATIN.findall(text)
    # a Chinese word has about 1.6 characters
    return "zh" if han > sum(map(len, latin)) or 5 * han > 8 * len(latin) else "en"


@cache
def material() -> dict[str, Words]:
    """The word material, read once."""
    data: dict[str, Words] = yaml.load(read_fixture("prose.yaml"), Loader=yaml.CSafeLoader)
    return data


def _kind(text: str, signs: str, telling: bool) -> tuple[Kind, str]:
    if "e" in signs and (found := _ECHO.search(text)) and (said := _said(found)):
        return ("echo_only" if found["only"] or found["only_zh"] else "echo"), said
    if "s" in signs and (found := _SUM.search(text.lower())):
        return "sum", str(_OPERATIONS[found[2].strip()](int(found[1]), int(found[3])))
    if "c" in signs and _CODE.search(low := text.lower()):
        return "code", next((name for name in _SNIPPETS if name in low), "python")
    if not telling and (kind := next((kind for kind, opening in _OPENINGS if opening.match(text)), None)):
        return kind, ""
    if "l" in signs:
        return "list", _count(text.lower())
    return "prose", ""


def _signs(text: str) -> str:
    """What a text may ask for: an `e`cho, a `s`um, `c`ode; and what it does ask for: a `l`ist."""
    low, signs = text.lower(), ""
    for found in _SIGN.finditer(low):
        sign = _SIGNS[found[0]]
        if sign != "l" or _LIST.match(low, found.start()):
            signs += sign
    return signs


def _zeros(number: re.Match[str]) -> str:
    start, end = number.span()
    return "0" * (end - start)


def _count(text: str) -> str:
    found = _COUNT.search(text)
    word = found[0] if found else "3"
    return str(_MANY.get(word, word))


def _said(found: re.Match[str]) -> str:
    plain = found["plain"] or ""
    return (found["quoted"] or found["quoted_zh"] or plain[:1].upper() + plain[1:]).strip()


@cache
def _letters() -> dict[str, str]:
    """The letters of `_SHAPE` for all English words that are not telling."""
    stop = dict.fromkeys(material()["en"]["stop"].split(), "S")
    return stop | dict.fromkeys(_ARTICLES, "A") | dict.fromkeys(_LINKS, "L")


@cache
def _stop_parts() -> re.Pattern[str]:
    parts = sorted(material()["zh"]["stop"].split(), key=len, reverse=True)
    return re.compile(f"(?=[{''.join(sorted({part[0] for part in parts}))}])(?:{'|'.join(parts)})")


def _english(text: str) -> tuple[list[str], str]:
    """Phrases of telling words, and signs."""
    chunks, shapes, asked = zip(*map(_chunk, text.split(" ")), strict=True)
    words, shape, signs = [*chain.from_iterable(chunks)], "".join(shapes), "".join(asked)
    phrases: list[str] = []
    for match in _SHAPE.finditer(shape):
        start, end = match.span()
        phrase = " ".join(words[start:end]).rstrip("'’-")
        phrases.append(_addressed(phrase) if shape[start] == "A" else phrase)
    return phrases, _signs(text) if "l" in signs else signs


@lru_cache(maxsize=4096)
def _chunk(text: str) -> _Chunk:
    words, shape, end = list[str](), "", 0
    for found in _WORD.finditer(text):
        if words or found.start():
            words.append("")
            shape += "S"
        words.append(found[0])
        shape += _letter(found[0])
        end = found.end()
    if end < len(text) or not text:
        words.append("")
        shape += "S"
    # a number with a space behind it is a sign
    return _Chunk(tuple(words), shape, "".join([_SIGNS[sign] for sign in _SIGN.findall(f"{text.lower()} ")]))


def _letter(word: str) -> str:
    """What a word is in `_SHAPE`; S stops a phrase."""
    return _letters().get(word.lower()) or ("T" if 1 < len(word) < 25 and word[0].isalpha() else "S")


def _addressed(phrase: str) -> str:
    """A phrase with an article as the one who answers would say it."""
    article, _, rest = phrase.partition(" ")
    low = article.lower()
    return f"your {rest}" if low in ("my", "our") else f"{low} {rest}"


def _chinese(text: str) -> tuple[list[str], str]:
    """The parts between function words, and signs."""
    parts = _ZH_PART.findall(_stop_parts().sub(" ", text))
    return [part for part in parts if 1 < len(part) <= 12], _signs(text)
