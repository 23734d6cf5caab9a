"""Read scenario files, with line numbers, and reload them when they change.

When a file becomes invalid, its last valid rules stay in force and its error is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import orjson
import yaml

from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.scenarios.rule_compiler import RuleCompiler
from aione_mock.scenarios.rules import Rule
from aione_mock.settings import read_configuration
from aione_mock.structs import frozen
from aione_mock.text.data_files import Location, find_duplicate_key, find_line, load_yaml
from aione_mock.types import Json

Locate = Callable[[Location], int]
ReadDocument = Callable[[Path], tuple[Locate, Json]]
Stamp = tuple[int, int]
"""Modification time of a file in nanoseconds and its size in bytes; (0, -1) for a missing file."""
_SUFFIXES = (".yaml", ".yml", ".json")


class _RuleFileLoader(yaml.CSafeLoader):
    """Load YAML as JSON has it: a date is a string."""


_RuleFileLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@frozen
class TextMistake:
    """A mistake in the text of a scenario file, and the line that it stands in."""

    line: int
    message: str
    pointer: str = ""
    """JSON pointer to the value or to the unknown member; empty where the text cannot be read at all."""


class RuleTextError(Exception):
    """A text that is not readable as a scenario file."""

    def __init__(self, line: int, message: str) -> None:
        """`line` counts from 1."""
        super().__init__(message)
        self.mistake = TextMistake(line, message)


@frozen
class RuleFile:
    """A scenario file as last read: its last valid rules, and its error if it is invalid now."""

    path: Path
    stamp: Stamp
    rules: tuple[Rule, ...] = ()
    error: str | None = None


@frozen
class RuleFiles:
    """All scenario files of a server."""

    paths: tuple[Path, ...]
    """Files and folders as given."""
    files: tuple[RuleFile, ...] = ()
    configuration: Path | None = None
    """The first file, if it is a configuration file with a member `rules`."""

    @classmethod
    def open(cls, paths: Iterable[Path], compiler: RuleCompiler, configuration: Path | None = None) -> RuleFiles:
        """Read all files. Raises ScenarioError for the first that is missing or invalid."""
        own = (configuration,) if configuration else ()
        opened = cls((*own, *paths), configuration=configuration).reload(compiler)
        for missing in (path for path in opened.paths if not path.exists()):
            raise ScenarioError(f"{missing}: there is no such file or folder")
        for error in opened.errors:
            raise ScenarioError(error)
        return opened

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all files, in the order of the files."""
        return tuple(rule for file in self.files for rule in file.rules)

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors of files whose last valid rules are in force."""
        return tuple(file.error for file in self.files if file.error)

    def reload(self, compiler: RuleCompiler) -> RuleFiles:
        """Return the files read again if one has changed, else this very object. Never raises.

        All files are read, so that ids depend only on their content and order, not on which changed when.
        """
        known = {file.path: file for file in self.files}
        stamps = {path: read_stamp(path) for path in list_rule_files(self.paths)}
        if stamps == {path: file.stamp for path, file in known.items()}:
            return self
        files: list[RuleFile] = []
        for path, stamp in stamps.items():
            old = known.get(path, RuleFile(path, (0, 0)))
            taken = {rule.id for file in files for rule in file.rules}
            read = _read_configured_rules if path == self.configuration else _read_rule_file
            files.append(_reload_file(old, stamp, compiler, taken, read))
        return RuleFiles(self.paths, tuple(files), self.configuration)


def list_rule_files(paths: Iterable[Path]) -> list[Path]:
    """Return files as named, and those of folders sorted by name."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(child for child in path.iterdir() if child.suffix in _SUFFIXES) if path.is_dir() else [path]
        files += [file for file in inside if file not in files]
    return files


def read_rules(
    path: Path, compiler: RuleCompiler, taken: Iterable[str] = (), read: ReadDocument | None = None
) -> tuple[Rule, ...]:
    """Return the rules of a file. Raises ScenarioError `file.yaml:12: …; did you mean …`."""
    locate, document = (read or _read_rule_file)(path)
    if mistakes := compiler.find_mistakes(document):
        first = min(mistakes, key=lambda mistake: locate(mistake.path))
        raise ScenarioError(f"{path.name}:{locate(first.path)}: {first.message}")
    rules = document["rules"]
    sources = [f"{path.name}:{locate(('rules', position))}" for position in range(len(rules))]
    return compiler.compile_valid(rules, taken, sources)


def check_rule_text(text: str, compiler: RuleCompiler) -> tuple[list[Json], list[TextMistake]]:
    """Return the rules in the text of a scenario file, and all mistakes in it, from the top. Either list is empty."""
    try:
        locate, document = _parse_yaml(text)
    except RuleTextError as error:
        return [], [error.mistake]
    found = compiler.find_mistakes(document)
    if not found:
        return document["rules"], []
    mistakes = [TextMistake(locate(each.path), each.message, each.pointer) for each in found]
    return [], sorted(mistakes, key=lambda mistake: mistake.line)


def _reload_file(old: RuleFile, stamp: Stamp, compiler: RuleCompiler, taken: set[str], read: ReadDocument) -> RuleFile:
    try:
        return RuleFile(old.path, stamp, read_rules(old.path, compiler, taken, read))
    except ScenarioError as error:
        kept = compiler.compile_valid([rule.raw for rule in old.rules], taken, [rule.source for rule in old.rules])
        return RuleFile(old.path, stamp, kept, str(error))


def _read_rule_file(path: Path) -> tuple[Locate, Json]:
    """Return what finds the line of a place, and the content of a scenario file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return _parse_yaml(text)
    except RuleTextError as error:
        raise ScenarioError(f"{path.name}:{error.mistake.line}: {error.mistake.message}") from None


def _read_configured_rules(path: Path) -> tuple[Locate, Json]:
    """Return the same of the rules in a configuration file."""
    try:
        file = read_configuration(path)
    except ConfigError as error:
        raise ScenarioError(str(error).partition("\n")[0]) from None
    return file.locate, orjson.loads(orjson.dumps({"rules": file.data.get("rules") or []}, default=str))


def read_stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return (0, -1)
    return (stat.st_mtime_ns, stat.st_size)


def _parse_yaml(text: str) -> tuple[Locate, Json]:
    """Return what finds the line of a place, and the value of a YAML text as JSON. Raises RuleTextError."""
    try:
        root, document = load_yaml(text, _RuleFileLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RuleTextError(line, f"not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RuleTextError(1, f"not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise RuleTextError(1, "the file is empty; it should begin with `rules:`")
    if duplicate := find_duplicate_key(root, set()):
        raise RuleTextError(duplicate.start_mark.line + 1, f"'{duplicate.value}' occurs twice")
    try:
        return partial(find_line, root), orjson.loads(orjson.dumps(document))
    except (TypeError, RecursionError) as error:
        raise RuleTextError(1, f"cannot be represented as JSON: {error}") from None
