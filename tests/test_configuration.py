"""The configuration file: where values come from, what is said about wrong ones, and the commands around it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from aione_mock.cli import main
from aione_mock.settings import Settings
from aione_mock.tenant.world import World

VALUES: dict[str, tuple[Any, Any]] = {
    "host": ("0.0.0.0", "127.0.0.2"),
    "port": (9000, 9001),
    "uds": ("mock.sock", "other.sock"),
    "root_path": ("/llm", "/ai/llm"),
    "tls_cert": ("cert.pem", "other.pem"),
    "tls_key": ("key.pem", "other.pem"),
    "tls_self_signed": (True, False),
    "seed": (7, "eight"),
    "now": ("2026-01-31T09:00:00Z", "2026-02-01T09:00:00Z"),
    "auth": ("any", "keys"),
    "as_upstream": (True, False),
    "models": ("any", "models.yaml"),
    "world": ("world.yaml", "other.yaml"),
    "overlays": (["a.yaml"], "b.yaml"),
    "extensions": (["embeddings"], "responses"),
    "scenarios": (["rules"], "more"),
    "pace": ("realistic", "instant"),
    "flush": ("each", "joined"),
    "time_scale": (2.5, 3.5),
    "control": (False, True),
    "ui": (False, True),
    "mcp": (False, True),
    "control_token": ("s3cret", "t0ken"),
    "allowed_hosts": (["a.test"], "b.test"),
    "max_body": (100, 101),
    "request_timeout": (3.0, 4.0),
    "cors": (["https://a.example"], "https://b.example"),
    "drain": (1.0, 2.0),
    "journal_entries": (10, 11),
    "journal_bytes": (1000, 1001),
    "journals_total": (2000, 2001),
    "max_sessions": (5, 6),
    "store": ("redis://127.0.0.1:6379/1", "unix:///tmp/redis.sock"),
    "store_prefix": ("team-a", "team:b"),
    "store_timeout": (0.5, 1.5),
    "workers": (2, "auto"),
    "cache": (False, True),
    "check_answers": ("strict", "log"),
    "mutant": ("one", "two"),
    "replay": ("tape.yaml", "more.yaml"),
    "replay_only": (True, False),
    "replay_timing": ("none", "scale"),
    "replay_cycle": (True, False),
    "log": ("off", "requests"),
    "log_format": ("json", "text"),
    "log_level": ("info", "debug"),
    "metrics": (True, False),
    "otel": (True, False),
}
"""A value of each setting for the configuration file, and another one for variables and options."""
OPTIONS = {"overlays": "overlay", "extensions": "with", "allowed_hosts": "allowed-host"}
_PATHS = ("overlays", "scenarios", "replay", "world", "models", "uds", "tls_cert", "tls_key")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AIONE_MOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def show(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, tuple[str, str]]:
    """Run `config show`; return value and origin of each setting."""
    assert main(["config", "show", *options]) == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()[1:]]
    return {row[0]: (row[1] if len(row) == 3 else "", row[-1]) for row in rows}


def write_named_files() -> None:
    """Write the files that VALUES names."""
    texts = {
        "extends: default": ["models.yaml", "world.yaml", "other.yaml"],
        "overlay: 1.0.0\ninfo: {title: a, version: '1'}\nactions: []": ["a.yaml", "b.yaml"],
        "rules: []": ["rules", "more"],
        "cassette: 1": ["tape.yaml", "more.yaml"],
    }
    for text, names in texts.items():
        for name in names:
            write(Path(name), text)


def as_shown(name: str, value: Any) -> set[str]:
    """Return how a value may be shown: as text, as JSON, or as a path in a list."""
    paths = [str(path) for path in ([value] if isinstance(value, str) else value if isinstance(value, list) else ())]
    compact = json.dumps(paths, separators=(",", ":"))
    masked = {"…"} if name == "control_token" else set()
    return {str(value), json.dumps(value), compact, json.dumps(value).replace("Z", "+00:00")} | masked


def test_every_setting_is_a_member_a_variable_and_an_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert VALUES.keys() == Settings.model_fields.keys() - {"config"}
    write_named_files()
    write(Path("aione-mock.yaml"), {name: first for name, (first, _) in VALUES.items()})
    shown = show(capsys)
    for number, (name, (value, _)) in enumerate(VALUES.items(), 1):
        assert shown[name][0] in as_shown(name, value), name
        assert shown[name][1].startswith("aione-mock.yaml:"), (number, name)
    for name, (_, value) in VALUES.items():
        monkeypatch.setenv(f"AIONE_MOCK_{name.upper()}", str(value))
    for name, (shown_value, origin) in show(capsys).items():
        if name != "config":
            assert shown_value in as_shown(name, VALUES[name][1]), name
            assert origin == f"AIONE_MOCK_{name.upper()}"
    options = [
        f"--{'no-' * (value is False)}{OPTIONS.get(name) or name.replace('_', '-')}"
        + ("" if isinstance(value, bool) else f"={value[0] if isinstance(value, list) else value}")
        for name, (value, _) in VALUES.items()
    ]
    for name, (shown_value, origin) in show(capsys, *options).items():
        if name != "config":
            assert shown_value in as_shown(name, VALUES[name][0]), name
            assert origin == f"--{OPTIONS.get(name) or name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.yaml", "seed: file\npace: realistic\ntime_scale: 2\n"),
        ("mine.toml", 'seed = "file"\npace = "realistic"\ntime_scale = 2\n'),
        ("pyproject.toml", '[tool.aione-mock]\nseed = "file"\npace = "realistic"\ntime_scale = 2\n'),
    ],
)
def test_an_option_beats_a_variable_and_a_variable_the_file(
    name: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path(name), text)
    monkeypatch.setenv("AIONE_MOCK_PACE", "instant")
    monkeypatch.setenv("AIONE_MOCK_TIME_SCALE", "3")
    shown = show(capsys, "--config", name, "--time-scale", "4")
    line = 2 if name == "pyproject.toml" else 1
    assert shown["seed"] == ("file", f"{name}:{line}")
    assert shown["pace"] == ("instant", "AIONE_MOCK_PACE")
    assert shown["time_scale"] == ("4.0", "--time-scale")
    assert shown["auth"] == ("keys", "default")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nmodels: {models: [{id: a, context_lenght: 1}]}", ":2: models.models[0].context_lenght: "),
        ("world: {keys: [{name: a, modelsallowed: [x]}]}", ":1: world.keys[0].modelsallowed: "),
        ("rules: [{when: {modell: x}, then: {error: internal_error}}]", ":1: unknown member 'modell'; did you mean"),
        (
            "models: nofile",
            "cannot read the models file 'nofile': No such file or directory; `--models any` takes every",
        ),
        ("overlays: nofile", "'nofile'"),
        ("replay: nofile", "cannot read the cassette 'nofile'"),
    ],
)
def test_files_that_serve_refuses_are_refused_when_shown(
    text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("aione-mock.yaml"), text)
    assert main(["config", "show"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err == shown.err


def test_the_file_of_the_working_directory_is_found_unless_another_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path("aione-mock.toml"), 'seed = "found"\n')
    write(Path("named.yaml"), "seed: named\n")
    shown = show(capsys)
    assert (shown["seed"][0], shown["config"]) == ("found", ("aione-mock.toml", "working directory"))
    monkeypatch.setenv("AIONE_MOCK_CONFIG", "named.yaml")
    assert show(capsys)["seed"] == ("named", "named.yaml:1")
    assert Settings().seed == "named"
    monkeypatch.delenv("AIONE_MOCK_CONFIG")
    assert Settings().seed == "0"  # an application that embeds the mock does not depend on where it is started
    write(Path("aione-mock.yaml"), "seed: found too\n")
    assert main(["config", "show"]) == 2
    assert "both aione-mock.yaml and aione-mock.toml; remove one" in capsys.readouterr().err


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    names = {name: f"{name}.yaml" for name in _PATHS}
    settings = Settings(config=write(folder / "mine.yaml", names))
    assert settings.overlays == (folder / "overlays.yaml",)
    assert settings.scenarios == (folder / "scenarios.yaml",)
    assert (settings.replay, settings.models) == (folder / "replay.yaml", str(folder / "models.yaml"))


def test_a_service_link_of_kubernetes_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONE_MOCK_PORT", "tcp://10.0.0.1:80")
    assert Settings().port == 8000


def test_secrets_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [{"name": "A", "secret": "sk-very-secret"}]
    store = "rediss://ann:p4ssw0rd@redis.test:6380/2?password=4noth3r"
    write(Path("aione-mock.yaml"), {"control_token": "t0p-s3cret", "world": {"keys": keys}, "store": store})
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert "t0p-s3cret" not in shown
    assert "rediss://ann:***@redis.test:6380/2?password=*** " in shown
    assert "sk-very-secret" not in shown
    assert "{name: A, secret: …}" in shown


# --- init


def uncomment(text: str) -> str:
    """Return a written file with every setting and example in force, but those whose default is no value."""
    lines = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# (\w+:| +)", line)]
    return "\n".join(line for line in lines if not re.fullmatch(r"(?!models|world|rules)\w+:", line))


def test_init_writes_a_file_in_which_every_setting_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    text = Path("aione-mock.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) is None
    for name, info in Settings.model_fields.items():
        if name != "config":
            assert f"\n# {name}:" in text
        if name not in ("config", "models", "world"):
            assert f"# {info.description}\n" in text
    assert Settings(config=Path("aione-mock.yaml")) == Settings(config=Path("aione-mock.yaml"))
    write(Path("all.yaml"), uncomment(text))
    settings = Settings(config=Path("all.yaml"))
    changed = {name for name in Settings.model_fields if getattr(settings, name) != Settings.model_fields[name].default}
    assert changed == {"config", "models", "world"}
    world = World.load(settings)
    assert world.catalogue.find("my-model-latest") is not None
    assert "sk-nex-second-company" in {credential.secret for credential in world.list_credentials()}


def test_init_replaces_no_file_unless_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("aione-mock.yaml"), "seed: mine\n")
    assert main(["init"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "aione-mock: aione-mock.yaml exists already; choose another --output, or replace it with --force"
    ]
    assert Path("aione-mock.yaml").read_text() == "seed: mine\n"
    assert main(["init", "--force"]) == 0
    assert Path("aione-mock.yaml").read_text() != "seed: mine\n"
    assert main(["init", "--output", "no/such/folder.yaml"]) == 2
    assert main(["init", "--output", "file.toml"]) == 2


# --- schema


@pytest.fixture
def schema(capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["config", "schema"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_schema_accepts_what_the_mock_accepts(schema: Any, capsys: pytest.CaptureFixture[str]) -> None:
    validator = jsonschema_rs.validator_for(schema)
    assert main(["init"]) == 0
    example = yaml.load(uncomment(Path("aione-mock.yaml").read_text()), Loader=yaml.BaseLoader)
    everything = {name: first for name, (first, _) in VALUES.items()}
    for content in ({}, everything, {"rules": example["rules"]}, {"models": "any", "seed": 7}):
        assert not [error.message for error in validator.iter_errors(content)], content
    world = yaml.safe_load(uncomment(Path("aione-mock.yaml").read_text()))
    del world["world"]["keys"][2]["expires_at"]  # YAML has dates, JSON has not
    assert not [error.message for error in validator.iter_errors({"models": world["models"], "world": world["world"]})]


@pytest.mark.parametrize(
    "wrong",
    [
        {"prot": 1},
        {"port": "many"},
        {"models": {"models": [{"name": "x"}]}},
        {"world": {"keys": [{"secret": 5}]}},
        {"world": {"organisations": [{"team": []}]}},
        {"rules": [{"when": {}}]},
    ],
)
def test_the_schema_refuses_what_the_mock_refuses(schema: Any, wrong: Any) -> None:
    assert not jsonschema_rs.validator_for(schema).is_valid(wrong)
    write(Path("wrong.yaml"), {"port": 0, **wrong})
    assert main(["serve", "--config", "wrong.yaml"]) == 2


def test_the_schema_explains_each_setting_and_most_members(schema: Any) -> None:
    assert all(member["description"] for member in schema["properties"].values())
    key = schema["$defs"]["ApiKeySpec"]["properties"]
    assert key["concurrency_limit"]["description"].startswith("Calls that may be under way at a time")
    assert key["label"]["description"].startswith("The name, if left out")


# --- wrong files


@pytest.mark.parametrize(
    ("name", "text", "errors"),
    [
        (
            "a.yaml",
            "prot: 1\nxyz: 2\n",
            ["1: prot: there is no such setting; did you mean 'port'?", "2: xyz: "],
        ),
        (
            "a.yaml",
            "port: many\ntime_scale: 0\n",
            ["1: port: Input should be a valid integer", "2: time_scale: "],
        ),
        ("a.yaml", "port: 70000\n", ["1: port: Input should be less than or equal to 65535, not 70000"]),
        ("a.yaml", "overlays: 3\n", ["1: overlays: Input should be a list, not 3"]),
        ("a.yaml", "models: 3\n", ["1: models: must be the path of a file, or what such a file contains"]),
        ("a.yaml", "seed: 1\n\nreplay_only: true\n", ["3: replay_only: needs a cassette; set `replay` too"]),
        ("a.yaml", "host: ''\n", ["1: host: String should have at least 1 character, not ''"]),
        ("a.yaml", "port: 1\nport: 2\n", ["2: 'port' occurs twice; remove one"]),
        ("a.yaml", "- port\n", ["1: the configuration file must be a mapping of settings, such as `port: 8000`"]),
        ("a.yaml", "seed: [\n", ["2: the configuration file is not valid YAML: "]),
        (
            "a.yaml",
            "models:\n  models: [{id: a, contxt: 5}]\n",
            ["2: models.models[0].contxt: Extra inputs are not perm"],
        ),
        ("a.yaml", "models:\n  any: 3\n", ["2: models.any: Input should be a mapping"]),
        ("a.yaml", "models: {}\n", ["1: models: there is no model; add one to models, or `extends: default`"]),
        (
            "a.yaml",
            "models:\n  models:\n  - id: a\n    max_output_tokens: 200000\n",
            ["4: models.models[0].max_output_tok"],
        ),
        ("a.yaml", "port: 0\nrules:\n- when: {}\n", ["3: 'then' is missing; add it, as in {"]),
        ("a.toml", 'seed = "1"\nprot = 2\n', ["2: prot: there is no such setting; did you mean 'port'?"]),
        ("a.toml", "seed = \n", ["1: the configuration file is not valid TOML: Invalid value"]),
        (
            "a.toml",
            '[models]\nextends = "default"\n\n[[models.models]]\nid = "a"\n\n[[models.models]]\nid = "b"\n'
            'prices = { input = 1.5, output = "2" }\n',
            ["9: models.models[1].prices.input: quote amounts of money"],
        ),
        (
            "a.toml",
            '[world]\nkeys = [\n  { name = "x", team = "y" },\n]\n[world.plan]\nrpm_limit = 0\n',
            ["6: world.plan.rpm_limit: Input should be greater than or equal to 1, not 0"],
        ),
        ("pyproject.toml", "[project]\nname = 'x'\n", [" there is no table [tool.aione-mock]; add it"]),
        ("pyproject.toml", "[tool.aione-mock]\nprot = 1\n", ["2: tool.aione-mock.prot: there is no such setting"]),
        ("missing/a.yaml", None, ["cannot read the configuration file 'missing/a.yaml'"]),
    ],
)
def test_each_mistake_is_one_line_with_file_line_and_member(
    name: str, text: str | None, errors: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        write(Path(name), text)
    assert main(["serve", "--config", name]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(errors), lines
    for line, error in zip(lines, errors, strict=True):
        assert line.startswith(f"aione-mock: {error if text is None else f'{name}:{error}'}"), line
