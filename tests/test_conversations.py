"""Everything a model can be asked for, over all three protocols and a real socket."""

from __future__ import annotations

import base64
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aione_mock.model import answers
from aione_mock.protocols import anthropic, gemini, openai
from aione_mock.server.app import Mock
from aione_mock.server.http import Server
from aione_mock.types import Json
from tests.timing import PATIENCE, measure_slowness

KEY = "sk-nex-demo-every-model"
IMAGE_MODELS = (
    "gemini-3-pro-image-preview",
    "gemini-3-pro-image-preview-2k",
    "gemini-3-pro-image-preview-4k",
    "gemini-3.1-flash-image-preview",
    "gemini-2.5-flash-image",
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Current weather of a city", "parameters": PARAMETERS}


class Client:
    """Asks in any protocol, plain or streamed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(trust_env=False, timeout=300, headers={"authorization": f"Bearer {KEY}"})

    def post(self, path: str, body: Json, **headers: str) -> httpx2.Response:
        return self.http.post(self.url + path, json=body, headers=headers)

    def chat(self, text: Json = "Why do cats purr?", model: str = "gpt-5.4", **more: Json) -> Json:
        messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
        headers = more.pop("headers", {})
        return _read_success(
            self.post("/v1/chat/completions", {"model": model, "messages": messages, **more}, **headers)
        )

    def message(self, text: Json = "Why do cats purr?", model: str = "claude-sonnet-4-6", **more: Json) -> Json:
        messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
        headers = more.pop("headers", {})
        body = {"model": model, "max_tokens": 1000, "messages": messages, **more}
        return _read_success(self.post("/v1/messages", body, **headers))

    def gemini(self, text: Json = "Why do cats purr?", model: str = "gemini-2.5-flash", **more: Json) -> Json:
        contents = text if isinstance(text, list) else [{"role": "user", "parts": [{"text": text}]}]
        headers = more.pop("headers", {})
        return _read_success(
            self.post(f"/v1beta/models/{model}:generateContent", {"contents": contents, **more}, **headers)
        )


def _read_success(answer: httpx2.Response) -> Json:
    assert answer.status_code == 200, answer.text[:1000]
    return answer.json()


def _read_text(answer: Json) -> str:
    """Return the words of an answer of any protocol."""
    if "choices" in answer:
        return answer["choices"][0]["message"]["content"] or ""
    if "candidates" in answer:
        parts = answer["candidates"][0]["content"]["parts"]
        return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    return "".join(block["text"] for block in answer["content"] if block["type"] == "text")


@pytest.fixture
def client(session_url: str) -> Iterator[Client]:
    made = Client(session_url)
    yield made
    made.http.close()


# What the contract lists

UNPROMISED = {
    # a turn of Anthropic's own tools that was interrupted, and thinking that only Anthropic can encrypt
    "anthropic": {"pause_turn", "redacted_thinking"},
    # what only a real filter finds, or a scenario asks for
    "gemini": {
        *("RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL"),
        *("UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE"),
    },
    "openai": set(),
}
FILTERED = {"X-Mock-Scenario": "reply; text=No; finish=content_filter"}


def _list_enumerated(app: Mock, name: str) -> set[str]:
    return set(app.contract.documents["aione.yaml"]["components"]["schemas"][name]["enum"])


def test_every_finish_reason_of_openai(client: Client, app: Mock) -> None:
    tools = [{"type": "function", "function": FUNCTION}]
    stop = _read_text(client.chat()).split()[2]
    answers = [
        client.chat(),
        client.chat(stop=stop),
        client.chat(max_tokens=2),
        client.chat("Weather in Oslo?", tools=tools),
        client.chat("Weather in Oslo?", functions=[FUNCTION]),
        client.chat(headers=FILTERED),
    ]
    found = [answer["choices"][0]["finish_reason"] for answer in answers]
    assert found == ["stop", "stop", "length", "tool_calls", "function_call", "content_filter"]
    assert set(found) == _list_enumerated(app, "ChatCompletionFinishReason") - UNPROMISED["openai"]
    assert set(openai.FINISH.values()) <= set(found)


def test_every_stop_reason_of_anthropic(client: Client, app: Mock) -> None:
    tools = [{"name": "get_weather", "input_schema": PARAMETERS}]
    stop = _read_text(client.message()).split()[2]
    answers = [
        client.message(),
        client.message(stop_sequences=[stop]),
        client.message(max_tokens=2),
        client.message("Weather in Oslo?", tools=tools),
        client.message(headers=FILTERED),
    ]
    found = [answer["stop_reason"] for answer in answers]
    assert found == ["end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal"]
    assert set(found) == _list_enumerated(app, "AnthropicStopReason") - UNPROMISED["anthropic"]
    assert set(anthropic.STOP_REASON.values()) <= set(found)


def test_every_finish_reason_of_gemini(client: Client, app: Mock) -> None:
    answers = [
        client.gemini(),
        client.gemini(generationConfig={"maxOutputTokens": 2}),
        client.gemini(headers=FILTERED),
    ]
    found = [answer["candidates"][0]["finishReason"] for answer in answers]
    assert found == ["STOP", "MAX_TOKENS", "SAFETY"]
    assert set(found) == _list_enumerated(app, "GeminiFinishReason") - UNPROMISED["gemini"]
    assert set(gemini.FINISH.values()) <= set(found) | UNPROMISED["gemini"]


def test_every_kind_of_content(client: Client, app: Mock) -> None:
    schemas = app.contract.documents["aione.yaml"]["components"]["schemas"]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    tools = [{"name": "get_weather", "input_schema": PARAMETERS}]
    answer = client.message("Weather in Oslo?", max_tokens=3000, thinking=thinking, tools=tools)
    blocks = [block["type"] for block in [*answer["content"], *client.message()["content"]]]
    listed = {
        app.contract.resolve("aione.yaml", option)["properties"]["type"]["const"]
        for option in schemas["AnthropicContentBlock"]["oneOf"]
    }
    assert set(blocks) == listed - UNPROMISED["anthropic"] == {"thinking", "tool_use", "text"}

    picture = client.chat("A lighthouse", IMAGE_MODELS[-1])["choices"][0]["message"]["content"]
    assert [part["type"] for part in picture] == ["text", "image_url"]
    assert client.chat(reasoning_effort="low")["choices"][0]["message"]["reasoning_content"]

    config = {"thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True}}
    functions = [{"functionDeclarations": [FUNCTION]}]
    found = [
        *client.gemini("Weather in Oslo?", generationConfig=config, tools=functions)["candidates"],
        *client.gemini("A lighthouse", IMAGE_MODELS[-1])["candidates"],
    ]
    kinds = {key for candidate in found for part in candidate["content"]["parts"] for key in part}
    assert kinds == {"text", "thought", "functionCall", "thoughtSignature", "inlineData"}


# Long and strange conversations


def test_two_hundred_turns(client: Client) -> None:
    turns: list[Json] = []
    for number in range(100):
        turns.append({"role": "user", "content": f"Question {number}: why do cats purr?"})
        turns.append({"role": "assistant", "content": f"Answer {number}."})
    turns.append({"role": "user", "content": "And why do dogs bark?"})
    contents = [
        {"role": "model" if turn["role"] == "assistant" else "user", "parts": [{"text": turn["content"]}]}
        for turn in turns
    ]
    answers = [
        client.chat(turns, "gemini-2.5-flash"),
        client.message(turns, "gemini-2.5-flash"),
        client.gemini(contents, "gemini-2.5-flash"),
    ]
    assert len({_read_text(answer) for answer in answers}) == 1
    assert "dogs" in _read_text(answers[0]).lower()
    # long enough that the beginning is cached the second time
    assert answers[1]["usage"]["cache_read_input_tokens"] > 1024


@pytest.mark.parametrize("wanted", [0, 63, 127])
def test_a_hundred_and_twenty_eight_tools(client: Client, wanted: int) -> None:
    nouns = [
        f"{a}{b}"
        for a in ("lamp", "door", "pump", "crane", "drone", "kiln", "ferry", "loom")
        for b in "abcdefghijklmnop"
    ]
    schema = {"type": "object", "properties": {"level": {"type": "integer"}}, "required": ["level"]}
    functions = [
        {"name": f"adjust_{noun}", "description": f"Adjusts the {noun}", "parameters": schema} for noun in nouns
    ]
    text = f"Please adjust {nouns[wanted]} to level 7."
    used = time.process_time()
    chat = client.chat(text, tools=[{"type": "function", "function": function} for function in functions])
    (call,) = chat["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], orjson.loads(call["function"]["arguments"])) == (
        f"adjust_{nouns[wanted]}",
        {"level": 7},
    )
    tools = [{"name": f["name"], "description": f["description"], "input_schema": schema} for f in functions]
    (use,) = [block for block in client.message(text, tools=tools)["content"] if block["type"] == "tool_use"]
    assert (use["name"], use["input"]) == (f"adjust_{nouns[wanted]}", {"level": 7})
    parts = client.gemini(text, tools=[{"functionDeclarations": functions}])["candidates"][0]["content"]["parts"]
    assert parts[0]["functionCall"]["name"] == f"adjust_{nouns[wanted]}"
    assert (time.process_time() - used) / measure_slowness() < 2


@pytest.mark.parametrize(
    "text", ["The house rule is number {}. ", "第{}条家规：进门先换鞋。"], ids=["english", "chinese"]
)
def test_a_prompt_of_a_megabyte(client: Client, text: str) -> None:
    size, lines, number = 0, [], 0
    while size < 1 << 20:
        lines.append(text.format(number))
        size += len(lines[-1].encode())
        number += 1
    prompt = "".join(lines) + " What is the rule number 500?"
    used = time.process_time()
    answer = client.chat(prompt, "gemini-2.5-flash")
    assert answer["usage"]["prompt_tokens"] > 200_000
    assert answer["choices"][0]["finish_reason"] == "stop"
    again = client.chat(prompt, "gemini-2.5-flash")
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 200_000
    assert _read_text(again) == _read_text(answer)
    assert (time.process_time() - used) / measure_slowness() < 8


STRANGE = "Repeat: 👩‍👩‍👧‍👦🏳️‍🌈 é é Ñandú ก็ 한국어 ﷽ 𝔘𝔫𝔦 🇨🇭 👍🏽 ñ"
letters = st.text(
    st.characters(codec="utf-8", exclude_characters="{}") | st.sampled_from("👩\u200d🇨🇭\u0301🏽é"),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module")
def scripted(server: Server) -> Iterator[Callable[[str, Json], tuple[Json, bytes]]]:
    """A text that the model is made to say, with a request, to its choice plain and its stream."""
    with httpx2.Client(
        trust_env=False, headers={"authorization": f"Bearer {KEY}", "x-mock-session": "scripted"}
    ) as http:

        def ask(text: str, asked: Json) -> tuple[Json, bytes]:
            rules = {"rules": [{"then": {"reply": {"text": text}}}]}
            assert http.put(f"{server.url}/_mock/rules", json=rules).status_code == 200
            plain = _read_success(http.post(f"{server.url}/v1/chat/completions", json=asked))["choices"][0]
            return plain, http.post(f"{server.url}/v1/chat/completions", json={**asked, "stream": True}).content

        yield ask


@settings(max_examples=100, deadline=None)
@given(text=letters, cut=st.integers(1, 12))
def test_no_answer_is_cut_within_a_code_point(
    scripted: Callable[[str, Json], tuple[Json, bytes]], text: str, cut: int
) -> None:
    """By `max_tokens` and by chunks: every event is valid by itself, and the pieces make the whole."""
    asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": STRANGE}], "max_tokens": cut}
    plain, raw = scripted(text, asked)
    pieces = []
    for event in raw.split(b"\n\n")[:-2]:
        data = event.removeprefix(b"data: ").decode("utf-8")
        pieces += [choice["delta"].get("content") or "" for choice in orjson.loads(data)["choices"]]
    said = plain["message"]["content"]
    assert "".join(pieces) == said
    assert (said == text) == (plain["finish_reason"] == "stop")
    assert text.startswith(said)
    rest = text[len(said) :]
    assert not rest.startswith(("\u200d", "\u0301", "🏽"))  # nor within what people see as one character


@pytest.mark.parametrize("question", ["Why do cats purr?", "为什么猫会打呼噜？", STRANGE])
def test_three_protocols_say_the_same_words(client: Client, question: str) -> None:
    model = "gemini-2.5-flash"
    answers = [
        client.chat([{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}], model),
        client.message(question, model, system="Be kind."),
        client.gemini(question, model, systemInstruction={"parts": [{"text": "Be kind."}]}),
    ]
    assert len({_read_text(answer) for answer in answers}) == 1
    chat, message, google = answers
    assert chat["id"].startswith("chatcmpl-")
    assert message["id"].startswith("msg_")
    counted = (chat["usage"]["prompt_tokens"], chat["usage"]["completion_tokens"])
    assert counted == (message["usage"]["input_tokens"], message["usage"]["output_tokens"])
    assert counted == (google["usageMetadata"]["promptTokenCount"], google["usageMetadata"]["candidatesTokenCount"])


# Pictures


def _picture(answer: Json) -> Image.Image:
    if "choices" in answer:
        part = next(p for p in answer["choices"][0]["message"]["content"] if p["type"] == "image_url")
        data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
    else:
        parts = answer["candidates"][0]["content"]["parts"]
        data = next(p["inlineData"]["data"] for p in parts if "inlineData" in p)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    picture.load()
    assert picture.format == "PNG"
    return picture


@pytest.mark.parametrize("model", IMAGE_MODELS)
def test_image_models(client: Client, model: str) -> None:
    side = {"2k": 2048, "4k": 4096}.get(model.rpartition("-")[2], 1024)
    chat, google = (
        client.chat("A red lighthouse in the snow", model),
        client.gemini("A red lighthouse in the snow", model),
    )
    one, two = _picture(chat), _picture(google)
    assert one.size == two.size
    assert 0.8 * side <= max(one.size) <= 1.3 * side
    assert one.tobytes() == two.tobytes()
    assert len(one.convert("RGB").resize((64, 64)).getcolors(5000) or []) > 50  # worth looking at
    assert chat["usage"]["completion_tokens"] > 1000
    for path in ("/v1/chat/completions", "/v1/messages"):
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "A lighthouse"}]}
        refused = client.post(path, {**body, "stream": path.endswith("completions")})
        assert refused.status_code == 400
        assert model in refused.json()["error"]["message"]
    body = {"contents": [{"role": "user", "parts": [{"text": "A lighthouse"}]}]}
    assert client.post(f"/v1beta/models/{model}:streamGenerateContent?alt=sse", body).status_code == 400


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", "1K"), ("16:9", "1K"), ("9:16", "2K"), ("3:2", "1K"), ("21:9", "1K")]
)
def test_shapes_and_sizes(client: Client, ratio: str, size: str) -> None:
    model = "gemini-3-pro-image-preview"
    config = {"imageConfig": {"aspectRatio": ratio, "imageSize": size}}
    picture = _picture(client.gemini("A lighthouse", model, generationConfig=config))
    wide, high = map(int, ratio.split(":"))
    assert abs(picture.width / picture.height - wide / high) < 0.06 * wide / high
    area = (1024 if size == "1K" else 2048) ** 2
    assert 0.6 * area < picture.width * picture.height < 1.6 * area
    assert _picture(client.chat("A lighthouse", model, aspect_ratio=ratio, image_size=size)).size == picture.size


def test_other_prompts_and_references_give_other_pictures(client: Client) -> None:
    model = IMAGE_MODELS[-1]
    reference = {"type": "image_url", "image_url": {"url": _data_uri(32, 32)}}
    asked = [
        "A lighthouse",
        "A forest",
        [{"role": "user", "content": [{"type": "text", "text": "A lighthouse"}, reference]}],
    ]
    seen = {_picture(client.chat(text, model)).tobytes() for text in asked}
    assert len(seen) == 3
    assert _picture(client.chat("A lighthouse", model)).tobytes() in seen


def test_a_4k_picture_blocks_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is not begun before somebody who asked later has an answer."""
    begun, answered, waited = threading.Event(), threading.Event(), list[bool]()
    compose_images = answers.compose_images

    def patient(*given: Any) -> Any:
        begun.set()
        waited.append(answered.wait(60))
        return compose_images(*given)

    monkeypatch.setattr(answers, "compose_images", patient)
    painter = threading.Thread(
        target=lambda: Client(client.url).chat("An ocean of clouds at dawn", "gemini-3-pro-image-preview-4k")
    )
    painter.start()
    assert begun.wait(PATIENCE)
    client.chat()
    answered.set()
    painter.join()
    assert waited == [True]


# Figures in usage


def _check_cached_tokens(client: Client, ask: Callable[[], Json], figure: Callable[[Json], int]) -> None:
    assert figure(ask()) == 0
    assert figure(ask()) >= 1024


def test_prompt_caching(client: Client) -> None:
    long = "The rules of the house are many. " * 200
    _check_cached_tokens(
        client,
        lambda: client.chat([{"role": "system", "content": long + "1"}, {"role": "user", "content": "Hello"}]),
        lambda answer: answer["usage"]["prompt_tokens_details"]["cached_tokens"],
    )
    _check_cached_tokens(
        client,
        lambda: client.message("Hello", system=long + "2"),
        lambda answer: answer["usage"]["cache_read_input_tokens"],
    )
    _check_cached_tokens(
        client,
        lambda: client.gemini("Hello", systemInstruction={"parts": [{"text": long + "3"}]}),
        lambda answer: answer["usageMetadata"].get("cachedContentTokenCount", 0),
    )
    # another end of the same beginning
    answer = client.chat([{"role": "system", "content": long + "1"}, {"role": "user", "content": "Goodbye"}])
    assert 1024 <= answer["usage"]["prompt_tokens_details"]["cached_tokens"] < answer["usage"]["prompt_tokens"]
    short = client.chat("Hello"), client.chat("Hello")
    assert all(one["usage"]["prompt_tokens_details"]["cached_tokens"] == 0 for one in short)


def test_cached_tokens_cost_the_cached_price(client: Client) -> None:
    def spent() -> float:
        usage = client.http.get(f"{client.url}/api/v1/obs/usage?group_by=model&model=gpt-5.4&start_date=2026-11-20")
        return sum(float(row["cost_rmb"]) for row in _read_success(usage))

    messages = [
        {"role": "system", "content": "The rules of the house are many. " * 300},
        {"role": "user", "content": "Hi"},
    ]
    costs = []
    for _ in range(2):
        before = spent()
        client.chat(messages)
        costs.append(spent() - before)
    assert 0 < costs[1] < 0.5 * costs[0]


def _data_uri(width: int, height: int, kind: str = "PNG") -> str:
    held = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(held, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(held.getvalue()).decode()}"


@pytest.mark.parametrize(
    ("kind", "size"), [("PNG", (640, 480)), ("JPEG", (33, 77)), ("GIF", (5, 5)), ("WEBP", (80, 20))]
)
def test_pictures_are_acknowledged(client: Client, kind: str, size: tuple[int, int]) -> None:
    uri = _data_uri(*size, kind)
    mime, data = uri.removeprefix("data:").split(";base64,")
    openai_parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": uri}}]
    source = {"type": "base64", "media_type": mime, "data": data}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    google = [{"text": "What is this?"}, {"inlineData": {"mimeType": mime, "data": data}}]
    answers = [
        client.chat([{"role": "user", "content": openai_parts}]),
        client.message([{"role": "user", "content": blocks}]),
        client.gemini([{"role": "user", "parts": google}]),
    ]
    for answer in answers:
        assert f"{size[0]}×{size[1]}" in _read_text(answer)
    assert answers[0]["usage"]["prompt_tokens"] >= 85


def test_broken_pictures_and_addresses(client: Client) -> None:
    def look(url: str) -> httpx2.Response:
        content = [{"type": "image_url", "image_url": {"url": url}}]
        return client.post(
            "/v1/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": content}]}
        )

    whole = _data_uri(64, 64)
    for broken in (
        whole[:60],
        "data:image/png;base64,!!!!",
        whole.replace("png", "jpeg", 1),
        "data:,",
        "file:///etc/passwd",
    ):
        refused = look(broken)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "messages[0].content[0].image_url.url"
    assert look("http://127.0.0.1:9/never-fetched.png").status_code == 200


def test_reasoning_tokens(client: Client) -> None:
    for effort, least in (("none", 0), ("low", 1), ("high", 1)):
        usage = client.chat(reasoning_effort=effort)["usage"]
        reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
        assert reasoning >= least
        assert reasoning < usage["completion_tokens"]
        assert (reasoning == 0) == (effort == "none")
    hidden = client.gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 256}})
    assert 0 < hidden["usageMetadata"]["thoughtsTokenCount"] <= 256
    assert not any(part.get("thought") for part in hidden["candidates"][0]["content"]["parts"])
    plain, thought = (
        client.message(),
        client.message(max_tokens=3000, thinking={"type": "enabled", "budget_tokens": 1024}),
    )
    assert thought["content"][0]["type"] == "thinking"
    assert thought["usage"]["output_tokens"] > plain["usage"]["output_tokens"]


# Structured output

TRIP: dict[str, Json] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "nights": {"type": "integer", "minimum": 1, "maximum": 30},
        "board": {"enum": ["breakfast", "half", "full"]},
        "start": {"type": "string", "format": "date"},
        "mail": {"type": "string", "format": "email"},
        "guests": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"$ref": "#/$defs/guest"},
        },
        "note": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
        "version": {"const": 2},
    },
    "required": ["city", "nights", "board", "start", "mail", "guests", "note", "version"],
    "additionalProperties": False,
    "$defs": {
        "guest": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/guest"}},
            },
            "required": ["name", "children"],
            "additionalProperties": False,
        }
    },
}
BOOKING = "Book Kyoto for 5 nights from 2027-04-02 with half board, and write to ada@example.org."


def test_structured_output(client: Client) -> None:
    import jsonschema_rs

    wanted = {"type": "json_schema", "json_schema": {"name": "trip", "strict": True, "schema": TRIP}}
    trip = orjson.loads(_read_text(client.chat(BOOKING, response_format=wanted)))
    jsonschema_rs.validate(TRIP, trip)
    assert (trip["city"], trip["nights"], trip["board"], trip["start"]) == ("Kyoto", 5, "half", "2027-04-02")
    assert trip["mail"] == "ada@example.org"
    # Anthropic's way: a tool that must be called
    tools = [{"name": "book", "input_schema": TRIP}]
    forced = client.message(BOOKING, tools=tools, tool_choice={"type": "tool", "name": "book"})
    jsonschema_rs.validate(TRIP, forced["content"][0]["input"])
    assert forced["content"][0]["input"]["city"] == "Kyoto"
    google = {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}, "nights": {"type": "INTEGER"}},
        "required": ["city", "nights"],
        "propertyOrdering": ["nights", "city"],
    }
    config = {"responseMimeType": "application/json", "responseSchema": google}
    assert orjson.loads(_read_text(client.gemini(BOOKING, generationConfig=config))) == {"nights": 5, "city": "Kyoto"}
    cut = client.chat(BOOKING, response_format=wanted, max_tokens=4)["choices"][0]
    assert cut["finish_reason"] == "length"
    assert isinstance(orjson.loads(_read_text(client.chat(BOOKING, response_format={"type": "json_object"}))), dict)


@pytest.mark.parametrize("keyword", ["not", "if", "patternProperties", "dependentSchemas", "contains", "propertyNames"])
def test_a_schema_outside_the_subset_is_refused_by_name(client: Client, keyword: str) -> None:
    schema = {"type": "object", "properties": {"deep": {"type": "object", keyword: {}}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}], "response_format": wanted}
    refused = client.post("/v1/chat/completions", body)
    assert refused.status_code == 400
    assert re.search(rf"'{keyword}'.*/properties/deep/{keyword}", refused.json()["error"]["message"])
    assert refused.json()["error"]["param"].startswith("response_format")
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": config}
    refused = client.post("/v1beta/models/gemini-2.5-flash:generateContent", body)
    assert refused.status_code == 400
    assert keyword in refused.json()["error"]["message"]


def test_tool_after_tool(client: Client) -> None:
    """tool → result → tool → result → answer, when the text says one after the other."""
    tools = [
        {"type": "function", "function": {**FUNCTION, "name": "find_city", "description": "Finds a city"}},
        {"type": "function", "function": FUNCTION},
    ]
    messages: list[Json] = [{"role": "user", "content": "Find the city Oslo, then get the weather in Oslo."}]
    called = []
    for _ in range(4):
        choice = client.chat(messages, tools=tools)["choices"][0]
        messages.append(choice["message"])
        if choice["finish_reason"] == "stop":
            break
        (call,) = choice["message"]["tool_calls"]
        called.append(call["function"]["name"])
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"result {len(called)}"})
    assert called == ["find_city", "get_weather"]
    assert "result 2" in messages[-1]["content"]


def test_tomorrow_counts_from_the_session_s_clock(server: Server) -> None:
    schema = {"type": "object", "properties": {"date": {"type": "string", "format": "date"}}, "required": ["date"]}
    tool = {"type": "function", "function": {"name": "book_table", "description": "Book a table", "parameters": schema}}
    body = {
        "model": "gpt-5.4",
        "messages": [{"role": "user", "content": "Book a table for tomorrow"}],
        "tools": [tool],
    }
    headers = {"authorization": "Bearer sk-nex-demo-every-model"}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, trust_env=False).json()
    arguments = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert orjson.loads(arguments) == {"date": "2026-11-21"}
