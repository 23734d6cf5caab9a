"""Strings: formats, texts by the property's name, lengths."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aione_mock.clock import format_instant
from aione_mock.generator import patterns, words
from aione_mock.generator.plan import Impossible
from aione_mock.generator.words import Language, pick, some
from aione_mock.seed import Seed

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST = 1_000_000
_TRIES = 24
_ZONES = ("UTC", "Europe/Paris", "Asia/Tokyo")


def moment(seed: Seed) -> datetime:
    """An instant of the year 2026, on a whole minute."""
    return _EPOCH + timedelta(minutes=seed.draw_integer("moment") % (365 * 1440))


def _host(seed: Seed) -> str:
    return f"{some('word', 'en', seed)}.example.com"


def _email(seed: Seed, _: Language = "en") -> str:
    first, last = some("first_name", "en", seed), some("last_name", "en", seed)
    return f"{first}.{last}@example.com".lower()


def _url(seed: Seed, _: Language = "en") -> str:
    return f"https://{_host(seed)}/{some('word', 'en', seed.child('path'))}"


def _ipv4(seed: Seed, _: Language = "en") -> str:
    return f"203.0.113.{seed.draw_integer('ip') % 254 + 1}"


def _coded(seed: Seed) -> str:
    return base64.b64encode(some("sentence", "en", seed).encode()).decode()


FORMATS: Mapping[str, Callable[[Seed], str]] = {
    "date-time": lambda seed: format_instant(moment(seed)),
    "date": lambda seed: moment(seed).date().isoformat(),
    "time": lambda seed: f"{moment(seed):%H:%M:%S}Z",
    "duration": lambda seed: pick(("PT15M", "PT1H30M", "P1D", "P7D"), seed),
    "email": _email,
    "idn-email": _email,
    "hostname": _host,
    "idn-hostname": _host,
    "ipv4": _ipv4,
    "ipv6": lambda seed: f"2001:db8::{seed.draw_integer('ip') % 0xFFFF + 1:x}",
    "uri": _url,
    "url": _url,
    "iri": _url,
    "uri-reference": lambda seed: f"/{some('word', 'en', seed)}",
    "iri-reference": lambda seed: f"/{some('word', 'en', seed)}",
    "uri-template": lambda seed: f"/{some('word', 'en', seed)}/{{id}}",
    "uuid": lambda seed: seed.draw_uuid(),
    "json-pointer": lambda seed: f"/{some('word', 'en', seed)}",
    "relative-json-pointer": lambda seed: f"{seed.draw_integer() % 3}/{some('word', 'en', seed)}",
    "regex": lambda seed: f"^{some('word', 'en', seed)}$",
    "byte": _coded,
    "binary": lambda seed: some("sentence", "en", seed),
    "password": lambda seed: seed.draw_token(16, "password"),
}
"""Format names to what draws them; a format not listed here restricts nothing."""

_SHORT: Mapping[str, tuple[str, ...]] = {
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


def _full_name(seed: Seed, lang: Language) -> str:
    first, last = some("first_name", lang, seed), some("last_name", lang, seed)
    return last + first if lang == "zh" else f"{first} {last}"


def _phone(seed: Seed, lang: Language) -> str:
    number = seed.draw_integer("phone")
    return f"1380000{number % 10000:04d}" if lang == "zh" else f"+1-202-555-{100 + number % 100:04d}"


_KINDS: Mapping[str, Callable[[Seed, Language], str]] = {
    "full_name": _full_name,
    "username": lambda seed, _: f"{some('word', 'en', seed)}_{some('word', 'en', seed.child(2))}",
    "email": _email,
    "phone": _phone,
    "postcode": lambda seed, lang: f"{100000 + seed.draw_integer() % 700000}"[: 6 if lang == "zh" else 5],
    "street": lambda seed, lang: (
        f"{some('street', lang, seed)}{seed.draw_integer() % 200 + 1}号"
        if lang == "zh"
        else f"{seed.draw_integer() % 200 + 1} {some('street', lang, seed)}"
    ),
    "date": lambda seed, _: FORMATS["date"](seed),
    "time": lambda seed, _: f"{moment(seed):%H:%M}",
    "datetime": lambda seed, _: FORMATS["date-time"](seed),
    "url": _url,
    "ip": _ipv4,
    "id": lambda seed, _: f"{some('word', 'en', seed)[:3].upper()}-{1000 + seed.draw_integer() % 9000}",
    "currency": lambda seed, lang: "CNY" if lang == "zh" else pick(("USD", "EUR", "GBP", "CNY"), seed),
    "timezone": lambda seed, lang: (
        "Asia/Shanghai" if lang == "zh" else pick(("UTC", "Europe/Paris", "Asia/Tokyo"), seed)
    ),
    "filename": lambda seed, _: f"{some('word', 'en', seed)}.txt",
    "version": lambda seed, _: f"{seed.draw_integer(1) % 5}.{seed.draw_integer(2) % 10}.{seed.draw_integer(3) % 10}",
    "symbol": lambda seed, _: some("word", "en", seed)[:4].upper(),
}


def text(name: str, description: str, seed: Seed) -> str:
    """What a string property of this name may hold; two words where the name says nothing."""
    lang = words.language(name, description)
    kind = words.kind(name)
    if kind is not None and kind in _KINDS:
        return _KINDS[kind](seed, lang)
    if kind:
        return some(kind, lang, seed)
    joint = "" if lang == "zh" else " "
    return some("word", lang, seed) + joint + some("word", lang, seed.child("second"))


def string(schema: Mapping[str, Any], name: str, seed: Seed, fits: Callable[[str], bool]) -> str:
    """A string for the plain keywords of a schema; `fits` has the last word. Raises Impossible."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if least > _LONGEST or (most is not None and most < least):
        raise Impossible(f"a string of {least} to {most} characters")
    for candidate in _candidates(schema, name, seed, least, None if most is None else int(most)):
        if len(candidate) >= least and (most is None or len(candidate) <= most) and fits(candidate):
            return candidate
    raise Impossible(f"no string found for {name or 'a value'}")


def _candidates(schema: Mapping[str, Any], name: str, seed: Seed, least: int, most: int | None) -> Iterator[str]:
    form, pattern = str(schema.get("format")), schema.get("pattern")
    if form in FORMATS:
        yield from (FORMATS[form](seed.child(form, attempt)) for attempt in range(4))
        yield from _SHORT.get(form, ())
        yield from _lengthened(form, least)
    plain = text(name, str(schema.get("description", "")), seed)
    yield _sized(plain, least, most)
    if pattern is not None:
        yield from _matching(pattern, seed, least, most)
    yield from (_sized(seed.draw_token(20, attempt), least, most) for attempt in range(4))


def _matching(pattern: str, seed: Seed, least: int, most: int | None) -> Iterator[str]:
    for attempt in range(_TRIES):
        try:
            drawn = patterns.draw(pattern, seed.child("pattern", attempt), least, most, greedy=attempt % 2 == 1)
        except patterns.Unmatchable as problem:
            raise Impossible(str(problem)) from None
        yield drawn
        if len(drawn) < least:  # an expression without an end anchor lets more follow
            yield drawn + "x" * (least - len(drawn))
            yield "x" * (least - len(drawn)) + drawn


def _sized(words_: str, least: int, most: int | None) -> str:
    if len(words_) < least:
        joint = " " if " " in words_ else ""
        words_ = (words_ + joint) * (least // max(len(words_) + len(joint), 1) + 1)
        words_ = words_[:least].rstrip().ljust(least, "x")
    return words_ if most is None else words_[:most]


def _lengthened(form: str, least: int) -> Iterator[str]:
    """Longer spellings of formats that have any."""
    pad = "a" * max(least, 0)
    spellings = {
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
    if form in spellings:
        yield spellings[form]
