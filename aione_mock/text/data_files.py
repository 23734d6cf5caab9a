"""YAML and TOML files that people write: read them, validate them, and say in which line a mistake is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.structs import frozen, replace
from aione_mock.text.escaping import escape_unprintable

Model = TypeVar("Model", bound="YamlModel")
Location = tuple[int | str, ...]
"""Members and positions that lead to a value, from the outside in."""
_MAX_ERRORS = 10
_ALIAS = re.compile(r"(?:^|[\s\[{,:])\*[^\s*]")
"""What an alias looks like; other texts may look so too."""
_MAX_REPEATED = 100_000
"""Most values of a YAML file that aliases may add to those written."""
_MAX_FILE_CHARS = 64 << 20
"""Longer files are refused: a device such as /dev/full has no end."""
_MAX_VALUE_CHARS = 60
_MAX_NAME_CHARS = 200
_MAX_TOML_CHARS = 2_000_000
"""Most characters that are parsed again to find a line: a value of many lines is parsed once for each of them."""
_YAML_MESSAGES = {
    "model_type": "Input should be a mapping",
    "tuple_type": "Input should be a list",
    "bool_parsing": "Input should be true or false",
}
"""Messages for types of errors whose own message speaks of Python."""
_SECRETS = ("secret", "token")
"""Parts of the names of members whose values are never shown."""


def _check_money(value: object) -> object:
    if isinstance(value, str) or type(value) is int:
        return value
    raise ValueError('quote amounts of money, such as "21.6000"')


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
PositiveInt = Annotated[int, Field(strict=True, ge=1)]
Money = Annotated[
    Decimal,
    BeforeValidator(_check_money, json_schema_input_type=str | int),
    Field(max_digits=13, decimal_places=4),
]
"""RMB with at most 4 decimal places, quoted so that no float is ever in between."""


class YamlModel(BaseModel):
    """A frozen value read from a file; unknown fields are errors."""

    # classes used inside others need no validator of their own, so none is built before it is asked for
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def read_text(path: Path, kind: str) -> str:
    """Read a file that a user named; `kind` says what it is. Raise ConfigError if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_MAX_FILE_CHARS + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the {kind} '{path}': {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the {kind} '{path}' is not UTF-8 text") from None
    if len(text) > _MAX_FILE_CHARS:
        raise ConfigError(f"the {kind} '{path}' has more than {_MAX_FILE_CHARS >> 20} MiB")
    return text


@frozen
class DataFile:
    """The content of a file, or of a member of it, that can say in which line a value stands."""

    data: Any
    path: Path | None = None
    """None for data that comes from no file."""
    text: str = ""
    place: Location = ()
    """Where `data` stands in the file."""

    @classmethod
    def read(cls, path: Path, kind: str) -> DataFile:
        """Read a YAML file, or a TOML file if its name says so. Raises ConfigError; `kind` says what the file is."""
        text = read_text(path, kind)
        if path.suffix == ".toml":
            return cls(_parse_toml(path, text, kind), path, text)
        return cls(_parse_yaml(path, text, kind), path, text)

    def select(self, *place: int | str) -> DataFile:
        """Return a member of the data. Raises KeyError if there is none."""
        data = self.data
        for step in place:
            data = data[step]
        return replace(self, data=data, place=(*self.place, *place))

    def locate(self, loc: Location) -> int:
        """Return the line of a value of the data, or of the nearest one around it."""
        if self.path is not None and self.path.suffix == ".toml":
            return _find_toml_line(self.text, (*self.place, *loc))
        return find_line(_compose(self.text), (*self.place, *loc))

    def format_mistake(self, loc: Location, message: str) -> str:
        """Return one line about a value, such as `models.yaml:7: models[0].owner: Field required`."""
        where = "" if self.path is None else f"{self.path}:{self.locate(loc)}: "
        return f"{where}{_format_field((*self.place, *loc))}{message}"

    def validate(self, model: type[Model]) -> Model:
        """Return the data as `model`. Raises ConfigError with one line for each error."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise ConfigError("\n".join(self.describe_errors(error, model)[:_MAX_ERRORS])) from None

    def describe_errors(self, error: ValidationError, model: type[BaseModel]) -> list[str]:
        """Return one line for each error of a validation, in the order of the file."""
        causes = sorted(_list_causes(error), key=lambda details: self.locate(details["loc"]) if self.path else 0)
        return [self.format_mistake(details["loc"], describe_details(details, model)) for details in causes]


def load_yaml_model(path: Path, model: type[Model], kind: str) -> Model:
    """Read a file as `model`; `kind` says what the file is, such as `catalogue`.

    Raises ConfigError with one line for each error: `models.yaml:7: models[0].owner: Field required`.
    """
    return DataFile.read(path, kind).validate(model)


def describe_errors(path: Path, text: str, error: ValidationError, model: type[YamlModel]) -> list[str]:
    """Return one line for each error in a YAML text, such as `models.yaml:7: models[0].owner: Field required`."""
    return DataFile(None, path, text).describe_errors(error, model)


def describe_details(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong with a value and how to fix it."""
    message = _YAML_MESSAGES.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    return message + _suggest_fix(details, model)


@lru_cache(maxsize=1)
def _compose(text: str) -> yaml.Node | None:
    """Return the YAML tree of a text that has mistakes; each of them is located in it."""
    root: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    return root


def _parse_toml(path: Path, text: str, kind: str) -> Any:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}:1: the {kind} is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        message, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0] or "1"
        raise ConfigError(f"{path}:{line}: the {kind} is not valid TOML: {message}") from None


def _parse_yaml(path: Path, text: str, kind: str) -> Any:
    try:
        root, data = load_yaml(text)
        if duplicate := find_duplicate_key(root, set()):
            raise ConfigError(f"{path}:{duplicate.start_mark.line + 1}: '{duplicate.value}' occurs twice; remove one")
        return data
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}{_format_mark(error)}: the {kind} is not valid YAML: {_join_lines(error)}") from None


def load_yaml(text: str, loader: type[yaml.CSafeLoader] = yaml.CSafeLoader) -> tuple[yaml.Node | None, Any]:
    """Return the tree of a YAML text, which knows its lines, and its value.

    Raises yaml.YAMLError, also for aliases that lead back to themselves or multiply what they name beyond measure, and
    for values that do not have the form of their tag, such as `!!bool maybe`.
    """
    reader = loader(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return None, None
        if _ALIAS.search(text):
            _check_aliases(root)
        return root, reader.construct_document(root)
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n")
        problem = f"the character U+{error.character:04X} is not allowed"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=_create_mark(line)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # what PyYAML raises for a text that does not have the form of its tag; the last node is the innermost one
        node = next(reversed(reader.recursive_objects))
        problem = f"{str(node.value)[:_MAX_VALUE_CHARS]!r} is no valid {node.tag.rpartition(':')[2]}"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def _create_mark(line: int) -> yaml.Mark:
    return yaml.Mark("", 0, line, 0, "", 0)


def _check_aliases(root: yaml.Node) -> None:
    """Raise MarkedYAMLError for a tree that holds itself, or that would be too large without its aliases."""
    sizes: dict[int, int] = {}
    todo, open_nodes = [(root, False)], set[int]()
    while todo:
        node, counted = todo.pop()
        inner = _list_children(node)
        if counted:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum([sizes[id(child)] for child in inner])
        elif id(node) in open_nodes:
            raise yaml.MarkedYAMLError(problem="an alias leads back to itself", problem_mark=node.start_mark)
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            todo.append((node, True))
            todo += [(child, False) for child in inner]
    if sizes[id(root)] > len(sizes) + _MAX_REPEATED:
        problem = f"its aliases repeat more than {_MAX_REPEATED} values"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=root.start_mark)


def _list_children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def find_duplicate_key(node: yaml.Node | None, seen: set[int]) -> yaml.ScalarNode | None:
    """Return the second of two equal keys, which YAML forbids but its loaders accept."""
    if node is None or isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return None
    seen.add(id(node))
    keys: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]:
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys:
                return key
            keys.add(key.value)
        if below := find_duplicate_key(value, seen):
            return below
    return None


def _list_causes(error: ValidationError) -> list[ErrorDetails]:
    """List the errors without those that only follow from another one inside the same value."""
    found = error.errors(include_url=False)
    containers = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    return [
        details
        for details in found
        if details["loc"] not in containers and details["type"] != "default_factory_not_called"
    ]


def _format_mark(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _join_lines(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())


def _suggest_fix(details: ErrorDetails, model: type[BaseModel]) -> str:
    value, name = details["input"], str(details["loc"][-1:])
    if details["type"] == "missing":
        return "; add it"
    if details["type"] == "extra_forbidden":
        *place, unknown = details["loc"]
        return did_you_mean(str(unknown), _list_fields(model, tuple(place))) or "; remove it"
    if details["type"] == "value_error":
        return ""
    if isinstance(value, str | int | float | None) and not any(part in name for part in _SECRETS):
        return f", not {value!r}"[:_MAX_VALUE_CHARS]
    return ""


def _list_fields(model: type[BaseModel], place: Location) -> set[str]:
    """List the names of the fields at a place in a model."""
    root = model.model_json_schema()
    found = [*_expand_schema(root, root)]
    for step in place:
        parts = [part.get("properties", {}).get(step) if isinstance(step, str) else part.get("items") for part in found]
        found = [each for part in parts if part for each in _expand_schema(part, root)]
    return {name for part in found for name in part.get("properties", ())}


def _expand_schema(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a JSON Schema refers to, and its alternatives."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    yield schema
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _expand_schema(part, root)


def _format_field(loc: Location) -> str:
    """Format a place as `models[0].prices.input: `; the whole file has no name."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}"[:_MAX_NAME_CHARS] for step in loc]
    return escape_unprintable("".join(steps).removeprefix(".")) + ": " * bool(loc)


def find_line(node: Any, loc: Location) -> int:
    """Find the line of a place in YAML, or of the nearest node around it."""
    line = node.start_mark.line if node else 0
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
    return int(line) + 1


def _find_toml_line(text: str, loc: Location) -> int:
    """Find the line of a place in TOML, or of the nearest table or assignment around it."""
    lines = {found: line for line, found in _list_toml_places(text)}
    return next((lines[loc[:length]] for length in range(len(loc), 0, -1) if loc[:length] in lines), 1)


def _list_toml_places(text: str) -> Iterator[tuple[int, Location]]:
    """List the line and the place of every table header and every assignment, as far as that takes no long time."""
    table: Location = ()
    counts: dict[Location, int] = {}
    statement, first, budget = "", 1, _MAX_TOML_CHARS
    for number, line in enumerate(text.splitlines(), 1):
        first = number if not statement else first
        statement += line + "\n"
        budget -= len(statement)
        if budget < 0:
            return
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a value that goes on in the next line
        statement = ""
        if line.lstrip().startswith("["):
            table = _resolve_table(parsed, counts)
            yield first, table
        elif parsed:
            keys: Location = ()
            value: Any = parsed
            while isinstance(value, dict) and len(value) == 1:
                key, value = next(iter(value.items()))
                keys = (*keys, key)
                yield first, (*table, *keys)


def _resolve_table(parsed: Any, counts: dict[Location, int]) -> Location:
    """Return the place of a table header that was parsed alone; `counts` holds the lengths of arrays of tables."""
    place: Location = ()
    while isinstance(parsed, dict) and parsed:
        key, parsed = next(iter(parsed.items()))
        place = (*place, key)
        if isinstance(parsed, list):
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
        if isinstance(parsed, list):
            parsed = None
    return place
