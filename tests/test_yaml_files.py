"""Errors of YAML files: one line each, with file, line, field and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from aione_mock.errors import ConfigError
from aione_mock.recorder.cassette import load_cassette
from aione_mock.tenant.organisation_file import load_organisation_file
from aione_mock.text.data_files import Count, Text, YamlModel, load_yaml_model, read_text


class Street(YamlModel):
    name: Text
    houses: tuple[Count, ...] = ()


class Town(YamlModel):
    streets: tuple[Street, ...]
    mayor: Text | None = None


def read(tmp_path: Path, text: str) -> Town:
    path = tmp_path / "town.yaml"
    path.write_text(text, encoding="utf-8")
    return load_yaml_model(path, Town, "town")


def test_values_are_read_and_frozen(tmp_path: Path) -> None:
    town = read(tmp_path, "streets:\n  - name: ' High Street '\n    houses: [1, 2]\n")
    assert town == Town(streets=(Street(name="High Street", houses=(1, 2)),))
    with pytest.raises(ValueError, match="frozen"):
        town.streets[0].name = "Low Street"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "streets:\n  - name: A\n    houses: [1, x]",
            "3: streets[0].houses[1]: Input should be a valid integer, not 'x'",
        ),
        (
            "streets:\n  - {name: A}\n  - {name: ''}",
            "3: streets[1].name: String should have at least 1 character, not ''",
        ),
        ("streets:\n  - {name: A}\n\n  - {}", "4: streets[1].name: Field required; add it"),
        ("streets: []\nmajor: B", "2: major: Extra inputs are not permitted; did you mean 'mayor'?"),
        ("streets: []\nqqqq: B", "2: qqqq: Extra inputs are not permitted; remove it"),
        ("streets: {}", "1: streets: Input should be a list"),
        ("- 1", "1: Input should be a mapping"),
        ("", "1: Input should be a mapping, not None"),
        ("a: [1\nb: 2", "2: the town is not valid YAML: did not find expected ',' or ']'"),
    ],
)
def test_an_error_names_file_line_and_field(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError) as failed:
        read(tmp_path, text)
    assert str(failed.value) == f"{tmp_path / 'town.yaml'}:{error}"


def test_long_values_are_cut_and_only_ten_errors_are_shown(tmp_path: Path) -> None:
    houses = ", ".join(["x" * 1000] * 12)
    with pytest.raises(ConfigError) as failed:
        read(tmp_path, f"streets: [{{name: A, houses: [{houses}]}}]")
    lines = str(failed.value).splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) < 250


def test_the_bundled_organisations_have_no_mistake() -> None:
    assert len(load_organisation_file().organisations) == 3


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the baseline '/dev/full' has more than 64 MiB"):
        read_text(Path("/dev/full"), "baseline")
    with pytest.raises(ConfigError, match=r"'/dev/full' is a device, not a cassette"):
        load_cassette(Path("/dev/full"))
