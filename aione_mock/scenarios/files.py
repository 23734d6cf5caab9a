"""Scenario files: read with line numbers, and read again when they change.

A file that is half written or wrong keeps its last good rules, and its error is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import yaml

from aione_mock.errors import ScenarioError
from aione_mock.scenarios.rulebook import Rulebook
from aione_mock.scenarios.rules import Rule
from aione_mock.structs import frozen
from aione_mock.types import Json

Stamp = tuple[int, int]
"""When a file was changed (nanoseconds) and its size in bytes; (0, -1) for a file that is not there."""
SUFFIXES = (".yaml", ".yml", ".json")


class _Loader(yaml.CSafeLoader):
    """YAML as JSON sees it: a date is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@frozen
class ScenarioFile:
    """One file as it was last read; `rules` are the last good ones, `error` says what is wrong since."""

    path: Path
    stamp: Stamp
    rules: tuple[Rule, ...] = ()
    error: str | None = None


@frozen
class Shelf:
    """All scenario files of a server."""

    paths: tuple[Path, ...]
    """As given: files and folders."""
    files: tuple[ScenarioFile, ...] = ()

    @classmethod
    def open(cls, paths: Iterable[Path], book: Rulebook) -> Shelf:
        """Read all files. Raises ScenarioError for the first that is missing or wrong."""
        shelf = cls(tuple(paths)).refreshed(book)
        for missing in (path for path in shelf.paths if not path.exists()):
            raise ScenarioError(f"{missing}: there is no such file or folder")
        for error in shelf.errors:
            raise ScenarioError(error)
        return shelf

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all files, in the order of the files."""
        return tuple(rule for file in self.files for rule in file.rules)

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong with files whose last good rules are in force."""
        return tuple(file.error for file in self.files if file.error)

    def refreshed(self, book: Rulebook) -> Shelf:
        """The shelf read again if a file has changed, else the very same shelf. Never raises.

        All files are read, so that ids depend on their content and order alone, not on which changed when.
        """
        known = {file.path: file for file in self.files}
        stamps = {path: _stamp(path) for path in found(self.paths)}
        if stamps == {path: file.stamp for path, file in known.items()}:
            return self
        files: list[ScenarioFile] = []
        for path, stamp in stamps.items():
            old = known.get(path, ScenarioFile(path, (0, 0)))
            taken = {rule.id for file in files for rule in file.rules}
            files.append(_reread(old, stamp, book, taken))
        return Shelf(self.paths, tuple(files))


def found(paths: Iterable[Path]) -> list[Path]:
    """The files meant: those named, and those in named folders by name."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(child for child in path.iterdir() if child.suffix in SUFFIXES) if path.is_dir() else [path]
        files += [file for file in inside if file not in files]
    return files


def read(path: Path, book: Rulebook, taken: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules of one file. Raises ScenarioError `file.yaml:12: …; did you mean …`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    root, document = _parsed(text, path.name)
    if found := book.findings(document):
        first = min(found, key=lambda finding: _line(root, finding.path))
        raise ScenarioError(f"{path.name}:{_line(root, first.path)}: {first.message}")
    sources = [f"{path.name}:{_line(root, ('rules', position))}" for position in range(len(document["rules"]))]
    return book.compile(document, taken, sources)


def _reread(old: ScenarioFile, stamp: Stamp, book: Rulebook, taken: set[str]) -> ScenarioFile:
    try:
        return ScenarioFile(old.path, stamp, read(old.path, book, taken))
    except ScenarioError as error:
        kept = book.compile({"rules": [rule.raw for rule in old.rules]}, taken, [rule.source for rule in old.rules])
        return ScenarioFile(old.path, stamp, kept, str(error))


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return (0, -1)
    return (stat.st_mtime_ns, stat.st_size)


def _parsed(text: str, name: str) -> tuple[yaml.Node, Json]:
    """The YAML tree, for its lines, and the value it spells, as JSON has it."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        document = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{name}:{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{name}:1: not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise ScenarioError(f"{name}:1: the file is empty; it should begin with `rules:`")
    if twice := _twice(root, set()):
        raise ScenarioError(f"{name}:{twice.start_mark.line + 1}: '{twice.value}' occurs twice")
    try:
        return root, orjson.loads(orjson.dumps(document))
    except (TypeError, RecursionError) as error:
        raise ScenarioError(f"{name}:1: not what JSON can spell: {error}") from None


def _twice(node: yaml.Node, seen: set[int]) -> yaml.ScalarNode | None:
    """The second of two equal keys somewhere below, which YAML forbids and its readers take silently."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return None
    seen.add(id(node))
    keys: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]:
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys:
                return key
            keys.add(key.value)
        if below := _twice(value, seen):
            return below
    return None


def _line(node: yaml.Node, path: tuple[str | int, ...]) -> int:
    """The line of the value at a path, or of its key where it has one; else of what is nearest above."""
    line: int = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
