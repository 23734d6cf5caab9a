"""Settings: where values come from, and what is said about bad ones."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

import aione_mock
from aione_mock.cli import main
from aione_mock.errors import ConfigError
from aione_mock.settings import Settings
from aione_mock.text.credentials import mask_url


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AIONE_MOCK_")]:
        monkeypatch.delenv(name)


def test_an_option_beats_the_environment_and_the_environment_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONE_MOCK_SEED", "7")
    monkeypatch.setenv("AIONE_MOCK_PACE", "realistic")
    settings = Settings(pace="instant")
    assert (settings.seed, settings.pace, settings.auth) == ("7", "instant", "keys")


def test_every_kind_of_value_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "SEED": "7",
        "NOW": "2026-01-31",
        "OVERLAYS": os.pathsep.join(["a.yaml", "b.yaml"]),
        "TIME_SCALE": "2.5",
        "CONTROL": "no",
        "MAX_BODY": "100",
        "REPLAY": "tape.yaml",
        "REPLAY_ONLY": "true",
        "MUTANT": "",
        "PORT": "tcp://10.0.0.1:80",  # Kubernetes sets this one for a service that is called aione-mock
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AIONE_MOCK_{name}", value)
    settings = Settings()
    assert settings.now == datetime(2026, 1, 31, tzinfo=UTC)
    assert settings.overlays == (Path("a.yaml"), Path("b.yaml"))
    assert (settings.seed, settings.time_scale, settings.control, settings.max_body) == ("7", 2.5, False, 100)
    assert (settings.replay, settings.replay_only, settings.control_token) == (Path("tape.yaml"), True, None)
    assert settings.mutant is None
    assert settings.port == 8000


def test_values_are_converted() -> None:
    settings = Settings(seed=7, now=datetime(2026, 1, 31), overlays=[Path("a.yaml")], scenarios=Path("rules"))
    assert (settings.seed, settings.now) == ("7", datetime(2026, 1, 31, tzinfo=UTC))
    assert (settings.overlays, settings.scenarios) == ((Path("a.yaml"),), (Path("rules"),))
    settings = Settings(log=False, cors="HTTPS://A.example/,null", root_path="/llm/")  # YAML reads `off` as false
    assert (settings.log, settings.cors, settings.root_path) == ("off", ("https://a.example", "null"), "/llm")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("time_scale", 0, "must be greater than 0, not 0"),
        ("time_scale", float("inf"), "must be a finite number, not inf"),
        ("auth", "all", "must be 'keys' or 'any', not 'all'"),
        ("control", "maybe", "must be true or false, not 'maybe'"),
        ("max_sessions", "many", "must be a valid integer, not 'many'"),
        ("overlays", 3, "must be a list of paths, not 3"),
        ("now", "soon", "'soon' is not an ISO 8601 time such as 2026-01-31T09:00:00Z"),
        ("replay_only", True, "needs a cassette; set `replay` too"),
        ("store_prefix", "two words", "must be 1 to 64 letters, digits, dots, colons, hyphens and underscores"),
        ("store_prefix", "x" * 65, "must be 1 to 64 letters, digits, dots, colons, hyphens and underscores"),
        ("store_prefix", "team:s:a", "must have no 's' or 'n' alone between colons; keys of a mock are named so"),
        ("store_prefix", "n", "must have no 's' or 'n' alone between colons; keys of a mock are named so"),
        ("store_timeout", 0, "must be greater than 0, not 0"),
        ("workers", 0, "must be a number from 1 to 256, or 'auto'"),
        ("workers", "many", "must be a number from 1 to 256, or 'auto'"),
        ("workers", 1.5, "must be a number from 1 to 256, or 'auto'"),
    ],
)
def test_a_bad_value_is_named_with_its_source(
    monkeypatch: pytest.MonkeyPatch, option: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigError) as by_option:
        aione_mock.create_app(**{option: value})
    assert str(by_option.value) == f"{option}: {message}"
    monkeypatch.setenv(f"AIONE_MOCK_{option.upper()}", str(value))
    if option != "overlays":  # in the environment, any text is a list of paths
        with pytest.raises(ConfigError, match=f"^AIONE_MOCK_{option.upper()}: "):
            aione_mock.create_app()


def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match="no option 'sed'; did you mean 'seed'"):
        aione_mock.create_app(sed="7")


def test_a_secret_is_never_shown() -> None:
    assert "s3cret" not in repr(Settings(control_token="s3cret"))
    with pytest.raises(ConfigError) as refused:
        Settings(control_token=["s3cret"])
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("s3cret\n", "ends with a line break"),
        (" s3cret", "begins with a space"),
        ("s3crét", "has a character that is not ASCII"),
        ("s3\x00cret", "has a control character inside"),
    ],
)
def test_a_control_token_can_be_sent(token: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(control_token=token)
    assert str(caught.value) == f"control_token: {problem}; remove it"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("disk", "it starts with one of redis://, "),
        (7, "it starts with one of redis://, "),
        ("http://:s3cret@127.0.0.1", "it starts with one of redis://, "),
        ("redis://:s3cret@", "it names no host"),
        ("redis://[s3cret@127.0.0.1", "its host is no name and no address"),
        ("redis://ann:s3cret@127.0.0.1:port", "its port is no number from 1 to 65535"),
        ("redis://127.0.0.1:0", "its port is no number from 1 to 65535"),
        ("redis://127.0.0.1:65536/0", "its port is no number from 1 to 65535"),
        ("redis://:s3cret@127.0.0.1/first", "its database, behind the /, is no number"),
        ("redis://127.0.0.1:6379/-1", "its database, behind the /, is no number"),
        ("redis://:1?s3cret@127.0.0.1", "a password with / ? # or @ has to be percent-encoded"),
        ("redis://:1/s3cret@127.0.0.1", "a password with / ? # or @ has to be percent-encoded"),
        ("redis://ann:1#s3cret@127.0.0.1", "a password with / ? # or @ has to be percent-encoded"),
        ("unix://", "it names no socket"),
    ],
)
def test_a_url_that_is_no_store_is_refused_without_its_password(url: object, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(store=url)
    expected = f"store: must be 'memory' or a URL such as redis://127.0.0.1:6379/0; {problem}"
    assert str(refused.value).startswith(expected)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("store", "check")])
@pytest.mark.parametrize(
    ("url", "problem"),
    [("redis://127.0.0.1:port", "its port is no number"), ("redis://:s3cret@127.0.0.1:1", "cannot be reached")],
)
def test_a_store_is_refused_by_where_it_was_named(
    command: tuple[str, ...],
    url: str,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*options: str) -> str:
        assert main([*command, *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert problem in line
        assert "s3cret" not in line
        return line.removeprefix("aione-mock: ")

    assert refuse("--store", url).startswith("--store")
    monkeypatch.setenv("AIONE_MOCK_STORE", url)
    assert refuse().startswith("AIONE_MOCK_STORE")
    monkeypatch.delenv("AIONE_MOCK_STORE")
    (tmp_path / "aione-mock.yaml").write_text(f"\nstore: {url}\n")
    assert "aione-mock.yaml:2" in refuse()


@pytest.mark.parametrize(
    "url",
    [
        "memory",
        "redis://127.0.0.1",
        "redis://[::1]:6379/0",
        "rediss://ann:s3cret@redis.test:6380/2",
        "unix:///tmp/redis.sock?db=1&password=s3cret",
        "valkey://:s3cret@host",
        "valkeys://host/3",
    ],
)
def test_the_password_of_a_store_is_never_shown(url: str) -> None:
    settings = Settings(store=url)
    assert settings.store == url
    assert "s3cret" not in repr(settings) + mask_url(url)
    assert mask_url(url) == url.replace("s3cret", "***")


def test_workers_are_a_number_or_one_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONE_MOCK_WORKERS", "3")
    assert Settings().worker_count == 3
    assert Settings(workers="auto").worker_count == len(os.sched_getaffinity(0))


def test_several_workers_need_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--workers", "2"]) == 2
    assert capsys.readouterr().err == (
        "aione-mock: --workers: 2 workers need a store that they share; add --store redis://127.0.0.1:6379/0\n"
    )


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().seed = "7"


@pytest.mark.parametrize("option", ["--time-scale=0", "--max-body=-1", "--now=soon", "--replay-only"])
def test_the_command_line_names_the_option_and_ends_with_code_2(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", option]) == 2
    assert capsys.readouterr().err.startswith(f"aione-mock: {option.partition('=')[0]}: ")


def test_the_command_line_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIONE_MOCK_FLUSH", "never")
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err == "aione-mock: AIONE_MOCK_FLUSH: must be 'joined' or 'each', not 'never'\n"


def test_a_variable_that_names_no_setting_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # as Kubernetes sets for a service of this name
    for name in ("PROT", "SEDE", "SERVICE_HOST", "PORT_8000_TCP_ADDR", "PORT_8000_TCP"):
        monkeypatch.setenv(f"AIONE_MOCK_{name}", "1")
    assert main(["serve", "--host", "256.0.0.1"]) == 2
    assert capsys.readouterr().err.splitlines()[:-1] == [
        "aione-mock: AIONE_MOCK_PROT: there is no such setting; did you mean 'AIONE_MOCK_PORT'?",
        "aione-mock: AIONE_MOCK_SEDE: there is no such setting; did you mean 'AIONE_MOCK_SEED'?",
    ]


def test_every_setting_is_described_and_is_an_option_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, info in Settings.model_fields.items():
        assert info.description
        option = {"overlays": "overlay", "extensions": "with", "allowed_hosts": "allowed-host"}.get(
            name
        ) or name.replace("_", "-")
        assert f"--{option}" in shown
