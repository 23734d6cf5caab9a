"""No request stops the others, and nothing long stays in memory: budgets for schemas, bodies, patterns and files."""

from __future__ import annotations

import functools
import gc
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

import aione_mock.generator
from aione_mock.cli import main
from aione_mock.contract import validation
from aione_mock.server.app import Mock, create_app
from aione_mock.server.cache import TOTAL_BYTES, Cache
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.store import ByteBudget, Journal
from aione_mock.text.data_files import load_yaml
from aione_mock.types import Json
from tests.timing import PATIENCE, measure_slowness

KEY = "sk-nex-demo-every-model"
SECONDS = 4.0
"""CPU seconds that any request may take on the machine of `tests/timing.py`."""


class Api(httpx2.Client):
    """A client of a server in this process."""

    def __init__(self, server: Server) -> None:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        super().__init__(base_url=server.url, headers=headers, timeout=PATIENCE, trust_env=False)

    def chat(self, schema: Json = None, tool: Json = None, text: str = "Hi", **headers: str) -> httpx2.Response:
        body: dict[str, Json] = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
        if tool is not None:
            body["tools"] = [{"type": "function", "function": {"name": "t", "parameters": tool}}]
            body["tool_choice"] = "required"
        return self.post("/v1/chat/completions", content=orjson.dumps(body), headers=headers)


@pytest.fixture(scope="module")
def mock() -> Mock:
    return create_app(Settings())


@pytest.fixture(scope="module")
def api(mock: Mock) -> Iterator[Api]:
    with Server(mock) as server, Api(server) as client:
        yield client


def require(**properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": [*properties]}


def array(items: Json, least: int, **more: Json) -> dict[str, Json]:
    return require(list={"type": "array", "minItems": least, "items": items, **more})


BIG = {"type": "object", "properties": {f"q{n}": {"type": "string", "minLength": 1} for n in range(1500)}}
TREE = {"a0": {"type": "string"}}
TREE |= {f"a{n}": require(x={"$ref": f"#/$defs/a{n - 1}"}, y={"$ref": f"#/$defs/a{n - 1}"}) for n in range(1, 16)}
CUBE = {"type": "array", "minItems": 90, "items": {"type": "array", "minItems": 90, "items": {"type": "integer"}}}
REFUSED: dict[str, Json] = {
    "a pattern of 20 KB": require(a={"type": "string", "pattern": "ab" * 10_000}),
    "40,000 members of an enum": require(a={"enum": [f"v{n}" for n in range(40_000)]}),
    "8,000 short members": require(a={"enum": [*range(8_000)]}),
    "300 KB": require(a={"type": "string", "description": "x" * 300_000}),
    "a million long strings": array({"type": "string", "minLength": 1_000_000}, 5000),
    "32,768 leaves": {**require(z={"$ref": "#/$defs/a15"}), "$defs": TREE},
    "many references to much": {**require(**{f"p{n}": {"$ref": "#/$defs/b"} for n in range(999)}), "$defs": {"b": BIG}},
    "nested lists": array(CUBE, 90),
    "nested choices": require(p={"oneOf": [{"oneOf": [{"oneOf": [{"type": "string"}] * 8}] * 8}] * 8}),
    "classes": require(p={"type": "string", "pattern": "[\\u0100-\\uffff]{1,50}" * 80, "maxLength": 10}),
    "99,999 repetitions": require(p={"type": "string", "pattern": "x{99999}"}),
    "20,000 repetitions at least": require(p={"type": "string", "pattern": "[xy]{20000,}"}),
    "repeated repetition": require(p={"type": "string", "pattern": "(a{900}){100}", "maxLength": 10}),
}
SLOW: dict[str, Json] = {
    "3,000 objects with an impossible member": array(
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string", "pattern": "^b"}, {"pattern": "^c"}]}}},
        3000,
    ),
    "3,000 objects without their optional member": array(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)y"}, "b": {"type": "string"}}}, 3000
    ),
    "look-ahead with steps back": require(a={"type": "string", "pattern": "(?=(a+)+$)(a+)+$", "minLength": 60}),
    "4,000 different strings": array({"type": "string"}, 4000, uniqueItems=True),
    "names by a pattern": {"type": "object", "minProperties": 500, "propertyNames": {"pattern": "^(?=a)b"}},
    "names and patterns": {
        **require(**{f"name{n}": {"type": "string"} for n in range(300)}),
        "patternProperties": {f"^n.*{n}$": {"minLength": 1} for n in range(300)},
    },
}


@pytest.mark.parametrize("schema", [*REFUSED.values(), *SLOW.values()], ids=[*REFUSED, *SLOW])
def test_a_schema_is_answered_or_refused_in_time(api: Api, schema: Json, request: pytest.FixtureRequest) -> None:
    for options in ({"schema": schema}, {"tool": schema}):
        slow, before = measure_slowness(), time.process_time()
        answer = api.chat(**options)
        took = (time.process_time() - before) / slow
        assert answer.status_code in (200, 400), answer.text[:300]
        assert took < SECONDS, f"{took:.1f} s for {options.keys()}"
        if schema in REFUSED.values():
            assert answer.status_code == 400, answer.text[:300]
    assert len(answer.content) < 5_000_000


def test_usual_large_schemas_are_answered(api: Api) -> None:
    """Five thousand properties in all, and a thousand members of enums, are what OpenAI takes at most."""
    wide = require(**{f"p{n}": {"type": "string"} for n in range(1000)})
    assert len(orjson.loads(api.chat(wide).json()["choices"][0]["message"]["content"])) == 1000
    colours = [f"colour-{n}" for n in range(1000)]
    answer = orjson.loads(
        api.chat(require(c={"type": "string", "enum": colours})).json()["choices"][0]["message"]["content"]
    )
    assert answer["c"] in colours


def test_the_budget_is_counted_not_timed(api: Api) -> None:
    """The same schema gets the same answer on any machine."""
    answers = {api.chat(SLOW["3,000 objects with an impossible member"]).json()["error"]["message"] for _ in range(2)}
    assert len(answers) == 1
    assert "too complex" in answers.pop()


BODIES = {
    "ten million lists": b"[" + b"[]," * 10_000_000 + b"1]",
    "lists": b"[" + b"[]," * 600_000 + b"1]",
    "objects": b"[" + b"{}," * 600_000 + b"1]",
    "numbers": b"[" + b"1," * 10_000_000 + b"1]",
    "members": b"{" + b",".join(b'"%d":1' % n for n in range(2_100_000)) + b"}",
}


@pytest.mark.parametrize("part", BODIES.values(), ids=BODIES)
def test_a_body_of_too_many_values_is_not_read(api: Api, part: bytes) -> None:
    good = orjson.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}]})
    slow, before = measure_slowness(), time.process_time()
    answer = api.post("/v1/chat/completions", content=good[:-1] + b',"extra":' + part + b"}")
    assert answer.status_code == 400
    assert "more than" in answer.json()["error"]["message"]
    assert (time.process_time() - before) / slow < SECONDS


def test_a_long_text_is_no_list() -> None:
    assert not validation.find_excess(orjson.dumps({"text": "one, two [and] {three}\n" * 100_000}))


# --- patterns of rules

EVIL = ("(a+)+$", "(a|aa)+$", "(.*a){20}$", "([a-z]+)*!", "(?:a?){200}a{200}[!?]", "^(([a-z])+.)+[A-Z]([a-z])+$")


@pytest.mark.parametrize("pattern", EVIL)
def test_no_pattern_of_a_rule_hangs_the_server(api: Api, mock: Mock, pattern: str) -> None:
    rule = {"when": {"pattern": pattern}, "then": {"reply": {"text": "found"}}}
    assert api.put("/_mock/rules", json={"rules": [rule]}).is_success
    try:
        slow, before = measure_slowness(), time.process_time()
        for text in ("a" * 60 + "!", "a" * 100_000 + "#"):
            assert api.chat(text=text).status_code == 200
        assert api.post("/_mock/verify", json={"when": {"pattern": pattern}}).status_code == 200
        assert (time.process_time() - before) / slow < SECONDS
    finally:
        api.put("/_mock/rules", json={"rules": []})


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"end\Z", r"\Z"),
        ("((a{100}){100}){100}", "large repetitions"),
        ("(", "not a regular expression"),
        ("a" * 3000, "2000"),
    ],
)
def test_what_no_pattern_may_hold_is_refused(api: Api, pattern: str, words: str) -> None:
    rule = {"when": {"pattern": pattern}, "then": {"reply": {"text": "found"}}}
    for method, path, body in (
        ("PUT", "/_mock/rules", {"rules": [rule]}),
        ("POST", "/_mock/rules", rule),
        ("POST", "/_mock/verify", {"when": {"or": [{"pattern": pattern}]}}),
    ):
        answer = api.request(method, path, json=body)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\border (\d+)\b", "where is order 17?"),
        ("(?i)WEATHER", "the weather in Rome"),
        ("^Hello.*you$", "Hello to you"),
        ("退款|返金", "我要退款"),
        (r"[\u4e00-\u9fff]{2,}", "你好"),
        (r"(?P<id>[A-Z]{2}-\d{4})", "about AB-1234"),
        (r"a{2,3}?", "baab"),
        (r"\.json\b", "read a.json now"),
    ],
)
def test_usual_patterns_work(api: Api, pattern: str, text: str) -> None:
    rule = {"when": {"pattern": pattern}, "then": {"reply": {"text": "found"}}}
    assert api.put("/_mock/rules", json={"rules": [rule]}).is_success
    try:
        assert api.chat(text=text).json()["choices"][0]["message"]["content"] == "found"
        assert api.chat(text="nothing of it").json()["choices"][0]["message"]["content"] != "found"
    finally:
        api.put("/_mock/rules", json={"rules": []})


# --- files

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
CIRCLE = "a: &a {x: *a}\n"


@pytest.mark.parametrize(("text", "words"), [(BOMB, "aliases repeat more than"), (CIRCLE, "leads back to itself")])
@pytest.mark.parametrize(
    ("command", "head"),
    [
        (["serve", "--port", "0", "--overlay"], "overlay: 1.0.0\nactions: []\n"),
        (["serve", "--port", "0", "--scenarios"], "rules: []\n"),
        (["serve", "--port", "0", "--replay"], "cassette: 1\n"),
        (["cassette", "show"], "cassette: 1\n"),
        (["check", "http://127.0.0.1:9", "--baseline"], ""),
        (["spec", "lint", "--overlay"], "overlay: 1.0.0\nactions: []\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_aliases_that_explode_are_refused_in_a_line(
    command: list[str], head: str, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(head + text)
    assert main([*command, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "file.yaml" in error
    if command[0] != "check":
        assert words in error


BAD_FILES = {
    "timestamp": ("a: 1\nb: !!timestamp abc\n", ":2:", "'abc' is no valid timestamp"),
    "bool": ("!!bool abc\n", ":1:", "'abc' is no valid bool"),
    "integer": (f"a: {'9' * 5000}\n", ":1:", "is no valid int"),
    "NUL": ("a: é\nb: \0\n", ":2:", "U+0000 is not allowed"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--port", "0", "--config"],
        ["serve", "--port", "0", "--world"],
        ["serve", "--port", "0", "--models"],
        ["serve", "--port", "0", "--scenarios"],
        ["serve", "--port", "0", "--overlay"],
        ["serve", "--port", "0", "--replay"],
        ["cassette", "show"],
    ],
    ids=lambda command: command[-1],
)
def test_values_that_are_none_are_refused_in_a_line(
    command: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.yaml"
    text, line, words = BAD_FILES[name]
    path.write_text(text)
    assert main([*command, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"file.yaml{line}" in error
    assert words in error


@pytest.mark.parametrize("option", ["--config", "--world", "--models"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 3000, "nested too deeply"),
        ("a = " + "{a=" * 3000, "nested too deeply"),
        ("a = " + "9" * 5000, "not valid TOML"),
    ],
    ids=["lists", "tables", "integer"],
)
def test_toml_that_is_too_much_is_refused_in_a_line(
    option: str, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text)
    assert main(["serve", "--port", "0", option, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_a_mistake_in_a_long_file_is_found_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the search for the line nor a name of many characters or lines makes the message long."""
    path = tmp_path / "file.toml"
    path.write_text("long = [\n" + "1,\n" * 20_000 + ']\n"a\\n' + "k" * 9000 + '" = 1\n')
    began = time.process_time()
    assert main(["serve", "--port", "0", "--config", str(path)]) == 2
    assert time.process_time() - began < 10
    first, second = capsys.readouterr().err.splitlines()
    assert "long: there is no such setting" in first
    assert "a\\nkkk" in second
    assert len(second) < 1000


def test_usual_aliases_work() -> None:
    _, value = load_yaml("base: &base {a: 1, b: [1, 2]}\none: {<<: *base, c: 3}\ntwo: [*base, *base]\n")
    assert value["one"] == {"a": 1, "b": [1, 2], "c": 3}
    assert value["two"] == [{"a": 1, "b": [1, 2]}] * 2
    assert load_yaml("") == (None, None)


def test_a_target_that_takes_long_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aione_mock.contract.overlay._SECONDS", 0.3)
    path = tmp_path / "overlay.yaml"
    action = {"target": "$..[?count($..*)>0]", "update": {"x-a": 1}}
    path.write_bytes(orjson.dumps({"overlay": "1.0.0", "actions": [action]}))
    assert main(["spec", "lint", "--overlay", str(path)]) == 2
    error = capsys.readouterr().err
    assert "takes longer than" in error
    assert error.count("\n") == 1


# --- memory


def test_nothing_long_is_a_key_or_a_value_of_a_cache(api: Api, mock: Mock) -> None:
    """Hostile requests leave no text over 4 KiB in any cache, whoever keeps it."""
    for number in range(3):
        long = f"{number}" + "y" * 9000
        described = {**require(a={"type": "string"}), "description": long}
        for _ in range(2):
            api.chat(described)
            api.chat(tool=described)
            api.chat(require(**{long: {"type": "string"}}))
            api.chat(require(p={"type": "string", "pattern": "a" * 1500 + str(number)}))
            api.chat(text=long)
            api.chat(authorization=f"Bearer sk-nex-{long}")
            api.chat(**{"x-forwarded-for": long, "x-mock-scenario": f"rate_limit_exceeded;{' ' * 9000}times=1"})
            api.chat(**{f"x-{long}": "1"})
            newest = api.get("/_mock/journal").json()["items"][0]["number"]
            assert long in api.get(f"/_mock/journal/{newest}").text
            api.get(f"/v1/models/{long}")
            api.get("/v1/models", params={"q": long})
    found = [part for root in _find_caches(mock) for part in _walk(root) if len(part) > 4096]
    assert not found, [part[:60] for part in found]
    # what the test would find if there were any
    seen = functools.lru_cache(len)
    seen("z" * 5000)
    assert max(len(part) for part in _walk(seen)) == 5000


def _find_caches(mock: Mock) -> list[Any]:
    wrapper = type(functools.lru_cache(len))
    ours = [
        held
        for held in gc.get_objects()
        if isinstance(held, wrapper) and held.__module__.startswith("aione_mock") and held.cache_info().currsize
    ]
    for session in mock.sessions:
        ours += [session.cache._values, session.header_turns, session.store._values, session.store._windows]
    return [held for held in ours if not getattr(held, "__name__", "").startswith(("load_", "_load_", "word_lists"))]


def _walk(root: Any) -> Iterator[str | bytes]:
    """Yield the texts among the keys and values of a cache, which the collector's view shows."""
    todo, seen = [root], set[int]()
    while todo:
        held = todo.pop()
        if id(held) in seen or isinstance(held, type | Mock) or (callable(held) and held is not root):
            continue
        seen.add(id(held))
        if isinstance(held, str | bytes):
            yield held
        elif isinstance(held, dict | list | tuple | set | frozenset) or held is root:
            todo += gc.get_referents(held)


def test_a_path_of_many_segments_takes_little_memory(mock: Mock) -> None:
    """All its prefixes together would be a gigabyte, and take seconds in which nobody is answered."""
    gc.collect()
    tracemalloc.start()
    try:
        assert mock.contract.find_protocol("/v1beta" + "/x" * 30_000) == "gemini"
        assert mock.contract.find_protocol("/" * 60_000) == "openai"
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_headers_that_count_calls_are_bounded(mock: Mock, api: Api) -> None:
    name = {"x-mock-session": "headers"}
    for number in range(1200):
        answer = api.chat(**name, **{"x-mock-scenario": f"rate_limit_exceeded; times={number + 1}"})
        assert answer.status_code == 429
    session = mock.sessions.find("headers")
    assert session is not None
    assert len(session.header_turns) <= 1000
    first = {"x-mock-scenario": "internal_error; times=2"}
    statuses = [api.chat(**name, **first).status_code for _ in range(3)]
    assert statuses[0] == statuses[1] >= 400
    assert statuses[2] == 200


def test_journals_of_all_sessions_are_bounded() -> None:
    app = create_app(Settings(journals_total=300_000, journal_bytes=200_000))
    with Server(app) as server, Api(server) as client:
        for number in range(300):
            assert client.chat(text="x" * 2000, **{"x-mock-session": f"s{number % 20}"}).status_code == 200
        stats = client.get("/_mock/stats").json()
        assert 100_000 < stats["journal_bytes"] <= 300_000
        held = sum(session.journal.bytes_held for session in app.sessions)
        assert held == stats["journal_bytes"] == app.sessions._journals.held
        for session in list(app.sessions):
            client.delete(f"/_mock/sessions/{session.name}")
        assert app.sessions._journals.held == sum(session.journal.bytes_held for session in app.sessions)


def test_caches_of_all_sessions_are_bounded_also_in_another_world() -> None:
    app = create_app(Settings())
    sessions = app.sessions
    with Server(app) as server, Api(server) as client:
        for changed in (False, True):
            if changed:
                sessions.change_world(sessions.world)
            for number in range(9):
                client.chat(text="Why do cats purr?", **{"x-mock-session": f"s{number // 3}"})
            held = [session.cache.bytes_held for session in sessions]
            assert sum(size > 0 for size in held) == 3
            assert sessions._caches.held == sum(held)
        for session in list(sessions):
            client.delete(f"/_mock/sessions/{session.name}")
        assert sessions._caches.held == sessions.default.cache.bytes_held


class Entry:
    """What a journal takes."""

    def __init__(self, size: int) -> None:
        self.size = size


def test_the_largest_journal_gives_way() -> None:
    shared = ByteBudget(1000)
    small, large = Journal(), Journal()
    for journal in (small, large):
        journal.budget = shared
        shared.add_holder(journal)
    for _ in range(3):
        small.add(Entry(50))
    for _ in range(100):
        large.add(Entry(40))
        assert shared.held == small.bytes_held + large.bytes_held <= 1000
    assert len(small) == 3
    shared.remove_holder(large)
    assert shared.held == small.bytes_held


def test_caches_share_a_budget() -> None:
    shared = ByteBudget(TOTAL_BYTES)
    caches = [Cache() for _ in range(50)]
    for cache in caches:
        cache.budget = shared
        shared.add_holder(cache)
    for number in range(50 * 400):
        caches[number % 50].put(number, number, size=4000)
        assert shared.held <= TOTAL_BYTES
    assert shared.held == sum(cache.bytes_held for cache in caches)
    caches[0].put("long", "long", size=5000)
    assert caches[0].get("long") is None


def test_windows_of_a_store_are_bounded(api: Api, mock: Mock) -> None:
    """Each turn of a long prompt is a window of the prompt cache."""
    turns = [{"role": "user", "content": f"{n} " + "word " * 1100} for n in range(20)]
    for number in range(30):
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"{number}" * 1100}, *turns]}
        assert api.post("/v1/chat/completions", json=body, headers={"x-mock-session": "prompts"}).status_code == 200
    session = mock.sessions.find("prompts")
    assert session is not None
    store = session.store
    for number in range(30_000):
        store.count_window(f"w{number}", number / 1000, 1000.0, (1, 0))
    assert len(store._windows) <= 8192
    assert store.count_window("w29999", 30.0, 1000.0).totals == (1, 0)


def test_plans_of_long_schemas_are_not_kept(api: Api) -> None:
    before = aione_mock.generator._cached_plan.cache_info().currsize
    for number in range(5):
        assert api.chat(require(**{f"p{n}": {"type": "string", "title": f"{number}"} for n in range(200)})).is_success
    assert aione_mock.generator._cached_plan.cache_info().currsize == before
