"""The world: a user's models and organisations beside the bundled ones, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import load_organisation_file
from aione_mock.tenant.tenants import Tenants
from aione_mock.tenant.world import World

EPOCH = 1_790_000_000.0
KEYS = "keys: [{name: A, secret: sk-a}]\n"


def load(tmp_path: Path, world: str = "", models: str = "") -> World:
    given = {}
    for name, text in (("world", world), ("models", models)):
        if text:
            path = tmp_path / f"{name}.yaml"
            path.write_text(text, encoding="utf-8")
            given[name] = path
    return World.load(Settings(**given))


def test_without_a_file_it_is_the_bundled_world(tmp_path: Path) -> None:
    world = load(tmp_path)
    assert world is World.load(Settings())
    assert world.organisations is load_organisation_file()


def test_extending_changes_and_adds_but_moves_nothing(tmp_path: Path) -> None:
    bundled = World.load(Settings())
    text = "extends: default\nplan: {rpm_limit: 9}\nkeys:\n- {label: demo, tpm_limit: 8}\n- {name: A, secret: sk-a}\n"
    world = load(tmp_path, text + "organisations: [{name: Second, keys: [{name: A}], teams: [{name: Shop}]}]\n")
    main, *others = world.organisations.organisations
    before, *others_before = bundled.organisations.organisations
    assert (main.plan.rpm_limit, main.plan.monthly_fee_rmb) == (9, before.plan.monthly_fee_rmb)
    assert main.keys[0] == before.keys[0].model_copy(update={"tpm_limit": 8})
    assert main.keys[1:-1] == before.keys[1:]
    assert others[:2] == others_before
    second = others[2]
    ids = [key.id for spec in world.organisations.organisations for key in spec.keys]
    numbers = [key.number for spec in world.organisations.organisations for key in spec.keys]
    assert len(set(ids)) == len(ids)
    assert len(set(numbers)) == len(numbers)
    assert second.keys[0].secret.startswith("sk-nex-")
    assert load(tmp_path, text).organisations.organisations[0] == main  # generated values do not depend on the rest


def test_bundled_keys_forget_models_that_are_gone(tmp_path: Path) -> None:
    world = load(tmp_path, models="models: [{id: gpt-5.2}]")
    tenants = Tenants.create(Seed.of(0), EPOCH, world.catalogue, world.organisations)
    used = {row.model for ledger in tenants.ledgers.values() for day in ledger.history.days for row in day}
    assert used == {"gpt-5.2"}


def test_a_world_without_labels_numbers_and_secrets_hands_its_credentials_to_tests(tmp_path: Path) -> None:
    text = "keys: [{name: Disabled, status: disabled}, {name: B}]\ntokens: [{}]\naccess_keys: [{}]\n"
    world = load(tmp_path, text)
    variables = {name for credential in world.list_credentials() for name, _ in credential.env}
    assert variables == {"AIONE_API_KEY", "AIONE_CONSOLE_TOKEN", "AIONE_ACCESS_KEY_ID", "AIONE_ACCESS_KEY_SECRET"}
    given = {name: value for credential in world.list_credentials() for name, value in credential.env}
    assert given["AIONE_API_KEY"] == world.organisations.find_demo_key()


@pytest.mark.parametrize(
    ("world", "error"),
    [
        ("plan: {rpm_limit: 3}", "1: there is no API key; add one to keys, or `extends: default`"),
        ("{}", "1: there is no organisation; add teams and keys, or `extends: default`"),
        (KEYS + "teams: [{name: T}, {name: T}]", "2: teams[1].label: another entry has the label 'T'; choose another"),
        (KEYS + "teams: [{name: T, number: 3}, {name: U, number: 3}]", "2: teams[1].number: another entry has the n"),
        (KEYS + "tokens: [{secret: sk-a}]", "1: keys[0].secret: another entry has the secret; choose another"),
        (KEYS + "members: [{name: Ann, team: Resarch}]\nteams: [{name: Research}]", "did you mean 'Research'?"),
        ("keys:\n- name: A\n  team: T\n", "3: keys[0].team: there is no team 'T'; add it to teams"),
        ("keys:\n- name: A\n  member: 5\n", "3: keys[0].member: there is no member '5'; add it to members"),
        (
            "teams: [{name: T}, {name: U}]\nmembers: [{name: Ann, team: T}]\nkeys:\n- {name: A, member: Ann, team: U}",
            "4: keys[0].team: member 'Ann' belongs to the team 'T', not 'U'; change one",
        ),
        ("keys:\n- {name: A, models_allowed: [gpt-5.5]}", "which is not in the list of models; did you mean 'gpt-5."),
        (
            "plan: {models: [gpt-5.2]}\nkeys:\n- {name: A, models_allowed: [gpt-5.4]}",
            "3: keys[0].models_allowed[0]: the key allows 'gpt-5.4', which the plan's models do not include; add it",
        ),
        (KEYS + "plan: {models: [sonnet-4-6]}", "'sonnet-4-6' is another name of claude-sonnet-4-6; write that"),
        ("keys:\n- {name: A, expired_ago: 3, expires_at: 2027-01-01T00:00:00Z}", "expires_at says when the key expir"),
        ("keys:\n- {secret: sk-a}", "2: keys[0]: the key has no name; add `name`"),
        (
            "keys:\n- {name: A, allowed_ips: [300.1.1.1]}",
            "2: keys[0].allowed_ips[0]: '300.1.1.1' does",
        ),
        ("keys:\n- {name: A, secret: 'two words'}", "2: keys[0].secret: String should match pattern"),
        ("keys:\n- {name: A, id: x}", "2: keys[0].id: Input should be a UUID such as"),
        ("keys:\n- {name: A, rpm: 3}", "2: keys[0].rpm: Extra inputs are not permitted; did you mean 'rpm_limit'?"),
        (
            "keys:\n- name: A\n"
            "  past: {rhythm: offce, calls: 1, prompt: 1, completion: 1, cached: 0, models: {gpt-5.2: 1}}",
            "3: keys[0].past.rhythm: there is no rhythm 'offce'; did you mean 'office'?",
        ),
        (
            "extends: default\nkeys:\n- {name: demo}",
            "3: keys[0].label: another entry has the label 'demo'; choose another, or `label: demo` to change",
        ),
        (
            "organisations: [{name: X, keys: [{name: A, team: T}]}]",
            "1: organisations[0].keys[0].team: there is no",
        ),
    ],
)
def test_contradictions_are_refused_by_name(tmp_path: Path, world: str, error: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, world)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{tmp_path / 'world.yaml'}:")
    assert error in line
    assert "two words" not in line


def test_names_of_own_models_may_not_be_those_of_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models.yaml:4: models\[1\]: the name 'opus-4-6' belongs to both"):
        load(tmp_path, models="extends: default\nmodels:\n- id: a\n- id: opus-4-6\n")


def test_at_most_ten_mistakes_are_shown(tmp_path: Path) -> None:
    keys = "".join([f"- {{name: K{number}, team: T}}\n" for number in range(30)])
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, f"keys:\n{keys}")
    assert len(str(refused.value).splitlines()) == 10
