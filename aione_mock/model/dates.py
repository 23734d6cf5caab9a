"""Dates and times as people write them, English and Chinese."""

from __future__ import annotations

import re
from datetime import date, timedelta

_MONTHS = ["january", "february", "march", "april", "may", "june"]
_MONTHS += ["july", "august", "september", "october", "november", "december"]
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_DAYS = {
    "today": 0,
    "tonight": 0,
    "tomorrow": 1,
    "yesterday": -1,
    "今天": 0,
    "今晚": 0,
    "明天": 1,
    "后天": 2,
    "昨天": -1,
}
_DEFAULT_YEAR = 2026
"""The year of a written date without one, where no `today` is given."""
NAMES = frozenset([*_MONTHS, *_WEEKDAYS, *_DAYS])
"""Words in lower case that are not names of people or places, though some have a capital."""
MONTH = "|".join([f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS if name != "may"]) + "|may|sept"
WEEKDAY = "|".join(_WEEKDAYS)
"""Alternatives for an expression that ignores case."""


def written(raw: str, today: date | None) -> date | None:
    """A written date; without a year, the next such day from `today`. None if there is no such day."""
    figures = [int(figure) for figure in re.findall(r"\d+", raw)]
    month = re.search(rf"(?i)\b({MONTH})\b", raw)
    if month:
        number = next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(month[1].lower()[:3]))
        figures = [*figures[1:], number, figures[0]]
    try:
        if len(figures) == 3:
            return date(*figures)
        day = date(today.year if today else _DEFAULT_YEAR, *figures)
        return day.replace(year=day.year + 1) if today and day < today else day
    except ValueError:
        return None


def relative(raw: str, today: date) -> date:
    """The day that 'tomorrow', 'next Monday', '后天' or '下周一' means."""
    word = raw.lower()
    if word in _DAYS or word.startswith("day after"):
        return today + timedelta(days=_DAYS.get(word, 2))
    tail = word.split()[-1]
    weekday = _WEEKDAYS.index(tail) if tail in _WEEKDAYS else "一二三四五六日天".index(word[-1]) % 7
    weekday = 6 if word[-1] in "日天" else weekday
    ahead = (weekday - today.weekday()) % 7
    if word.startswith("下"):
        return today + timedelta(days=7 - today.weekday() + weekday)
    return today + timedelta(days=ahead or 7)


def clock(raw: str) -> str:
    """`HH:MM`, or `HH:MM:SS` where seconds are written."""
    word = raw.lower().replace(".", "")
    if word in ("noon", "midnight"):
        return "12:00" if word == "noon" else "00:00"
    figures = [int(figure) for figure in re.findall(r"\d+", word)]
    hour, minute = figures[0], figures[1] if len(figures) > 1 else 30 if "半" in word else 0
    late = word.endswith("pm") or word.startswith(("下午", "晚上"))
    hour = hour % 12 + 12 if late and hour <= 12 else 0 if word.endswith("am") and hour == 12 else hour
    seconds = f":{figures[2]:02d}" if len(figures) > 2 else ""
    return f"{hour % 24:02d}:{minute % 60:02d}{seconds}"
