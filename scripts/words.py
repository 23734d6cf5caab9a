"""Write the lists between the two marker lines of fixtures/words.yaml, from Faker with a fixed seed.

Run it by hand (`python scripts/words.py`) and commit the result. The lists are bundled because Faker's words for one
seed change from release to release. Everything outside the markers is kept by hand and stays as it is.
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
MAX_LENGTH = 24


def draw_distinct(draw: Callable[[], str], count: int) -> list[str]:
    """Return the first `count` different short words, in the order in which they are drawn."""
    words: dict[str, None] = {}
    while len(words) < count:
        word = draw()
        if len(word) <= MAX_LENGTH and not set(word) & set("'/,"):
            words.setdefault(word)
    return list(words)


def format_lists(locale: str) -> str:
    """Return the lists of one language as YAML."""
    faker = Faker(locale)
    faker.seed_instance(SEED)
    lines = [f"made_{locale[:2]}:\n"]
    for name, count in LISTS.items():
        words = draw_distinct(getattr(faker, name), count)
        lines.append(f"  {name}:\n")
        for start in range(0, count, 6):
            row = ", ".join(f"'{word}'" for word in words[start : start + 6])
            lines.append(f"    {'[' if start == 0 else ' '}{row}{']' if start + 6 >= count else ','}\n")
    return "".join(lines)


def main() -> None:
    """Replace the text between the markers."""
    before, rest = TARGET.read_text("utf-8").split(BEGIN)
    after = rest.split(END)[1]
    TARGET.write_text(before + BEGIN + format_lists("en_US") + format_lists("zh_CN") + END + after, "utf-8")


if __name__ == "__main__":
    main()
