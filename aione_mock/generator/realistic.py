"""Draw realistic texts from Faker, which the extra `data` installs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

from aione_mock.generator.words import Language
from aione_mock.seed import Seed

INSTALL_HINT = "pip install 'aione-mock[data]' fills generated responses with realistic names, addresses and sentences"
_METHODS = {
    "first_name": "first_name",
    "last_name": "last_name",
    "full_name": "name",
    "username": "user_name",
    "email": "ascii_safe_email",
    "phone": "phone_number",
    "city": "city",
    "country": "country",
    "street": "street_address",
    "postcode": "postcode",
    "company": "company",
    "job": "job",
    "sentence": "sentence",
}
"""Methods of Faker by the kind of value (see `words.find_kind`)."""
_PROVIDERS = ("address", "company", "internet", "job", "lorem", "person", "phone_number")
_LOCALES: Mapping[Language, str] = {"en": "en_US", "zh": "zh_CN"}
_LOCK = Lock()
_log = logging.getLogger("aione_mock")


def is_installed() -> bool:
    """Return whether Faker is installed."""
    return find_spec("faker") is not None


def draw_realistic(kind: str | None, language: Language, seed: Seed) -> str | None:
    """Return a text of a kind; None for other kinds or without Faker. Depends on the seed and Faker's version."""
    fakers = _create_fakers() if kind in _METHODS else {}
    if language not in fakers or kind is None:
        return None
    # the instances are shared between threads, and drawing follows seeding
    with _LOCK:
        fakers[language].seed_instance(seed.draw_integer("faker"))
        text = getattr(fakers[language], _METHODS[kind])()
    return " ".join(text.split())


@cache
def _create_fakers() -> Mapping[Language, Any]:
    if not is_installed():
        _log.warning("Faker is not installed: %s", INSTALL_HINT)
        return {}
    from faker import Faker

    providers = [f"faker.providers.{name}" for name in _PROVIDERS]
    return {language: Faker(locale, providers=providers) for language, locale in _LOCALES.items()}
