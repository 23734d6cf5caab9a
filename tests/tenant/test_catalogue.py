from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import ConfigError
from aione_mock.tenant.catalogue import Model, ModelCatalogue, ModelPace
from aione_mock.types import Usage
from tests.tenant.calls import compute_rmb

BUNDLED = ModelCatalogue.load()
DOCUMENTED = [
    "claude-sonnet-4-6",
    "claude-sonnet-4-20250514",
    "claude-opus-4-6",
    "claude-haiku-4-5",
    "gpt-5.4",
    "gpt-5.2",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.1-pro",
    "gemini-3-pro-image-preview",
    "gemini-3-pro-image-preview-2k",
    "gemini-3-pro-image-preview-4k",
    "gemini-2.5-flash-image",
    "gemini-3.1-flash-image-preview",
]

GOOD = """
models:
  - id: tiny
    display_name: Tiny
    owner: nobody
    created: 2026-01-31
    context_length: 100
    max_output_tokens: 10
    protocols: [openai]
    abilities: [tools]
    prices: {input: "1", cached_input: "0.5", output: "2.0001"}
"""


def load(tmp_path: Path, text: str) -> ModelCatalogue:
    path = tmp_path / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return ModelCatalogue.load(path)


def make_model(name: str) -> Model:
    model = BUNDLED.find(name)
    assert model is not None
    return model


def test_every_documented_model_is_there_once() -> None:
    ids = [model.id for model in BUNDLED.models]
    assert sorted(ids) == sorted(DOCUMENTED)


@pytest.mark.parametrize(
    ("alias", "model"),
    [("opus-4-6", "claude-opus-4-6"), ("sonnet-4-6", "claude-sonnet-4-6"), ("haiku-4-5", "claude-haiku-4-5")],
)
def test_short_names_are_aliases(alias: str, model: str) -> None:
    assert make_model(alias) is make_model(model)
    assert make_model(alias).id == model


def test_dated_id_is_a_model_of_its_own() -> None:
    assert make_model("claude-sonnet-4-20250514").id == "claude-sonnet-4-20250514"


@pytest.mark.parametrize("name", ["GPT-5.4", "Opus-4-6", "gpt-5.4 ", "", "gpt", "gemini-3.1-PRO"])
def test_names_are_exact(name: str) -> None:
    assert BUNDLED.find(name) is None


@pytest.mark.parametrize("model", BUNDLED.models, ids=lambda m: m.id)
def test_figures_make_sense(model: Model) -> None:
    assert model.max_output_tokens <= model.context_length
    assert 0 < model.prices.cached_input <= model.prices.input < model.prices.output
    assert model.created_at % 86400 == 0
    assert model.has_ability("image_output") == ("image" in model.id)
    assert model.streaming is not model.has_ability("image_output")
    assert model.supports_protocol("openai")
    assert model.supports_protocol("anthropic") is not model.has_ability("image_output")
    assert model.supports_protocol("gemini") == model.id.startswith("gemini-")


def test_image_size_follows_the_name() -> None:
    sizes = {m.id: m.image_size for m in BUNDLED.models if m.has_ability("image_output")}
    assert {name for name, size in sizes.items() if size == "2K"} == {"gemini-3-pro-image-preview-2k"}
    assert {name for name, size in sizes.items() if size == "4K"} == {"gemini-3-pro-image-preview-4k"}


def test_cost_of_a_call_worked_out_by_hand() -> None:
    usage = Usage(prompt=1000, completion=500, cached=100, cache_write=300, reasoning=50)
    # 900 x 21.6 + 100 x 2.16 + 500 x 108 = 73656 millionths
    assert compute_rmb(usage, make_model("claude-sonnet-4-6")) == Decimal("0.0737")


@pytest.mark.parametrize(("tokens", "rmb"), [(50, "0.0000"), (150, "0.0002"), (250, "0.0002"), (251, "0.0003")])
def test_cost_rounds_half_to_even(tmp_path: Path, tokens: int, rmb: str) -> None:
    model = load(tmp_path, GOOD).models[0]
    assert str(compute_rmb(Usage(prompt=tokens), model)) == rmb


counts = st.integers(0, 10**12)


@given(st.sampled_from(BUNDLED.models), counts, counts, st.fractions(0, 1))
def test_cost_has_four_places_and_caching_only_saves(model: Model, prompt: int, completion: int, share: float) -> None:
    plain = compute_rmb(Usage(prompt=prompt, completion=completion), model)
    cached = compute_rmb(Usage(prompt=prompt, completion=completion, cached=int(prompt * share)), model)
    assert plain.as_tuple().exponent == cached.as_tuple().exponent == -4
    assert 0 <= cached <= plain


def test_defaults_of_a_short_entry(tmp_path: Path) -> None:
    model = load(tmp_path, GOOD).models[0]
    assert (model.aliases, model.pace, model.image_size, model.streaming) == ((), ModelPace(), "1K", True)
    assert model.created_at == 1769817600


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "  - id: tiny\n    display_name",
            "  - display_name",
            r":3: models\[0\].id: Field required; add it",
        ),
        (
            "owner: nobody",
            "owner: nobody\n    alias: [a]",
            r":6: models\[0\].alias: Extra .*; did you mean 'aliases'\?",
        ),
        ('input: "1"', "input: 1.5", r":11: models\[0\].prices.input: quote amounts of money"),
        ('input: "1"', 'input: "1.23456"', "no more than 4 decimal places, not '1.23456'"),
        ('input: "1"', 'input: "-1"', "greater than or equal to 0, not '-1'"),
        ("[openai]", "[openia]", r"protocols\[0\]: Input should be 'openai', 'anthropic' or 'gemini', not 'openia'"),
        ("[tools]", "tools", "abilities: Input should be a list, not 'tools'"),
        ("id: tiny", "id: 7", "id: Input should be a valid string, not 7"),
        ("created: 2026-01-31", "created: 2026", "created: Input should be a valid date, not 2026"),
        ("created: 2026-01-31", "created: 2026-02-31", "not valid YAML: '2026-02-31' is no valid timestamp"),
        ("context_length: 100", "context_length: true", "context_length: Input should be a valid integer, not True"),
        (
            "owner: nobody",
            "owner: nobody\n    image_size: 8K",
            "image_size: Input should be '1K', '2K' or '4K', not '8K'",
        ),
        ("owner: nobody", "owner: nobody\n    streaming: maybe", "streaming: Input should be a valid boolean"),
        ("owner: nobody", "owner: nobody\n    pace: {ttft: 0}", "pace.ttft: Input should be greater than 0, not 0"),
        ('output: "2.0001"}', 'output: "2.0001"}\n  - 5', r":12: models\[1\]: Input should be a mapping, not 5"),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=complaint) as failed:
        load(tmp_path, GOOD.replace(old, new))
    assert len(str(failed.value).splitlines()) == 1


def test_every_error_of_a_file_has_a_line_of_its_own(tmp_path: Path) -> None:
    text = GOOD.replace("id: tiny", "id: 7").replace("[openai]", "[openia, x]")
    with pytest.raises(ConfigError) as failed:
        load(tmp_path, text)
    assert [line.partition("models.yaml:")[2][:2] for line in str(failed.value).splitlines()] == ["3:", "9:", "9:"]


@pytest.mark.parametrize("text", ["", "models: []", "- a", "models: {a: b}", "models: [", "\x00", "models: [[]]"])
def test_files_without_models_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        ModelCatalogue.load(tmp_path / "nowhere.yaml")


def test_one_name_stands_for_one_model(tmp_path: Path) -> None:
    second = GOOD.replace("models:\n", "").replace("id: tiny", "id: other\n    aliases: [tiny]")
    with pytest.raises(ConfigError, match="'tiny' belongs to both tiny and other"):
        load(tmp_path, GOOD + second)
