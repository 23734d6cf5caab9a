"""Read scenario files, with line numbers, and reload them when they change.

When a file becomes invalid, its last valid rules stay in force and its error is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import yaml

from aione_mock.errors import ScenarioError
from aione_mock.scenarios.rule_compiler import RuleCompiler
from aione_mock.scenarios.rules import Rule
from aione_mock.settings import find_line
from aione_mock.structs import frozen
from aione_mock.types import Json

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

    @classmethod
    def open(cls, paths: Iterable[Path], compiler: RuleCompiler) -> RuleFiles:
        """Read all files. Raises ScenarioError for the first that is missing or invalid."""
        opened = cls(tuple(paths)).reload(compiler)
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
        stamps = {path: _read_stamp(path) for path in list_rule_files(self.paths)}
        if stamps == {path: file.stamp for path, file in known.items()}:
            return self
        files: list[RuleFile] = []
        for path, stamp in stamps.items():
            old = known.get(path, RuleFile(path, (0, 0)))
            taken = {rule.id for file in files for rule in file.rules}
            files.append(_reload_file(old, stamp, compiler, taken))
        return RuleFiles(self.paths, tuple(files))


def list_rule_files(paths: Iterable[Path]) -> list[Path]:
    """Return files as named, and those of folders sorted by name."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(child for child in path.iterdir() if child.suffix in _SUFFIXES) if path.is_dir() else [path]
        files += [file for file in inside if file not in files]
    return files


def read_rules(path: Path, compiler: RuleCompiler, taken: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return the rules of a file. Raises ScenarioError `file.yaml:12: …; did you mean …`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    root, document = _parse_yaml(text, path.name)
    if mistakes := compiler.find_mistakes(document):
        first = min(mistakes, key=lambda mistake: find_line(root, mistake.path))
        raise ScenarioError(f"{path.name}:{find_line(root, first.path)}: {first.message}")
    rules = document["rules"]
    sources = [f"{path.name}:{find_line(root, ('rules', position))}" for position in range(len(rules))]
    return compiler.compile_valid(rules, taken, sources)


def _reload_file(old: RuleFile, stamp: Stamp, compiler: RuleCompiler, taken: set[str]) -> RuleFile:
    try:
        return RuleFile(old.path, stamp, read_rules(old.path, compiler, taken))
    except ScenarioError as error:
        kept = compiler.compile_valid([rule.raw for rule in old.rules], taken, [rule.source for rule in old.rules])
        return RuleFile(old.path, stamp, kept, str(error))


def _read_stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return (0, -1)
    return (stat.st_mtime_ns, stat.st_size)


def _parse_yaml(text: str, name: str) -> tuple[yaml.Node, Json]:
    """Return the YAML tree, which knows its lines, and its value as JSON."""
    try:
        loader = _RuleFileLoader(text)
        root = loader.get_single_node()
        document = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{name}:{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{name}:1: not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise ScenarioError(f"{name}:1: the file is empty; it should begin with `rules:`")
    if duplicate := _find_duplicate_key(root, set()):
        raise ScenarioError(f"{name}:{duplicate.start_mark.line + 1}: '{duplicate.value}' occurs twice")
    try:
        return root, orjson.loads(orjson.dumps(document))
    except (TypeError, RecursionError) as error:
        raise ScenarioError(f"{name}:1: cannot be represented as JSON: {error}") from None


def _find_duplicate_key(node: yaml.Node, seen: set[int]) -> yaml.ScalarNode | None:
    """Return the second of two equal keys, which YAML forbids but its loaders accept."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return None
    seen.add(id(node))
    keys: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]:
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys:
                return key
            keys.add(key.value)
        if below := _find_duplicate_key(value, seen):
            return below
    return None
