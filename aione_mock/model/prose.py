"""Readable prose in the language of the prompt: answers, what tools found, what a picture is, and thinking.

Every word is a pure function of seed and prompt; the word material lies in `fixtures/prose.yaml`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain

from aione_mock.model import input_images, topic
from aione_mock.model.tokens import count, split
from aione_mock.model.tool_results import cut, failure, finding, readable
from aione_mock.model.topic import Topic, Words
from aione_mock.seed import Seed
from aione_mock.types import ImageInput, Prompt, ToolResult

Tokens = tuple[str, ...]
"""What is said, in tokens."""
VARIANTS = 512
"""Answers to one message, so that most of a long run are found ready."""
_NUMBERED = Seed.of("variants")
_RESULTS = 4
_GAPS = {"en": " ", "zh": ""}
"""What stands between sentences."""
_KEY_WORD = re.compile(r"\{(?:topic|other|name)\}")
_HOLE = re.compile(r"( \{(?:topic|other)\}(?=[ .,?:;]))")
_ENDS = re.compile(r"[a-z](?:[ -~]*[a-z])?", re.I | re.A)
_MARKS_OF_END = ".!?。！？…"


def answer(seed: Seed, prompt: Prompt) -> Tokens:
    """A helpful reply of a few sentences to the last user message, with a list or code where it asks for one."""
    return variant(topic.of(prompt), number(seed.key))


def number(chance: bytes) -> int:
    """Which of its `VARIANTS` an answer is. A seed's key is chance enough: all else that is drawn has a label."""
    return (chance[0] << 8 | chance[1]) % VARIANTS


def variant(about: Topic, number: int) -> Tokens:
    """One of the answers to a message about a topic."""
    words = topic.material()[about.language]
    main, other = about.main or words["topic"], about.other or words["other"]
    blunt = bool(_ENDS.fullmatch(main) and _ENDS.fullmatch(other))
    sketch = _sketch(about.language, about.kind, about.detail, about.greeted, number, blunt)
    return _filled(sketch, main, other, about.main)


def after_tools(seed: Seed, prompt: Prompt) -> Tokens:
    """An answer made of the tool results that end the conversation; plain prose when there are none."""
    results = _results(prompt)
    if not results:
        return answer(seed, prompt)
    about = topic.of(prompt)
    words = topic.material()[about.language]
    chance = seed.digest("tools", size=16)
    told = [_told(words, about, result, chance[at:]) for at, result in enumerate(results[:_RESULTS])]
    ending = "failure_closings" if all(failure(result) is not None for result in results) else "tool_closings"
    return tuple(split(_join(about, *told, _fill(_pick(words[ending], chance[15]), words, about))))


def seen_images(seed: Seed, prompt: Prompt) -> str:
    """A lead that says what pictures the last message with any brings: kind and size in pixels where they are seen."""
    images = next((turn.images for turn in reversed(prompt.turns) if turn.images), ())
    about = topic.of(prompt)
    words = topic.material()[about.language]
    if not images:
        return ""
    if len(images) == 1:
        shape = "" if images[0].mime == input_images.UNFETCHED_TYPE else words["image_comma"] + _shape(images[0], words)
        lead = str(words["image_one"]).replace(
            "{image}", input_images.describe_image(images[0], about.language) + shape
        )
    else:
        named = [input_images.describe_image(image, about.language) for image in images[:8]]
        lead = str(words["image_many"]).replace("{n}", str(len(images))).replace("{images}", _series(named, about))
    if all(image.mime == input_images.UNFETCHED_TYPE for image in images):
        return lead
    return _join(about, lead, _pick(words["image_notes"], seed.digest("image", size=1)[0]))


def about_images(seed: Seed, prompt: Prompt) -> Tokens:
    """What pictures the last message brings, and the answer to it."""
    return tuple(split(_join(topic.of(prompt), seen_images(seed, prompt), "".join(answer(seed, prompt)))))


def thinking(seed: Seed, prompt: Prompt, tokens: int) -> str:
    """What the model thinks before it answers, at most `tokens` tokens; more of it for a larger budget."""
    if tokens <= 0:
        return ""
    about = topic.of(prompt)
    words = topic.material()[about.language]
    chance = seed.digest("thinking", size=8)
    more = 1 + chance[0] % 2 + (tokens > 500) + 2 * (tokens > 4000)
    sentences = [_pick(words["thoughts"], chance[1]), *_some(words["more_thoughts"], more, chance[2], chance[3])]
    text = _fill(_join(about, *sentences), words, about)
    return text if count(text) <= tokens else cut(text, tokens)


@lru_cache(1024)
def _sketch(
    language: topic.Language, kind: topic.Kind, detail: str, greeted: bool, number: int, blunt: bool
) -> tuple[str | Tokens, ...]:
    """A variant of the answer to a message, whatever its key words: tokens, and text that waits for key words.

    `blunt`: whether the key words begin and end in a way that lets no token reach across.
    """
    words, chance = topic.material()[language], _NUMBERED.digest(number, size=16)
    parts = _KINDS[kind](words, Topic(language, kind, detail=detail, greeted=greeted), chance)
    if isinstance(parts, str):
        return (tuple(split(parts)),)
    if greeted:
        parts = [_pick(words["greetings"], chance[15]), _GAPS[language] + parts[0], *parts[1:]]
    runs = chain.from_iterable(map(_cut, parts)) if blunt else parts
    return tuple([run if _KEY_WORD.search(run) else _short(run) for run in runs])


def _cut(part: str) -> list[str]:
    """A part cut before and behind its key words, unless a token may reach across."""
    runs = _HOLE.split(part)
    return [part] if any(map(_KEY_WORD.search, runs[::2])) else runs


@lru_cache(1024)
def _short(text: str) -> Tokens:
    return tuple(split(text))


def _filled(sketch: Iterable[str | Tokens], main: str, other: str, named: str = "") -> Tokens:
    """The tokens of a sketch with these key words; `named`: what a function is named after."""
    said, known = list[str](), dict[str, list[str]]()
    for run in sketch:
        if not isinstance(run, str):
            said += run
        elif run in known:
            said += known[run]
        else:
            text = run.replace("{topic}", main).replace("{other}", other)
            known[run] = split(text.replace("{name}", _identifier(named)) if "{name}" in run else text)
            said += known[run]
    return tuple(said)


# Kinds of answers: whole texts, or parts, across whose ends no token reaches, with holes for key words


def _prose(words: Words, about: Topic, chance: bytes) -> list[str]:
    gap = _GAPS[about.language]
    parts = [_pick(words["openings"], chance[0])]
    parts += [gap + point for point in _some(words["points"], 1 + chance[1] % 2, chance[2], chance[3])]
    if chance[4] % 3:
        parts.append(gap + _pick(words["practical"], chance[5]))
    if chance[6] % 2 and not about.greeted:
        parts.append(gap + _pick(words["closings"], chance[7]))
    return parts


def _list(words: Words, about: Topic, chance: bytes) -> list[str]:
    items = _some(words["items"], int(about.detail), chance[0], chance[1])
    lines = [f"{at}. {item}\n" for at, item in enumerate(items, 1)]
    lead, closing = _pick(words["list_leads"], chance[2]), _pick(words["closings"], chance[3])
    return [f"{lead}\n\n", *lines[:-1], f"{lines[-1]}\n", closing]


def _code(words: Words, about: Topic, chance: bytes) -> list[str]:
    snippet = _pick(topic.material()["snippets"][about.detail], chance[0])
    lead, note = _pick(words["code_leads"], chance[1]), _pick(words["code_notes"], chance[2])
    return [f"{lead}\n\n```{about.detail}\n{snippet}```\n\n{note}"]


def _sum(words: Words, about: Topic, chance: bytes) -> list[str]:
    result = _pick(words["sums"], chance[0]).replace("{sum}", about.detail)
    return [result, _GAPS[about.language] + _pick(words["follow_ups"], chance[1])]


def _greeting(words: Words, about: Topic, chance: bytes) -> str:
    return _join(about, _pick(words["greetings"], chance[0]), _pick(words["offers"], chance[1]))


def _thanks(words: Words, about: Topic, chance: bytes) -> str:
    return _join(about, _pick(words["welcomes"], chance[0]), _pick(words["follow_ups"], chance[1]))


def _farewell(words: Words, about: Topic, chance: bytes) -> str:
    return _join(about, _pick(words["farewells"], chance[0]), _pick(words["follow_ups"], chance[1]))


def _echo(words: Words, about: Topic, chance: bytes) -> str:
    said = readable(about.detail)
    end = "" if said[-1] in _MARKS_OF_END else "." if about.language == "en" else "。"
    return _join(about, said + end, _pick(words["echoes"], chance[0]))


def _echo_only(words: Words, about: Topic, chance: bytes) -> str:
    return readable(about.detail)


_KINDS: dict[topic.Kind, Callable[[Words, Topic, bytes], list[str] | str]] = {
    "prose": _prose,
    "list": _list,
    "code": _code,
    "sum": _sum,
    "greeting": _greeting,
    "thanks": _thanks,
    "farewell": _farewell,
    "echo": _echo,
    "echo_only": _echo_only,
}


def _pick(bank: list[str], byte: int) -> str:
    return bank[byte % len(bank)]


def _some(bank: list[str], number: int, start: int, stride: int) -> list[str]:
    """`number` different entries: a walk whose stride has no factor in common with the length."""
    size = len(bank)
    step = 1 + stride % (size - 1)
    while math.gcd(step, size) > 1:
        step += 1
    return [bank[(start + at * step) % size] for at in range(min(number, size))]


def _join(about: Topic, *sentences: str) -> str:
    return _GAPS[about.language].join(sentences)


def _fill(text: str, words: Words, about: Topic) -> str:
    return text.replace("{topic}", about.main or words["topic"]).replace("{other}", about.other or words["other"])


def _identifier(phrase: str) -> str:
    name = "_".join(re.findall(r"[a-z0-9]+", phrase.lower()))
    return name if name and name[0].isalpha() else "process_items"


def _results(prompt: Prompt) -> list[ToolResult]:
    """The results at the end of the conversation, first one first."""
    results: list[ToolResult] = []
    for turn in reversed(prompt.turns):
        if not turn.results:
            break
        results[:0] = turn.results
    return results


def _told(words: Words, about: Topic, result: ToolResult, chance: bytes) -> str:
    tool = readable(result.name) or words["words"]["tool"]
    if (trouble := failure(result)) is not None:
        lead = _pick(words["apologies"], chance[0]).replace("{tool}", tool)
        return _join(about, lead, words["failure"].replace("{text}", trouble)) if trouble else lead
    return _join(about, _pick(words["tool_leads"], chance[0]).replace("{tool}", tool), finding(words, result.text))


def _shape(image: ImageInput, words: Words) -> str:
    if image.width == image.height:
        return str(words["image_shapes"]["square"])
    return str(words["image_shapes"]["wide" if image.width > image.height else "tall"])


def _series(named: list[str], about: Topic) -> str:
    if about.language == "zh":
        return "、".join(named)
    return ", ".join(named[:-1]) + " and " + named[-1]
