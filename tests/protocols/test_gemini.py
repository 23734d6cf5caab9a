"""Google's spelling: a stream is its plain answer in pieces, and a request means what it says."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.protocols import gemini
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.types import NO_TEXT, Choice, Completion, EventStream, Prompt, Tool, ToolCall, ToolResult, Turn, Usage

from .completions import PIXEL, body_problems, call, completions, contract, event_problems, look, make_text, read_events

OPERATION = contract().operations["streamGenerateContent"]
PLAIN = contract().operations["generateContent"]
ASKED = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "thinkingConfig": st.sampled_from([{"includeThoughts": True}, {"thinkingBudget": 5}]),
        "responseLogprobs": st.booleans(),
        "logprobs": st.integers(0, 5),
        "responseMimeType": st.sampled_from(["application/json", "text/x.enum"]),
    },
)


def make_call(config: dict | None = None, **params: object):
    return call("streamGenerateContent", ASKED | {"generationConfig": config or {}}, model="gemini-2.5-flash", **params)


@given(completions(pictured=True), CONFIGS)
def test_a_stream_adds_up_to_the_plain_answer(completion, config):
    plain = orjson.loads(gemini.render_body(completion, make_call(config)))
    events = read_events(gemini.render_stream(completion, make_call(config, alt="sse")))
    assert OPERATION.stream.find_problems(events) == []
    assert event_problems(OPERATION, events) == []
    assert body_problems(PLAIN, plain) == []
    assert OPERATION.stream.fold(events) == plain


@given(completions(), CONFIGS)
def test_without_sse_the_same_pieces_come_as_one_array(completion, config):
    array = gemini.render_stream(completion, make_call(config, alt="json"))
    stream = gemini.render_stream(completion, make_call(config, alt="sse"))
    assert isinstance(array, bytes)
    assert isinstance(stream, EventStream)
    assert body_problems(OPERATION, orjson.loads(array)) == []
    assert orjson.loads(array) == [orjson.loads(event.data) for event in read_events(stream)]


@given(completions())
def test_counters_add_up_and_never_fall(completion):
    counts = [chunk["usageMetadata"] for chunk in orjson.loads(gemini.render_stream(completion, make_call()))]
    for count in counts:
        said = count["promptTokenCount"] + count["candidatesTokenCount"] + count.get("thoughtsTokenCount", 0)
        assert count["totalTokenCount"] == said
    totals = [count["totalTokenCount"] for count in counts]
    assert totals == sorted(totals)
    assert totals[-1] == completion.usage.total
    assert counts[-1].get("cachedContentTokenCount", 0) == completion.usage.cached


@given(completions())
def test_no_turn_of_a_chat_is_without_parts_unless_nothing_was_said(completion):
    """Google's chat forgets a streamed answer one of whose pieces has no parts."""
    config = {"thinkingConfig": {"includeThoughts": True}}
    for chunk in orjson.loads(gemini.render_stream(completion, make_call(config))):
        (candidate,) = chunk["candidates"]
        choice = completion.choices[candidate["index"]]
        calls = choice.tool_calls if choice.finish != "malformed_call" else ()
        assert candidate["content"]["parts"] or not (choice.text or choice.reasoning or calls)


def render_choice(choice: Choice, **config: object) -> dict:
    return orjson.loads(gemini.render_body(Completion("x1", 1, "m", (choice,), Usage(1, 1)), make_call(config)))[
        "candidates"
    ][0]


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "STOP"),
        ("stop_sequence", "STOP"),
        ("length", "MAX_TOKENS"),
        ("tool_calls", "STOP"),
        ("content_filter", "SAFETY"),
    ],
)
def test_finish_reasons(finish, word):
    assert render_choice(Choice(make_text("a"), finish=finish))["finishReason"] == word


def test_thoughts_are_shown_only_when_asked_for():
    choice = Choice(make_text("so"), make_text("h", "m"))
    assert render_choice(choice)["content"]["parts"] == [{"text": "so"}]
    shown = render_choice(choice, thinkingConfig={"includeThoughts": True})["content"]["parts"]
    assert shown == [{"text": "hm", "thought": True}, {"text": "so"}]


def test_the_first_call_after_a_thought_is_signed():
    choice = Choice(
        NO_TEXT, make_text("hm"), (ToolCall("1", "f", '{"a":1}'), ToolCall("2", "g", "{}")), finish="tool_calls"
    )
    first, second = render_choice(choice)["content"]["parts"]
    assert first["functionCall"] == {"id": "fc_1", "name": "f", "args": {"a": 1}}
    assert first["thoughtSignature"] == gemini.sign_thought(choice)
    assert set(second) == {"functionCall"}


def test_an_enum_answer_is_the_bare_word():
    assert render_choice(Choice(make_text('"', "red", '"')), responseMimeType="text/x.enum")["content"]["parts"] == [
        {"text": "red"}
    ]
    assert render_choice(Choice(make_text('"', "re")), responseMimeType="text/x.enum")["content"]["parts"] == [
        {"text": '"re'}
    ]


def test_a_request_read():
    data = {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}, {"text": "What is this?"}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "I "}]},
            {
                "role": "model",
                "parts": [
                    {"text": "look."},
                    {"functionCall": {"id": "1", "name": "see", "args": {"a": 1}}},
                    {"functionCall": {"name": "zoom"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "1", "name": "see", "response": {"result": "a dot"}}},
                    {"functionResponse": {"name": "zoom", "response": {"error": "no"}}},
                    {"text": "Well?"},
                ],
            },
            {"role": "function", "parts": [{"functionResponse": {"name": "see", "response": {"x": 1, "y": 2}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "see", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "maxOutputTokens": 7,
            "stopSequences": ["END"],
            "candidateCount": 2,
            "seed": 3,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 9},
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
        },
    }
    assert PLAIN.body_validator.is_valid(data)
    picture = look(f"data:image/png;base64,{PIXEL}", "")
    assert gemini.read_prompt(call("generateContent", data, model="gemini-2.5-flash"), look) == Prompt(
        model="gemini-2.5-flash",
        turns=(
            Turn("system", "Be brief.\nBe kind."),
            Turn("user", "What is this?", (picture,)),
            Turn("assistant", "I look.", (), (ToolCall("1", "see", '{"a":1}'), ToolCall("zoom", "zoom", "{}"))),
            Turn("tool", results=(ToolResult("1", "see", "a dot"),)),
            Turn("tool", results=(ToolResult("zoom", "zoom", "no", True),)),
            Turn("user", "Well?"),
            Turn("tool", results=(ToolResult("see", "see", '{"x":1,"y":2}'),)),
        ),
        tools=(Tool("see", "", {"type": "object"}),),
        tool_choice="required",
        format="schema",
        schema={"type": "object"},
        max_tokens=7,
        stops=("END",),
        n=2,
        seed=3,
        reasoning=9,
        show_reasoning=True,
        aspect_ratio="16:9",
        image_size="2K",
    )


@pytest.mark.parametrize(
    ("config", "meaning"),
    [
        ({}, ("auto", ())),
        ({"mode": "none"}, ("none", ())),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ("auto", ("f",))),
        ({"mode": "ANY"}, ("required", ())),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ("=f", ())),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ("required", ("f", "g"))),
    ],
)
def test_tool_choices(config, meaning):
    data = ASKED | {"toolConfig": {"functionCallingConfig": config}}
    prompt = gemini.read_prompt(call("generateContent", data, model="m"), look)
    assert (prompt.tool_choice, prompt.allowed_tools) == meaning


@pytest.mark.parametrize(
    ("thinking", "tokens"),
    [
        ({}, 0),
        ({"thinkingBudget": 0, "includeThoughts": True}, 0),
        ({"thinkingBudget": -1}, 1024),
        ({"thinkingBudget": 77}, 77),
        ({"thinkingLevel": "HIGH"}, 4096),
        ({"thinkingLevel": "low"}, 256),
        ({"includeThoughts": True}, 1024),
    ],
)
def test_thinking_budgets(thinking, tokens):
    prompt = gemini.read_prompt(make_call({"thinkingConfig": thinking}), look)
    assert prompt.reasoning == tokens
    assert prompt.show_reasoning == (tokens > 0 and bool(thinking.get("includeThoughts")))


def test_count_tokens_may_carry_the_whole_request():
    inner = {"generateContentRequest": ASKED | {"systemInstruction": {"parts": [{"text": "Be brief."}]}}}
    prompt = gemini.read_prompt(call("countTokens", inner, model="m"), look)
    assert [turn.text for turn in prompt.turns] == ["Be brief.", "hi"]


def test_only_pictures_are_looked_at():
    parts = [
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"fileData": {"fileUri": "https://files.example/film.mp4", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "gs://bucket/cat.png", "mimeType": "image/png"}},
    ]
    prompt = gemini.read_prompt(call("generateContent", {"contents": [{"parts": parts}]}, model="m"), look)
    assert [image.mime for image in prompt.turns[0].images] == ["image/*"]


def test_a_broken_picture_is_refused_by_its_place():
    data = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]}
    with pytest.raises(APIError) as refused:
        gemini.read_prompt(call("generateContent", data, model="m"), look)
    assert refused.value.fields["param"] == "contents[0].parts[0].inlineData.data"


MODELS = [model for model in ModelCatalogue.load().models if model.supports_protocol("gemini")]


@given(st.integers(1, 2000))
def test_pages_give_every_model_once(size):
    validator = contract().operations["listGeminiModels"].get_response_validator(200, "application/json")
    names, token = [], ""
    while True:
        page = gemini.render_model_page(MODELS, {"pageSize": size, "pageToken": token})
        assert validator.is_valid(page)
        assert len(page["models"]) <= size
        names += [model["name"] for model in page["models"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert names == [f"models/{model.id}" for model in MODELS]


def test_a_page_is_fifty_models_unless_asked_and_a_thousand_at_most():
    many = [MODELS[0].model_copy(update={"id": f"gemini-{number}"}) for number in range(1100)]
    assert len(gemini.render_model_page(many, {})["models"]) == 50
    assert len(gemini.render_model_page(many, {"pageSize": 5000})["models"]) == 1000


def test_a_page_token_of_someone_elses_is_refused():
    with pytest.raises(APIError) as refused:
        gemini.render_model_page(MODELS, {"pageToken": "bm90aGluZw"})
    assert refused.value.fields == {"param": "pageToken"}


def test_image_models_do_not_stream():
    drawing = [gemini.render_model(model) for model in MODELS if model.has_ability("image_output")]
    assert drawing
    assert all("streamGenerateContent" not in model["supportedGenerationMethods"] for model in drawing)


def test_a_refusal_lists_what_was_found():
    spec = contract().find_error("gemini", "invalid_request")
    finding = {"loc": ["body", "contents", 0, "parts"], "msg": "Field required", "type": "missing"}
    error = gemini.render_error(spec, APIError("invalid_request", "No.", findings=(finding,)), "req_1")["error"]
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", "No.")
    (details,) = error["details"]
    assert details["fieldViolations"] == [{"field": "contents.0.parts", "description": "Field required"}]
    assert gemini.render_error(spec, APIError("invalid_request", "No."), "req_1") == {
        "error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "No."}
    }


def test_token_counts():
    assert gemini.render_token_count(12) == {"totalTokens": 12}
