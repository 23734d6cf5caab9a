"""Measure how many small faults in the code the tests notice. Mutates a sample of lines, one at a time.

python scripts/mutation_sample.py RESULTS.jsonl [--count 200] [--seed 1] [--tests 40] [--seconds 30] [--again]

Works in a copy of the checkout and never changes the checkout itself. For each mutant it runs only tests that
execute the mutated line. Which tests these are is found out by one run of the suite with coverage, which takes
longer than anything else; its result lies beside RESULTS.jsonl and is used again. Results are appended as they come,
so an interrupted run goes on where it stopped. `--again` runs the survivors once more, with more `--tests` and
`--seconds`. Needs Linux.

The mutations are those of cosmic-ray, and the removal of a statement. Mutations of annotations, of decorators that
only cache, and of a comparison into `is` are left out, as nothing could notice them.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import hashlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import NoReturn

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from coverage import CoverageData

ROOT = Path(__file__).parents[1]
PACKAGE = "aione_mock"
AREAS = {
    "request path": (
        "server/pipeline.py",
        "server/request.py",
        "server/render.py",
        "server/streaming.py",
        "server/http.py",
        "server/http_protocol.py",
        "server/journal.py",
        "protocols/errors.py",
    ),
    "access and limits": (
        "server/auth.py",
        "server/rate_limits.py",
        "server/state.py",
        "server/sessions.py",
        "store/memory.py",
    ),
    "ledger": (
        "server/metering.py",
        "tenant/ledger.py",
        "tenant/billing.py",
        "tenant/api_keys.py",
        "tenant/catalogue.py",
    ),
    "protocols": ("protocols/*.py",),
    "scenarios": ("scenarios/*.py", "server/scenario_engine.py", "server/match_context.py"),
}
"""Globs of the files that are sampled, relative to the package. Each area gives the same number of mutants."""
SKIPPED_TESTS = (
    "tests/browser/*", "tests/checker/*", "tests/store/*", "tests/test_benchmarks.py", "tests/test_deploy.py",
    "tests/test_docs.py", "tests/test_image.py", "tests/test_packaging.py", "tests/test_tutorials.py",
)  # fmt: skip
"""Tests that are not run: they take minutes, or run the package in other processes."""
SKIPPED_OPERATORS = ("*/NoOp*", "*/Variable*", "*Operator_[!I]*_Is", "*Operator_[!I]*_IsNot")
TIMING = ("cost(", "duration(", "at_best")
"""A test that mentions one of these measures time, and a busy machine may fail it."""
UNUSED_PLUGINS = ("schemathesis", "faker", "langsmith_plugin", "xdist")
"""Plugins of pytest that take as long to load as many tests take."""
CACHING = {"lru_cache", "cache", "overload", "wraps", "contextmanager"}
PRELOADED = (
    "anthropic", "google.genai", "httpx2", "hypothesis.strategies", "jsonschema_rs", "langchain_anthropic",
    "langchain_google_genai", "langchain_openai", "openai", "PIL.Image", "pytest_asyncio.plugin", "rich.console",
    "starlette.applications", "typer.testing", "uvicorn", "yaml",
)  # fmt: skip
"""Libraries of the tests, which take longer to load than most tests take to run."""
PLUGIN = """
import json, os
import coverage, pytest

SECONDS = {}

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    coverage.Coverage.current().switch_context(item.nodeid)
    yield
    coverage.Coverage.current().switch_context("")

def pytest_runtest_logreport(report):
    SECONDS[report.nodeid] = SECONDS.get(report.nodeid, 0.0) + report.duration
    if report.failed:
        SECONDS[report.nodeid] = float("inf")

def pytest_sessionfinish(session):
    with open(os.environ["SECONDS_FILE"], "w") as file:
        json.dump(SECONDS, file)
"""
"""A pytest plugin that tells coverage which test runs, and writes down how long each took; failed ones forever."""
SURVIVED = ("survived", "unused")
IDLE = 60.0
"""Seconds after which a run that does nothing is taken to hang."""
Span = tuple[tuple[int, int], tuple[int, int]]
"""First and last (line, column), lines from 1."""


@dataclass(frozen=True)
class Mutant:
    """One small fault."""

    area: str
    path: str
    operator: str
    occurrence: int
    span: Span

    @property
    def id(self) -> str:
        """Return a name that stays the same in every run."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def apply(self, source: str) -> str:
        """Return the source with the fault."""
        if self.operator == "RemoveStatement":
            return _replace_span(source, self.span, "pass")
        mutated: str = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        return mutated


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    id: str
    area: str
    path: str
    line: int
    operator: str
    outcome: str
    """`killed`, `timeout`, `survived`, or `unused` where no test executes the line."""
    killer: str
    tests: int
    seconds: float
    diff: str


def main() -> int:
    """Run the sample and print the kill rate and the survivors."""
    options = _parse_options()
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder, "tree")
        ignored = shutil.ignore_patterns(".venv", ".git", ".*_cache", "dist", ".coverage*")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
        tests = Tests.collect(tree, options.results)
        sample = _draw_sample(tree / PACKAGE, options.count, options.seed)
        earlier = _read_results(options.results)
        for number, mutant in enumerate(sample, start=1):
            known = earlier.get(mutant.id)
            if known and not (options.again and known.outcome in SURVIVED):
                continue
            result = _try_mutant(tree, mutant, tests.list_executing(mutant, options.seconds, options.tests), tests)
            earlier[mutant.id] = result
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
            place = f"{result.path}:{result.line} {result.operator}"
            print(f"{number} of {len(sample)}  {result.outcome:8}  {place}  {result.seconds:.0f} s", flush=True)
    results = [earlier[mutant.id] for mutant in sample]
    _print_report(results)
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="file of JSON lines, appended to")
    parser.add_argument("--count", type=int, default=200, help="mutants to sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", type=int, default=40, help="for each mutant, the fastest first")
    parser.add_argument("--seconds", type=float, default=30.0, help="that these tests may take together")
    parser.add_argument("--again", action="store_true", help="run the survivors of an earlier run once more")
    return parser.parse_args()


def _read_results(path: Path) -> dict[str, Result]:
    if not path.exists():
        return {}
    results = [Result(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return {result.id: result for result in results}


def _print_report(results: list[Result]) -> None:
    for area in dict.fromkeys(result.area for result in results):
        print(f"{area:18} {_format_rate([result for result in results if result.area == area])}")
    print(f"{'all':18} {_format_rate(results)}")
    for result in results:
        if result.outcome in SURVIVED:
            print(f"\n{result.path}:{result.line}  {result.operator}  {result.outcome}, {result.tests} tests")
            print(result.diff)


def _format_rate(results: list[Result]) -> str:
    killed = sum(result.outcome not in SURVIVED for result in results)
    return f"{killed} of {len(results)} killed, {100 * killed / len(results):.0f} %"


# Mutants


def _draw_sample(package: Path, count: int, seed: int) -> list[Mutant]:
    """Draw mutants: the same for the same seed and sources, each of another place in the code."""
    chance, drawn = random.Random(seed), list[Mutant]()
    for area, names in _list_sampled_files(package).items():
        places: dict[object, list[Mutant]] = defaultdict(list)
        for name in names:
            for mutant in _list_mutants(package / name, name, area):
                # `a + b` can be mutated in many ways, of which only one is tried
                family = mutant.operator.rpartition("/")[2].partition("_")[0]
                places[name, mutant.span, family].append(mutant)
        shuffled = chance.sample(list(places.values()), len(places))
        valid = (_draw_valid(package, mutants, chance) for mutants in shuffled)
        drawn += islice(filter(None, valid), count // len(AREAS))
    return drawn


def _draw_valid(package: Path, mutants: list[Mutant], chance: random.Random) -> Mutant | None:
    """Return one of the mutants that Python can compile, None if it can compile none."""
    for mutant in chance.sample(mutants, len(mutants)):
        with contextlib.suppress(SyntaxError), warnings.catch_warnings(action="ignore"):
            compile(mutant.apply((package / mutant.path).read_text("utf-8")), mutant.path, "exec")
            return mutant
    return None


def _list_sampled_files(package: Path) -> dict[str, list[str]]:
    """Return the names of the files of each area; a file that fits two areas belongs to the first."""
    taken, areas = set[str](), dict[str, list[str]]()
    for area, globs in AREAS.items():
        areas[area] = []
        for glob in globs:
            names = sorted(path.relative_to(package).as_posix() for path in package.glob(glob))
            if not names:
                raise SystemExit(f"{PACKAGE}/{glob} fits no file: update AREAS in {Path(__file__).name}")
            areas[area] += [name for name in names if name not in taken]
            taken.update(names)
    return areas


def _list_mutants(file: Path, name: str, area: str) -> Iterator[Mutant]:
    source = file.read_text("utf-8")
    skipped = [*_list_skipped_spans(ast.parse(source))]
    for operator, occurrence, span in chain(_list_cosmic_ray_spans(source), _list_statement_spans(source)):
        is_marker = source.splitlines()[span[0][0] - 1][span[0][1] :].startswith(("*, ", "/, "))
        if not is_marker and not any(first <= span[0] and span[1] <= last for first, last in skipped):
            yield Mutant(area, name, operator, occurrence, span)


def _list_cosmic_ray_spans(source: str) -> Iterator[tuple[str, int, Span]]:
    nodes = [*ast_nodes(get_ast(source))]
    for name in operator_names():
        if any(fnmatch(name, pattern) for pattern in SKIPPED_OPERATORS):
            continue
        positions: Callable[..., Iterable[Span]] = get_operator(name)().mutation_positions
        spans = chain.from_iterable(positions(node) for node in nodes)
        yield from ((name, occurrence, span) for occurrence, span in enumerate(spans))


def _list_statement_spans(source: str) -> Iterator[tuple[str, int, Span]]:
    """Yield the statements that do something to something else: calls, and assignments to members and items."""
    for function in _list_nodes(ast.parse(source), ast.FunctionDef, ast.AsyncFunctionDef):
        for node in _list_nodes(function, ast.Expr, ast.Assign, ast.AugAssign, ast.Delete):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            is_call = isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await))
            if is_call or any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets):
                yield "RemoveStatement", 0, _read_span(node)


def _list_skipped_spans(tree: ast.AST) -> Iterator[Span]:
    for node in _list_nodes(tree, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
        if "Protocol" in [ast.unparse(base) for base in getattr(node, "bases", ())]:
            yield _read_span(node)
        for decorator in node.decorator_list:
            if CACHING & {found.id for found in _list_nodes(decorator, ast.Name)}:
                yield (decorator.lineno, 0), (decorator.end_lineno + 1, 0)
    for node in ast.walk(tree):
        for member in ("annotation", "returns"):
            if getattr(node, member, None) is not None:
                yield _read_span(getattr(node, member))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield _read_span(node)
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and re.fullmatch("[A-Z][a-z][A-Za-z]+", _read_assigned_name(node)):
            yield _read_span(node)  # a name for a type


def _list_nodes(tree: ast.AST, *kinds: type[ast.AST]) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def _read_span(node: ast.AST) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _replace_span(source: str, span: Span, text: str) -> str:
    lines = source.encode().splitlines(keepends=True)
    (first, start), (last, end) = span
    before, after = lines[first - 1][:start], lines[last - 1][end:]
    return b"".join([*lines[: first - 1], before, text.encode(), after, *lines[last:]]).decode()


# Tests


class Tests:
    """Knows which tests execute a line, and how long each takes."""

    def __init__(self, tree: Path, contexts: Path, seconds: dict[str, float]) -> None:
        self._tree = tree
        collected = _collect_tests(tree)
        self._seconds = {
            test: took for test, took in seconds.items() if test in collected and _is_wanted(tree, test, took)
        }
        self._data = CoverageData(str(contexts))
        self._data.read()
        self._files = {path[path.rindex(f"{PACKAGE}/") :]: path for path in self._data.measured_files()}

    @classmethod
    def collect(cls, tree: Path, results: Path) -> Tests:
        """Return the tests of a tree, after one run of them all unless that has been done before."""
        contexts, seconds = results.with_suffix(".contexts").absolute(), results.with_suffix(".tests.json").absolute()
        if not seconds.exists():
            print("running the suite once, to learn which tests execute which lines", flush=True)
            config = tree / "contexts.ini"
            lines = f"source_pkgs = {PACKAGE}", "concurrency = thread", "core = ctrace", f"data_file = {contexts}"
            config.write_text("\n".join(["[run]", *lines]), "utf-8")
            (tree / "contexts_plugin.py").write_text(PLUGIN, "utf-8")
            ignored = [f"--ignore-glob={pattern}" for pattern in SKIPPED_TESTS]
            command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", "-m", "pytest", "-q"]
            command += ["-m", "not slow", "-p", "contexts_plugin", "-p", "no:cacheprovider", *ignored]
            subprocess.run(command, cwd=tree, env=_make_environment(tree, SECONDS_FILE=str(seconds)), check=False)
        return cls(tree, contexts, json.loads(seconds.read_text("utf-8")))

    def list_executing(self, mutant: Mutant, seconds: float, most: int) -> list[str]:
        """Return tests that execute a mutant: those of its module's own file, then the fastest of every file."""
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in sorted(self._find_all(mutant), key=lambda test: (self._seconds[test], test)):
            by_file[test.partition("::")[0]].append(test)
        stem = Path(mutant.path).stem
        own = chain.from_iterable(tests[: most // 2] for file, tests in by_file.items() if stem in Path(file).stem)
        others = chain.from_iterable(zip_longest(*by_file.values()))
        chosen, total = list[str](), 0.0
        for test in dict.fromkeys(filter(None, chain(own, others))):
            total += self._seconds[test]
            if (total > seconds or len(chosen) == most) and chosen:
                break
            chosen.append(test)
        return sorted(chosen, key=self._seconds.__getitem__)

    def estimate(self, tests: Iterable[str]) -> float:
        """Return the seconds that tests took when they were traced."""
        return sum(self._seconds[test] for test in tests)

    def _find_all(self, mutant: Mutant) -> set[str]:
        tree = _parse(self._tree / PACKAGE / mutant.path)
        around = [node for node in ast.walk(tree) if hasattr(node, "lineno") and _contains_span(node, mutant.span)]
        functions = [node for node in around if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        statements = [node for node in around if isinstance(node, ast.stmt)]
        if not functions:
            found = self._find_using(_read_assigned_name(statements[-1])) if statements else set()
            return found or self._find_tests(mutant.path, range(1, len(ast.unparse(tree))))
        innermost, whole = statements[-1], functions[-1]
        if whole.body[0].lineno > mutant.span[0][0]:  # a default value
            return self._find_tests(mutant.path, range(whole.body[0].lineno, whole.end_lineno + 1))
        lines = range(mutant.span[0][0], mutant.span[1][0] + 1)
        if not hasattr(innermost, "body"):
            lines = range(innermost.lineno, innermost.end_lineno + 1)
        return self._find_tests(mutant.path, lines)

    def _find_using(self, name: str) -> set[str]:
        """Return the tests that execute a line with a name that is assigned at the top of a module or class."""
        found = set[str]()
        for file in (self._tree / PACKAGE).rglob("*.py"):
            nodes = _list_nodes(_parse(file), ast.Name, ast.Attribute)
            lines = {node.lineno for node in nodes if name in (getattr(node, "id", ""), getattr(node, "attr", ""))}
            found |= self._find_tests(file.relative_to(self._tree / PACKAGE).as_posix(), lines)
        return found

    def _find_tests(self, path: str, lines: Iterable[int]) -> set[str]:
        contexts = self._data.contexts_by_lineno(self._files.get(f"{PACKAGE}/{path}", ""))
        return {test for line in lines for test in contexts.get(line, ()) if test in self._seconds}


def _collect_tests(tree: Path) -> set[str]:
    """Return the tests that can be named: names that differ from run to run cannot."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=tree, env=_make_environment(tree), capture_output=True, text=True, check=False)
    return set(found.stdout.splitlines())


def _is_wanted(tree: Path, test: str, took: float) -> bool:
    """Return whether a test passed before anything was mutated, and does not measure time."""
    path, _, name = test.partition("::")
    if took == float("inf") or any(fnmatch(path, pattern) for pattern in SKIPPED_TESTS):
        return False
    return name.partition("[")[0].rpartition("::")[2] not in _list_timing_tests(tree / path)


@cache
def _list_timing_tests(file: Path) -> set[str]:
    source = file.read_text("utf-8")
    functions = _list_nodes(ast.parse(source), ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in functions if any(word in ast.unparse(node) for word in TIMING)}  # type: ignore[attr-defined]


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _contains_span(node: ast.AST, span: Span) -> bool:
    first, last = _read_span(node)
    for decorator in getattr(node, "decorator_list", ()):
        first = min(first, (decorator.lineno, 0))
    return first <= span[0] and span[1] <= last


def _read_assigned_name(statement: ast.stmt) -> str:
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return str(getattr(targets[0], "id", getattr(statement, "name", "")))


# Runs


def _try_mutant(tree: Path, mutant: Mutant, chosen: list[str], tests: Tests) -> Result:
    """Run the chosen tests with a mutant."""
    file, began = tree / PACKAGE / mutant.path, time.monotonic()
    source = file.read_text("utf-8")
    mutated = mutant.apply(source)
    outcome, killer = "unused", ""
    if chosen:
        try:
            _write_source(file, mutated)
            outcome, killer = _run_until_killed(tree, chosen, 20 + tests.estimate(chosen))
        finally:
            _write_source(file, source)
    diff = "\n".join([*difflib.unified_diff(source.splitlines(), mutated.splitlines(), lineterm="", n=1)][3:])
    took = round(time.monotonic() - began, 1)
    place = mutant.area, mutant.path, mutant.span[0][0], mutant.operator
    return Result(mutant.id, *place, outcome, killer, len(chosen), took, diff)


def _write_source(file: Path, source: str) -> None:
    file.write_text(source, "utf-8")
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


def _run_until_killed(tree: Path, tests: list[str], limit: float) -> tuple[str, str]:
    """Run tests until one fails; twice where it waits for something, as a busy machine may fail it once."""
    while tests:
        failed = _run_tests(tree, tests, limit)
        if failed in ("", "timeout"):
            return ("timeout", "") if failed else ("survived", "")
        waits = failed in tests and "tests.timing" in (tree / failed.partition("::")[0]).read_text("utf-8")
        if not waits or _run_tests(tree, [failed], limit):
            return "killed", failed
        tests = tests[tests.index(failed) + 1 :]
    return "survived", ""


def _run_tests(tree: Path, tests: list[str], limit: float) -> str:
    """Run tests; return the first that fails, `timeout`, `start` if none could run, or nothing."""
    chosen, output = tree / "chosen-tests", tree / "output"
    chosen.write_text("\n".join(tests), "utf-8")
    child = os.fork()
    if child == 0:
        _run_in_child(tree, limit, output, f"@{chosen}")
    code = _wait_for_exit(child)
    if code is None:
        return "timeout"
    if code == 0:
        return ""
    lines = output.read_text("utf-8", "replace").splitlines()
    failed = [line.partition(" ")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return next((test for line in failed for test in tests if line == test or line.startswith(f"{test} - ")), "start")


def _run_in_child(tree: Path, limit: float, output: Path, tests: str) -> NoReturn:
    """Run tests in a process that has all libraries loaded, and nothing of the package."""
    os.setsid()  # so that whatever a test starts can be ended with it
    os.chdir(tree)
    os.environ.update(_make_environment(tree))
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = False  # to rewrite the assertions of all tests takes longer than to run them
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    without = [word for name in ("cacheprovider", *UNUSED_PLUGINS) for word in ("-p", f"no:{name}")]
    code = pytest.main(["-x", "-q", "-rfE", "--tb=no", *without, tests])
    sys.stdout.flush()
    os._exit(int(code))


def _wait_for_exit(child: int) -> int | None:
    """Return the exit code of a process; None if it used up its seconds, or had to be ended as it did nothing.

    The clock alone proves nothing on a busy machine, so a process that gets on may take as long as it wants.
    """
    worked, since = 0.0, time.monotonic()
    while time.monotonic() < since + IDLE:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            _end_group(child)
            return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if (now := _read_cpu_seconds(child)) > worked + 0.5:
            worked, since = now, time.monotonic()
        time.sleep(0.05)
    _end_group(child)
    os.waitpid(child, 0)
    return None


def _read_cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _make_environment(tree: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "", **more}


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # names of tests made from sets must be the same in every process
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    raise SystemExit(main())
