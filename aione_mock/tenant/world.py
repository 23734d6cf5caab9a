"""The world that a server shows: models and organisations, the bundled ones or a user's, checked against each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.settings import ANY, Settings, locate_fixture
from aione_mock.structs import frozen
from aione_mock.tenant.catalogue import Model, ModelCatalogue, ModelTraits
from aione_mock.tenant.organisation_file import (
    ApiKeySpec,
    MemberSpec,
    OrganisationFile,
    OrganisationSpec,
    SeededCredential,
    TeamSpec,
    WorldFile,
    complete_organisations,
    get_label,
    list_credentials,
    list_references,
    load_organisation_file,
)
from aione_mock.text.data_files import DataFile, Location, YamlModel

T = TypeVar("T", bound=YamlModel)
Mistakes = Iterator[tuple[Location, str]]
_LISTS = ("teams", "members", "tokens", "access_keys", "keys")
_MAIN = "main"
"""Label of the first bundled organisation."""
_MAX_MISTAKES = 10


@frozen
class World:
    """Models and organisations of a server."""

    catalogue: ModelCatalogue
    organisations: OrganisationFile

    @classmethod
    def load(cls, settings: Settings) -> World:
        """Read the files that the settings name. Raises ConfigError with one line for each mistake."""
        catalogue = load_catalogue(settings)
        source = settings.open_content("world")
        if source is None and settings.models is None and not settings.extensions:
            return load_default_world()
        if source is None:
            return cls(catalogue, _forget_models(load_organisation_file(), catalogue))
        return cls(catalogue, _build_organisations(source, catalogue))

    def list_credentials(self) -> tuple[SeededCredential, ...]:
        """List every secret and what it is good for."""
        return list_credentials(self.organisations)


@cache
def load_default_world() -> World:
    """Return the bundled world."""
    return World(ModelCatalogue.load(), load_organisation_file())


@cache
def load_embedding_models() -> tuple[Model, ...]:
    """Return the models that are bundled with the extension `embeddings`."""
    return ModelCatalogue.load(locate_fixture("embedding_models.yaml")).models


def load_catalogue(settings: Settings) -> ModelCatalogue:
    """Return the models that the settings name. Raises ConfigError with one line for each mistake."""
    bundled = load_default_world().catalogue
    if "embeddings" in settings.extensions:
        bundled = ModelCatalogue.model_construct(models=(*bundled.models, *load_embedding_models()))
    if settings.models == ANY:
        return bundled.model_copy(update={"any": ModelTraits()})
    source = settings.open_content("models")
    if source is None:
        return bundled
    own = source.validate(ModelCatalogue)
    if "embeddings" not in settings.extensions:
        _raise_mistakes(source, _find_embedding_models(own))
    if own.extends is None:
        return own
    merged = ModelCatalogue.model_construct(models=_merge(bundled.models, own.models, _get_id), any=own.any)
    _raise_mistakes(source, _find_clashes(merged, own))
    return merged


def _get_id(model: Model) -> str:
    return model.id


def _find_embedding_models(own: ModelCatalogue) -> Mistakes:
    """Find models of an ability that the contract lacks without its extension."""
    for position, model in enumerate(own.models):
        if model.has_ability("embeddings"):
            yield (
                ("models", position, "abilities"),
                "needs the extension embeddings; start the mock with --with embeddings",
            )


def _find_clashes(merged: ModelCatalogue, own: ModelCatalogue) -> Mistakes:
    """Find names of a user's models that belong to other models."""
    owners: dict[str, Model] = {}
    for model in merged.models:
        for name in (model.id, *model.aliases):
            other = owners.setdefault(name, model)
            if other.id != model.id:
                mine = model if any(model.id == each.id for each in own.models) else other
                position = next(index for index, each in enumerate(own.models) if each.id == mine.id)
                yield (
                    ("models", position),
                    f"the name '{name}' belongs to both {other.id} and {model.id}; rename one",
                )


def _merge(bundled: Iterable[T], own: Iterable[T], get_name: Any, moved: dict[int, Location] | None = None) -> Any:
    """Return the bundled entries, changed by those of the same name, and then the others.

    `moved` holds the locations of own entries; it learns those of changed ones.
    """
    merged = {get_name(entry): entry for entry in bundled}
    added = []
    for entry in own:
        name = get_name(entry)
        if name and name in merged:
            changes = {field: getattr(entry, field) for field in entry.model_fields_set}
            merged[name] = merged[name].model_copy(update=changes)
            if moved is not None:
                moved[id(merged[name])] = moved[id(entry)]
        else:
            added.append(entry)
    return (*merged.values(), *added)


def _build_organisations(source: DataFile, catalogue: ModelCatalogue) -> OrganisationFile:
    """Return the organisations of a user's file, with the bundled ones if it extends them."""
    own, bundled = source.validate(WorldFile), load_organisation_file()
    locations = dict(_locate_entries(own))
    specs = list(own.organisations)
    if own.model_fields_set & OrganisationSpec.model_fields.keys():
        main = OrganisationSpec.model_construct(
            own.model_fields_set & OrganisationSpec.model_fields.keys(),
            **{name: getattr(own, name) for name in OrganisationSpec.model_fields},
        )
        locations[id(main)] = ()
        label = own.label or _MAIN if own.extends else own.label
        specs.insert(0, main.model_copy(update={"label": label}) if label else main)
        locations[id(specs[0])] = ()
    base = _forget_models(bundled, catalogue).organisations if own.extends else ()
    merged = _merge_organisations(base, specs, locations)
    rhythms = bundled.rhythms | own.rhythms
    _raise_mistakes(source, _find_contradictions(merged, locations, catalogue, rhythms))
    return bundled.model_copy(update={"organisations": complete_organisations(merged), "rhythms": rhythms})


def _merge_organisations(
    base: Iterable[OrganisationSpec], own: Iterable[OrganisationSpec], locations: dict[int, Location]
) -> list[OrganisationSpec]:
    merged = {spec.label: spec for spec in base}
    added = []
    for spec in own:
        if spec.label not in merged:
            added.append(spec)
            continue
        old = merged[spec.label]
        changes: dict[str, Any] = {name: getattr(spec, name) for name in spec.model_fields_set}
        for name in changes.keys() & {"plan", "account"}:
            new = changes[name]
            changes[name] = getattr(old, name).model_copy(
                update={field: getattr(new, field) for field in new.model_fields_set}
            )
        for name in changes.keys() & set(_LISTS):
            changes[name] = _merge(getattr(old, name), changes[name], _get_own_label, locations)
        merged[spec.label] = old.model_copy(update=changes)
        locations[id(merged[spec.label])] = locations[id(spec)]
    return [*merged.values(), *added]


def _get_own_label(entry: Any) -> str:
    label: str = entry.label
    return label


def _locate_entries(own: WorldFile) -> Iterator[tuple[int, Location]]:
    """List the identity of every entry of a user's file, and where it stands."""
    for place, spec in [((), own), *[(("organisations", i), spec) for i, spec in enumerate(own.organisations)]]:
        yield id(spec), place
        for name in _LISTS:
            for position, entry in enumerate(getattr(spec, name)):
                yield id(entry), (*place, name, position)


def _forget_models(file: OrganisationFile, catalogue: ModelCatalogue) -> OrganisationFile:
    """Return the bundled organisations without past usage of models that the catalogue does not have."""

    def forget(key: ApiKeySpec) -> ApiKeySpec:
        if key.past is None or all(name in catalogue.names for name in key.past.models):
            return key
        known = {name: share for name, share in key.past.models.items() if name in catalogue.names}
        return key.model_copy(update={"past": key.past.model_copy(update={"models": known}) if known else None})

    specs = [spec.model_copy(update={"keys": tuple([forget(key) for key in spec.keys])}) for spec in file.organisations]
    return file.model_copy(update={"organisations": tuple(specs)})


def _raise_mistakes(source: DataFile, mistakes: Mistakes) -> None:
    lines = [source.format_mistake(location, message) for location, message in _limit_mistakes(mistakes)]
    if lines:
        raise ConfigError("\n".join(lines))


def _limit_mistakes(mistakes: Mistakes) -> Iterator[tuple[Location, str]]:
    for _, mistake in zip(range(_MAX_MISTAKES), mistakes, strict=False):
        yield mistake


# Contradictions


def _find_contradictions(
    specs: list[OrganisationSpec],
    locations: Mapping[int, Location],
    catalogue: ModelCatalogue,
    rhythms: Collection[str],
) -> Mistakes:
    """Find what contradicts itself. Entries without a location are bundled, and are not examined."""
    if not specs:
        yield (), "there is no organisation; add teams and keys, or `extends: default`"
    elif not any(spec.keys for spec in specs):
        yield (), "there is no API key; add one to keys, or `extends: default`"
    yield from _find_doubles(specs, locations)
    for spec in specs:
        names = _Names.collect(spec)
        if id(spec) in locations:
            yield from _check_plan(spec, (*locations[id(spec)], "plan", "models"), catalogue)
        yield from _check_references(spec, names, locations)
        for key in spec.keys:
            if id(key) in locations:
                yield from _check_key(key, spec, names, locations[id(key)], catalogue, rhythms)


@frozen
class _Names:
    """The texts by which entries of one organisation are referred to."""

    teams: Mapping[str, TeamSpec]
    members: Mapping[str, MemberSpec]

    @classmethod
    def collect(cls, spec: OrganisationSpec) -> _Names:
        return cls(
            {text: team for team in spec.teams for text in list_references(team)},
            {text: member for member in spec.members for text in list_references(member)},
        )


def _check_plan(spec: OrganisationSpec, place: Location, catalogue: ModelCatalogue) -> Mistakes:
    yield from _check_models(spec.plan.models, place, catalogue, "the plan includes")
    for position, name in enumerate(spec.plan.models or ()):
        found = catalogue.names.get(name)
        if found is not None and found.id != name:
            yield (*place, position), f"'{name}' is another name of {found.id}; write that"


def _find_doubles(specs: list[OrganisationSpec], locations: Mapping[int, Location]) -> Mistakes:
    """Find labels that occur twice in an organisation, and ids, numbers and secrets that occur twice at all."""
    seen: dict[tuple[str, ...], Any] = {}
    for spec in specs:
        for kind, entry, scope, name, value in _list_unique_values(spec):
            first = seen.setdefault((*scope, kind, name, value), entry)
            if first is not entry and id(entry) in locations:
                shown = "" if name == "secret" else f" '{value}'"
                change = f", or `label: {value}` to change the bundled one" if name == "label" else ""
                remedy = "choose another" + ("" if id(first) in locations else change)
                yield (*locations[id(entry)], name), f"another entry has the {name}{shown}; {remedy}"


def _list_unique_values(spec: OrganisationSpec) -> Iterator[tuple[str, Any, tuple[str, ...], str, str]]:
    """List what must not occur twice: kind, entry, scope, member and value."""
    label = get_label(spec)
    if label:
        yield "organisations", spec, (), "label", label
    for kind in _LISTS:
        for entry in getattr(spec, kind):
            if found := get_label(entry):
                yield kind, entry, (label,), "label", found
            for name in ("id", "number", "secret"):
                if value := getattr(entry, name, None):
                    # an API key and a console token may not be the same text either
                    yield ("secrets" if name == "secret" else kind), entry, (), name, str(value)
    for key in spec.keys:
        if key.rotated:
            yield "secrets", key, (), "secret", key.rotated.secret


def _check_references(spec: OrganisationSpec, names: _Names, locations: Mapping[int, Location]) -> Mistakes:
    """Check that teams and members that entries name exist."""
    teams: list[Any] = [*spec.members, *spec.keys]
    members: list[Any] = [*spec.tokens, *spec.keys]
    references: list[tuple[Any, str, str | None, Mapping[str, Any]]] = [
        *[(entry, "team", entry.team, names.teams) for entry in teams],
        *[(entry, "member", entry.member, names.members) for entry in members],
    ]
    for entry, kind, name, known in references:
        if name is not None and name not in known and id(entry) in locations:
            remedy = did_you_mean(name, known) or f"; add it to {kind}s"
            yield (*locations[id(entry)], kind), f"there is no {kind} '{name}'{remedy}"


def _check_key(
    key: ApiKeySpec,
    spec: OrganisationSpec,
    names: _Names,
    place: Location,
    catalogue: ModelCatalogue,
    rhythms: Collection[str],
) -> Mistakes:
    if not get_label(key):
        yield place, "the key has no name; add `name`"
    if key.expires_at is not None and key.expired_ago is not None:
        yield (*place, "expired_ago"), "expires_at says when the key expires already; remove one"
    member = names.members.get(key.member or "")
    if member is not None and key.team is not None and names.teams.get(key.team) is not names.teams.get(member.team):
        message = f"member '{key.member}' belongs to the team '{member.team}', not '{key.team}'; change one"
        yield (*place, "team"), message
    yield from _check_models(key.models_allowed, (*place, "models_allowed"), catalogue, "the key allows")
    for position, model in enumerate(key.models_allowed or ()):
        found, included = catalogue.names.get(model), spec.plan.models
        if found is not None and included is not None and found.id not in included:
            message = f"the key allows '{model}', which the plan's models do not include; add it there"
            yield (*place, "models_allowed", position), message
    if key.past is not None:
        yield from _check_models(key.past.models, (*place, "past", "models"), catalogue, "the key has used")
        if key.past.rhythm not in rhythms:
            remedy = did_you_mean(key.past.rhythm, rhythms) or "; add it to rhythms"
            yield (*place, "past", "rhythm"), f"there is no rhythm '{key.past.rhythm}'{remedy}"


def _check_models(names: Iterable[str] | None, place: Location, catalogue: ModelCatalogue, subject: str) -> Mistakes:
    if catalogue.any is not None:
        return
    for position, name in enumerate(names or ()):
        if name not in catalogue.names:
            step = name if isinstance(names, Mapping) else position
            remedy = did_you_mean(name, catalogue.names) or "; add it to models"
            yield (*place, step), f"{subject} '{name}', which is not in the list of models{remedy}"
