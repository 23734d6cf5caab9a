"""Errors of YAML files: one line each, with file, line, field and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from aione_mock.errors import ConfigError
from aione_mock.settings import Count, Text, YamlModel, fixture_path, load_yaml_model
from aione_mock.tenant.organisation_file import OrganisationFile, load_organisation_file


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


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "team: engineering, rpm_limit: 2,",
            "team: enginering, rpm_limit: 2,",
            "there is no team 'enginering'; add it",
        ),
        ("view: tech, person: 30004", "view: tech, person: 1", "there is no person 1; add one to people"),
        ("rhythm: night", "rhythm: day", "key 'reports': there is no rhythm 'day'; add it to rhythms"),
        ("monthly_fee_rmb: '299.00'", "monthly_fee_rmb: 299.00", "plan.monthly_fee_rmb: quote amounts of money"),
        ("label: studio, ", "", "label: Field required; add it"),
        ("secret: sk-nex-studio-pictures", "secret: 1234", ".secret: Input should be a valid string"),
    ],
)
def test_organisations_refer_to_what_exists(tmp_path: Path, old: str, new: str, error: str) -> None:
    text = fixture_path("organisation.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "organisation.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        load_yaml_model(path, OrganisationFile, "organisation file")
    assert error in str(failed.value)
    assert "1234" not in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1
