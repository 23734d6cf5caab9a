"""Makes the lists between the two marker lines of fixtures/words.yaml, once, from Faker with a fixed seed.

Run it by hand (`python scripts/words.py`) and commit the outcome: at run time nothing imports Faker, whose words for
one seed change from release to release. What stands outside the markers is kept by hand and left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from faker import Faker

TARGET = Path(__file__).parent.parent / "fixtures" / "words.yaml"
BEGIN = "# --- made by scripts/words.py\n"
END = "# --- end of what scripts/words.py made\n"
SEED = 20260101
LISTS = {"first_name": 48, "last_name": 48, "job": 24}
LONGEST = 24


def distinct(draw: Callable[[], str], wanted: int) -> list[str]:
    """The first `wanted` different short words, in the order of drawing."""
    words: dict[str, None] = {}
    while len(words) < wanted:
        word = draw()
        if len(word) <= LONGEST and not set(word) & set("'/,"):
            words.setdefault(word)
    return list(words)


def made(locale: str) -> str:
    """The block of one language, as flow-style YAML lists."""
    faker = Faker(locale)
    faker.seed_instance(SEED)
    draws = {"first_name": faker.first_name, "last_name": faker.last_name, "job": faker.job}
    lines = [f"made_{locale[:2]}:\n"]
    for name, wanted in LISTS.items():
        words = distinct(draws[name], wanted)
        lines.append(f"  {name}:\n")
        for start in range(0, wanted, 6):
            row = ", ".join(f"'{word}'" for word in words[start : start + 6])
            lines.append(f"    {'[' if start == 0 else ' '}{row}{']' if start + 6 >= wanted else ','}\n")
    return "".join(lines)


def main() -> None:
    """Replace what stands between the markers."""
    before, rest = TARGET.read_text("utf-8").split(BEGIN)
    after = rest.split(END)[1]
    TARGET.write_text(before + BEGIN + made("en_US") + made("zh_CN") + END + after, "utf-8")


if __name__ == "__main__":
    main()
