"""Find the values that a text names: numbers, quotations, dates, places, addresses and the like."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import NamedTuple

from aione_mock.generator.words import word_lists
from aione_mock.model import dates
from aione_mock.types import Json

_MAX_TEXT = 4096
"""Characters that are read at each end of a text."""
_SPOKEN = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_SPOKEN |= {"二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
# the look-ahead makes an expression skip most characters quickly
_SPOKEN_NUMBER = re.compile(
    r"(?=[tfsen二两三四五六七八九十])"
    r"(?:\b(?:two|three|four|five|six|seven|eight|nine|ten)\b|[二两三四五六七八九十](?=[个位名人天晚张件次杯份本小分]))"
)
_ADDRESS = re.compile(
    r"""
    (?P<url>https?://[^\s"'<>，。、）)]+[^\s"'<>，。、）).,;:!?])
    |(?P<email>(?<![\w.%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)
    |(?P<uuid>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)
    """,
    re.VERBOSE,
)
_FIGURE = re.compile(
    rf"""
    (?=[\dA-Z+上下早晚-])(?:
    (?P<datetime>\b\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)
    |(?P<date>{dates.DATE})
    |(?P<time>{dates.TIME})
    |(?P<phone>\+\d[\d ()-]{{7,}}\d)
    |(?P<id>\b[A-Z]{{1,6}}[-_]?\d{{2,}}(?:[-_]\w+)*)
    |(?P<number>(?:(?<![\w.])-)?\d+(?:,\d{{3}})*(?:\.\d+)?)
    )""",
    re.VERBOSE,
)
_DIGIT = re.compile(r"\d")
_QUOTED = re.compile(
    r"\"([^\"\n]{1,500})\"|“([^”\n]{1,500})”|「([^」]{1,500})」|《([^》]{1,200})》"
    r"|(?<!\w)'([^'\n]{1,200})'(?!\w)|`([^`\n]{1,500})`"
)
_CAPITALS = re.compile(r"[A-Z][\w’'-]{0,30}(?: [A-Z][\w’'-]{0,30}){0,3}(?:, [A-Z]{2}\b)?")
_POSSESSIVE = ("'s", "’s")
_LOWER_WORD = re.compile(r"[a-z]+")
_CODE = re.compile(r"\b[A-Z]{2,5}\b")


class Mention(NamedTuple):
    """One value that a text names."""

    value: Json
    """A number, else text; dates and times in ISO form."""
    start: int
    end: int


class Mentions:
    """Hold a text and the values it names. Each kind is searched for when it is first asked for."""

    def __init__(self, text: str, today: date) -> None:
        """Relative days count from `today`. Of a long text, only the beginning and the end are read."""
        self.text = text if len(text) <= 2 * _MAX_TEXT else f"{text[:_MAX_TEXT]}\n{text[-_MAX_TEXT:]}"
        self.today = today
        self._found: dict[str, list[Mention]] = {}
        self._addresses: Mapping[str, list[Mention]] | None = None
        self._figures: Mapping[str, list[Mention]] | None = None

    def find(self, kind: str) -> list[Mention]:
        """Return the values of a kind, in the order of the text.

        Kinds: `number`, `quoted`, `url`, `email`, `uuid`, `datetime`, `date`, `time`, `phone`, `id` (INV-2041), `code`
        (USD), `place`, `name`, `capitalised`.
        """
        found = self._found.get(kind)
        if found is None:
            finder = _FINDERS.get(kind)
            found = [*finder(self)] if finder else self.addresses.get(kind) or self.figures.get(kind) or []
            self._found[kind] = found
        return found

    @property
    def addresses(self) -> Mapping[str, list[Mention]]:
        """URLs, e-mail addresses and UUIDs."""
        if self._addresses is None:
            text = self.text
            found = "@" in text or "://" in text or text.count("-") > 3
            self._addresses = self._scan_text(_ADDRESS, text) if found else {}
        return self._addresses

    @property
    def figures(self) -> Mapping[str, list[Mention]]:
        """What holds digits: dates, times, phone numbers, ids, numbers."""
        if self._figures is None:
            text = self.text
            if self.addresses:
                text = _ADDRESS.sub(lambda match: " " * len(match[0]), text)
            self._figures = self._scan_text(_FIGURE, text) if _DIGIT.search(text) else {}
        return self._figures

    def _scan_text(self, expression: re.Pattern[str], text: str) -> Mapping[str, list[Mention]]:
        found = defaultdict[str, list[Mention]](list)
        for match in expression.finditer(text):
            kind = match.lastgroup or ""
            if (value := _read_value(kind, match[0], self.today)) is not None:
                found[kind].append(Mention(value, *match.span()))
        return found

    def with_values(self, kind: str, values: list[Mention]) -> Mentions:
        """Return a copy with other values of a kind."""
        copy = Mentions(self.text, self.today)
        copy._found = {**self._found, kind: values}
        return copy


def _get_start(mention: Mention) -> int:
    return mention.start


def _find_numbers(mentions: Mentions) -> list[Mention]:
    figures = mentions.figures.get("number", [])
    spoken = [Mention(_SPOKEN[match[0]], *match.span()) for match in _SPOKEN_NUMBER.finditer(mentions.text)]
    return sorted(figures + spoken, key=_get_start) if spoken else figures


def _find_dates(mentions: Mentions) -> list[Mention]:
    days = dates.DAY.finditer(mentions.text)
    relative = [Mention(dates.resolve_day(day[0], mentions.today).isoformat(), *day.span()) for day in days]
    return sorted(mentions.figures.get("date", []) + relative, key=_get_start)


def _read_value(kind: str, raw: str, today: date) -> Json:
    """Return the value of a figure or address, None for a date that does not exist."""
    if kind == "number":
        digits = raw.replace(",", "")
        return float(digits) if "." in digits or len(digits) > 18 else int(digits)
    if kind == "date":
        day = dates.parse_date(raw, today)
        return day and day.isoformat()
    if kind == "time":
        return dates.parse_time(raw)
    if kind == "datetime":
        stamp = raw.replace(" ", "T")
        stamp += ":00" * (stamp.count(":") == 1)
        return stamp if "Z" in stamp or "+" in stamp else f"{stamp}Z"
    return raw


def _find_quoted(mentions: Mentions) -> Iterator[Mention]:
    for match in _QUOTED.finditer(mentions.text):
        yield Mention(match[match.lastindex or 0].strip(), *match.span())


def _find_capitalised(mentions: Mentions) -> Iterator[Mention]:
    """Return words with a capital. The first word of a sentence counts only if it is a known name."""
    text = mentions.text
    for match in _CAPITALS.finditer(text):
        start, name = match.start(), match[0]
        if name[-2:] in _POSSESSIVE:
            name = name[:-2]
        if _begins_sentence(text, start):
            first, _, rest = name.partition(" ")
            if not _is_known(name, first):
                start, name = start + len(first) + 1, rest
        if name and name[0].isupper() and not name.isupper() and name.lower() not in dates.CALENDAR_WORDS:
            yield Mention(name, start, start + len(name))


def _begins_sentence(text: str, at: int) -> bool:
    before = text[max(at - 3, 0) : at].rstrip(" ")
    return not before or before[-1] in ".!?:\n"


def _is_known(name: str, first: str) -> bool:
    places = _load_places()
    return first in _load_first_names() or name.partition(",")[0].lower() in places or first.lower() in places


def _find_places(mentions: Mentions) -> list[Mention]:
    """Return known cities and countries, else everything with a capital that is no first name."""
    places, capitalised = _load_places(), mentions.find("capitalised")
    known = [item for item in capitalised if item.value.partition(",")[0].lower() in places]
    if not mentions.text.isascii():
        known += [Mention(match[0], *match.span()) for match in _load_chinese_places().finditer(mentions.text)]
    if not known:
        words = _LOWER_WORD.finditer(mentions.text)
        known = [Mention(match[0], *match.span()) for match in words if match[0] in places]
    return known or [item for item in capitalised if item.value.partition(" ")[0] not in _load_first_names()]


def _find_names(mentions: Mentions) -> Iterator[Mention]:
    """Return names of people: those with a known first name, else everything with a capital that is no known place."""
    capitalised = mentions.find("capitalised")
    known = [item for item in capitalised if item.value.partition(" ")[0] in _load_first_names()]
    if not mentions.text.isascii():
        known += [Mention(match[0], *match.span()) for match in _load_chinese_names().finditer(mentions.text)]
    return iter(known or [item for item in capitalised if item.value.lower() not in _load_places()])


def _find_codes(mentions: Mentions) -> Iterator[Mention]:
    return (Mention(match[0], *match.span()) for match in _CODE.finditer(mentions.text))


_FINDERS: Mapping[str, Callable[[Mentions], Iterable[Mention]]] = {
    "number": _find_numbers,
    "date": _find_dates,
    "quoted": _find_quoted,
    "capitalised": _find_capitalised,
    "place": _find_places,
    "name": _find_names,
    "code": _find_codes,
}


@cache
def _load_places() -> frozenset[str]:
    """Return the English names of cities and countries, in lower case."""
    return frozenset([name.lower() for table in ("cities", "countries") for name in word_lists()[table]])


@cache
def _load_chinese_places() -> re.Pattern[str]:
    names = [name for table in ("cities", "countries") for name in word_lists()[table].values()]
    return re.compile("|".join(sorted(names, key=len, reverse=True)))


@cache
def _load_first_names() -> frozenset[str]:
    return frozenset([*word_lists()["made_en"]["first_name"], *word_lists()["en"]["first_name"]])


@cache
def _load_chinese_names() -> re.Pattern[str]:
    surnames = "".join(word_lists()["zh"]["last_name"])
    following = "住|在|是|今年|和|，|、|喜欢|去|有|的|\\d|$"
    return re.compile(rf"(?:(?<=叫)|(?<![\u4e00-\u9fff]))[{surnames}][\u4e00-\u9fff]{{1,2}}?(?={following})")
