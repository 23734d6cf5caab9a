"""Generate strings by format, by the property's name and by pattern, within limits of length."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aione_mock.clock import format_instant
from aione_mock.generator import patterns, words
from aione_mock.generator.budget import WorkBudget
from aione_mock.generator.plan import Unsatisfiable
from aione_mock.generator.realistic import draw_realistic
from aione_mock.generator.words import Language, pick_one, pick_word
from aione_mock.seed import Seed

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_MAX_LENGTH = 1_000_000
_PATTERN_ATTEMPTS = 24
_CHARACTERS = 500
"""Characters of a candidate, times those of its pattern, that take a step of the budget."""
_FASTER = 4
"""By how much a repetition that is written out is matched faster than other parts of a pattern."""
_CHARACTERS_OF_MATCH = 5
"""Characters of a pattern and of what is made from it that take a step."""


def draw_instant(seed: Seed) -> datetime:
    """Return a whole minute of the year 2026."""
    return _EPOCH + timedelta(minutes=seed.draw_integer("moment") % (365 * 1440))


def _draw_host(seed: Seed) -> str:
    return f"{pick_word('word', 'en', seed)}.example.com"


def _draw_email(seed: Seed, _: Language = "en") -> str:
    first, last = pick_word("first_name", "en", seed), pick_word("last_name", "en", seed)
    return f"{first}.{last}@example.com".lower()


def _draw_url(seed: Seed, _: Language = "en") -> str:
    return f"https://{_draw_host(seed)}/{pick_word('word', 'en', seed.child('path'))}"


def _draw_ipv4(seed: Seed, _: Language = "en") -> str:
    return f"203.0.113.{seed.draw_integer('ip') % 254 + 1}"


def _draw_base64(seed: Seed) -> str:
    return base64.b64encode(pick_word("sentence", "en", seed).encode()).decode()


FORMATS: Mapping[str, Callable[[Seed], str]] = {
    "date-time": lambda seed: format_instant(draw_instant(seed)),
    "date": lambda seed: draw_instant(seed).date().isoformat(),
    "time": lambda seed: f"{draw_instant(seed):%H:%M:%S}Z",
    "duration": lambda seed: pick_one(("PT15M", "PT1H30M", "P1D", "P7D"), seed),
    "email": _draw_email,
    "idn-email": _draw_email,
    "hostname": _draw_host,
    "idn-hostname": _draw_host,
    "ipv4": _draw_ipv4,
    "ipv6": lambda seed: f"2001:db8::{seed.draw_integer('ip') % 0xFFFF + 1:x}",
    "uri": _draw_url,
    "url": _draw_url,
    "iri": _draw_url,
    "uri-reference": lambda seed: f"/{pick_word('word', 'en', seed)}",
    "iri-reference": lambda seed: f"/{pick_word('word', 'en', seed)}",
    "uri-template": lambda seed: f"/{pick_word('word', 'en', seed)}/{{id}}",
    "uuid": lambda seed: seed.draw_uuid(),
    "json-pointer": lambda seed: f"/{pick_word('word', 'en', seed)}",
    "relative-json-pointer": lambda seed: f"{seed.draw_integer() % 3}/{pick_word('word', 'en', seed)}",
    "regex": lambda seed: f"^{pick_word('word', 'en', seed)}$",
    "byte": _draw_base64,
    "binary": lambda seed: pick_word("sentence", "en", seed),
    "password": lambda seed: seed.draw_token(16, "password"),
}
"""Functions that draw a value of a format. Other formats restrict nothing."""

_FORMAT_KINDS = {"email": "email", "idn-email": "email"}
_SHORT_VALUES: Mapping[str, tuple[str, ...]] = {
    "email": ("a@example.org", "a@b.co"),
    "idn-email": ("a@example.org", "a@b.co"),
    "hostname": ("b.example", "b.co", "b"),
    "idn-hostname": ("b.example", "b.co", "b"),
    "uri": ("https://b.co", "a:b"),
    "url": ("https://b.co", "a:b"),
    "iri": ("https://b.co", "a:b"),
    "ipv4": ("10.0.0.1", "1.1.1.1"),
    "ipv6": ("2001:db8::1", "::1", "::"),
    "duration": ("PT1H", "P1D"),
    "uri-reference": ("/a", ""),
    "iri-reference": ("/a", ""),
    "json-pointer": ("/a", ""),
}


def _draw_full_name(seed: Seed, lang: Language) -> str:
    first, last = pick_word("first_name", lang, seed), pick_word("last_name", lang, seed)
    return last + first if lang == "zh" else f"{first} {last}"


def _draw_phone(seed: Seed, lang: Language) -> str:
    number = seed.draw_integer("phone")
    return f"1380000{number % 10000:04d}" if lang == "zh" else f"+1-202-555-{100 + number % 100:04d}"


_KINDS: Mapping[str, Callable[[Seed, Language], str]] = {
    "full_name": _draw_full_name,
    "username": lambda seed, _: f"{pick_word('word', 'en', seed)}_{pick_word('word', 'en', seed.child(2))}",
    "email": _draw_email,
    "phone": _draw_phone,
    "postcode": lambda seed, lang: f"{100000 + seed.draw_integer() % 700000}"[: 6 if lang == "zh" else 5],
    "street": lambda seed, lang: (
        f"{pick_word('street', lang, seed)}{seed.draw_integer() % 200 + 1}号"
        if lang == "zh"
        else f"{seed.draw_integer() % 200 + 1} {pick_word('street', lang, seed)}"
    ),
    "date": lambda seed, _: FORMATS["date"](seed),
    "time": lambda seed, _: f"{draw_instant(seed):%H:%M}",
    "datetime": lambda seed, _: FORMATS["date-time"](seed),
    "url": _draw_url,
    "ip": _draw_ipv4,
    "id": lambda seed, _: f"{pick_word('word', 'en', seed)[:3].upper()}-{1000 + seed.draw_integer() % 9000}",
    "currency": lambda seed, lang: "CNY" if lang == "zh" else pick_one(("USD", "EUR", "GBP", "CNY"), seed),
    "timezone": lambda seed, lang: (
        "Asia/Shanghai" if lang == "zh" else pick_one(("UTC", "Europe/Paris", "Asia/Tokyo"), seed)
    ),
    "filename": lambda seed, _: f"{pick_word('word', 'en', seed)}.txt",
    "version": lambda seed, _: f"{seed.draw_integer(1) % 5}.{seed.draw_integer(2) % 10}.{seed.draw_integer(3) % 10}",
    "symbol": lambda seed, _: pick_word("word", "en", seed)[:4].upper(),
}


def draw_text(name: str, description: str, seed: Seed) -> str:
    """Return what a string property of this name may contain; two words if the name is unknown."""
    lang = words.detect_language(name, description)
    kind = words.find_kind(name)
    if kind is not None and kind in _KINDS:
        return _KINDS[kind](seed, lang)
    if kind:
        return pick_word(kind, lang, seed)
    space = "" if lang == "zh" else " "
    return pick_word("word", lang, seed) + space + pick_word("word", lang, seed.child("second"))


def draw_string(
    schema: Mapping[str, Any],
    name: str,
    seed: Seed,
    is_valid: Callable[[str], bool],
    *,
    realistic: bool = False,
    work: WorkBudget,
) -> str:
    """Return a string for the keywords of a schema that `is_valid` accepts. Raise Unsatisfiable if none is found."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if least > _MAX_LENGTH or (most is not None and most < least):
        raise Unsatisfiable(f"a string of {least} to {most} characters")
    pattern = schema.get("pattern", "")
    length = 1 + max(len(pattern), patterns.measure_pattern(pattern) // _FASTER)
    for candidate in _iter_candidates(schema, name, seed, least, None if most is None else int(most), realistic, work):
        work.spend(len(candidate) * length // _CHARACTERS)
        if len(candidate) >= least and (most is None or len(candidate) <= most) and is_valid(candidate):
            return candidate
    raise Unsatisfiable(f"no string found for {name or 'a value'}")


def _iter_candidates(
    schema: Mapping[str, Any], name: str, seed: Seed, least: int, most: int | None, realistic: bool, work: WorkBudget
) -> Iterator[str]:
    form, pattern, description = str(schema.get("format")), schema.get("pattern"), str(schema.get("description", ""))
    if realistic:
        kind = _FORMAT_KINDS.get(form) if form in FORMATS else words.find_kind(name)
        yield from filter(None, [draw_realistic(kind, words.detect_language(name, description), seed)])
    if form in FORMATS:
        yield from (FORMATS[form](seed.child(form, attempt)) for attempt in range(4))
        yield from _SHORT_VALUES.get(form, ())
        yield from _lengthen(form, least)
    yield _resize(draw_text(name, description, seed), least, most)
    if pattern is not None:
        yield from _iter_matches(pattern, seed, least, most, work)
    yield from (_resize(seed.draw_token(20, attempt), least, most) for attempt in range(4))


def _iter_matches(pattern: str, seed: Seed, least: int, most: int | None, work: WorkBudget) -> Iterator[str]:
    for attempt in range(_PATTERN_ATTEMPTS):
        try:
            match = patterns.draw_match(pattern, seed.child("pattern", attempt), least, most, greedy=attempt % 2 == 1)
        except patterns.Unmatchable as error:
            raise Unsatisfiable(str(error)) from None
        work.spend((len(pattern) + len(match)) // _CHARACTERS_OF_MATCH)
        yield match
        if len(match) < least:  # an expression without an end anchor allows more to follow
            yield match + "x" * (least - len(match))
            yield "x" * (least - len(match)) + match


def _resize(text: str, least: int, most: int | None) -> str:
    """Repeat or cut a text until its length is within limits."""
    if len(text) < least:
        space = " " if " " in text else ""
        text = (text + space) * (least // max(len(text) + len(space), 1) + 1)
        text = text[:least].rstrip().ljust(least, "x")
    return text if most is None else text[:most]


def _lengthen(form: str, least: int) -> Iterator[str]:
    """Yield a value of at least this length, for formats that have one."""
    pad = "a" * max(least, 0)
    values = {
        "uri": f"https://example.com/{pad}",
        "url": f"https://example.com/{pad}",
        "iri": f"https://example.com/{pad}",
        "uri-reference": f"/{pad}",
        "iri-reference": f"/{pad}",
        "uri-template": f"/{pad}",
        "json-pointer": f"/{pad}",
        "regex": pad,
        "email": f"{pad[:60]}@{'.'.join([pad[:50]] * min(least // 51 + 1, 3))}.example",
        "date-time": f"2026-01-31T09:00:00.{'0' * max(least - 21, 1)}Z",
    }
    if form in values:
        yield values[form]
