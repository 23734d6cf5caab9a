"""Parse dates and times as people write them, in English and Chinese."""

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
_MONTH = "(?i:" + "|".join([f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS]) + r")\b"
_MONTH_NAME = re.compile(rf"\b{_MONTH}")
CALENDAR_WORDS = frozenset([*_MONTHS, *_WEEKDAYS, *_DAYS])
"""Words in lower case that are written with a capital, but name no person and no place."""
DATE = (
    r"(?<!\d)\d{4}(?:-\d\d?-\d\d?|/\d\d?/\d\d?)(?!\d)|(?:\d{4}年)?\d{1,2}月\d{1,2}[日号]"
    rf"|\b{_MONTH}\.?\ \d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\ \d{{4}}\b)?"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\ (?:of\ )?{_MONTH}\.?(?:,?\ \d{{4}}\b)?"
)
"""A regular expression (verbose) for a written date."""
TIME = (
    r"(?<![\d:])\d{1,2}:\d\d(?::\d\d)?(?:\ ?[AaPp]\.?[Mm]\b)?|\b\d{1,2}\ ?[AaPp]\.?[Mm]\b"
    r"|(?:[上下]午|早上|晚上)?\d{1,2}点半?"
)
"""A regular expression (verbose) for a time of day."""
DAY = re.compile(
    rf"\b(?:{'|'.join([*_WEEKDAYS, *filter(str.isascii, _DAYS)])})\b"
    rf"|{'|'.join([day for day in _DAYS if not day.isascii()])}|(?:周|星期)[一二三四五六日天]",
    re.IGNORECASE,
)
"""A day counted from today."""


def parse_date(raw: str, today: date) -> date | None:
    """Parse a written date. One without a year is the next such day; None means that there is no such day."""
    figures = [int(figure) for figure in re.findall(r"\d+", raw)]
    if month := _MONTH_NAME.search(raw):
        number = next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(month[0][:3].lower()))
        figures = [*figures[1:], number, figures[0]]
    try:
        if len(figures) == 3:
            return date(*figures)
        day = date(today.year, *figures)
        return day if day >= today else day.replace(year=day.year + 1)
    except ValueError:
        return None


def resolve_day(raw: str, today: date) -> date:
    """Return the date of a day such as `tomorrow` or `周五`. A day of the week is the next one after today."""
    word = raw.lower()
    if word in _DAYS:
        return today + timedelta(days=_DAYS[word])
    weekday = _WEEKDAYS.index(word) if word in _WEEKDAYS else "一二三四五六日天".index(word[-1])
    return today + timedelta(days=(min(weekday, 6) - today.weekday() - 1) % 7 + 1)


def parse_time(raw: str) -> str:
    """Parse a time of day. Return `HH:MM`, or `HH:MM:SS` where seconds are written."""
    word = raw.lower().replace(".", "")
    hour, *rest = map(int, re.findall(r"\d+", word))
    minute, *seconds = rest or [30 if "半" in word else 0]
    if word.endswith("pm") or word.startswith(("下午", "晚上")):
        hour = hour % 12 + 12
    elif word.endswith("am"):
        hour %= 12
    return f"{hour % 24:02d}:{minute % 60:02d}" + "".join([f":{second:02d}" for second in seconds])
