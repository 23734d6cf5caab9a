"""Figures for Prometheus: calls, times, tokens, cost, refusals, faults and processes, over all workers of a machine.

Labels are names that the contract, the catalogue of models and the catalogue of faults know: no name, key or text of a
client is one. Imported only with `--metrics`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aione_mock.errors import ConfigError
from aione_mock.server import rate_limits
from aione_mock.server.observers import Delivery
from aione_mock.server.shared_metrics import FOLDER
from aione_mock.settings import VERSION, read_variable
from aione_mock.types import Usage

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
    from prometheus_client.registry import Collector
except ImportError:
    raise ConfigError("--metrics needs prometheus-client: pip install 'aione-mock[metrics]'") from None

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange

OTHER, UNKNOWN, NONE = "other", "unknown", ""
"""Labels of a model that the catalogue does not have, of an unknown path, and of what does not apply."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TRIP_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_PREFIX = "aione_mock"
_COST = f"{_PREFIX}_cost_rmb"
_TICKS_PER_RMB = 10_000
_LIVE_FILE = "gauge_livesum_*.db"
"""A file that each process which shares its metrics has, with its number at the end of the name."""


class Metrics:
    """The figures of one process. What several processes share is added up when it is read."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        calls = ("operation", "model")
        self._calls = self._add_counter("calls", "Calls that were answered.", (*calls, "status", "error"))
        self._durations = self._add_histogram(
            "call_duration_seconds", "From the arrival of a call to the end of its answer.", calls
        )
        self._first_tokens = self._add_histogram(
            "time_to_first_token_seconds", "From the arrival of a call to the first event of its stream.", calls
        )
        self._tokens = self._add_counter("tokens", "Tokens of answered calls; each is of one kind.", ("model", "kind"))
        self._ticks = self._add_counter("cost_rmb", "Cost of calls on the ledger, in RMB.", ("model",))
        self._refusals = self._add_counter("limits_refused", "Calls that a limit refused.", ("limit",))
        self._rules = self._add_counter("rules_applied", "Calls to which a rule or a header was applied.", ("source",))
        self._faults = self._add_counter("faults_played", "What rules and headers made of answers.", ("fault",))
        cut = "Answers that were not sent to their end: the client left, or the server ended."
        self._unfinished = self._add_counter("unfinished_answers", cut, ())
        self._open_streams = Gauge(
            f"{_PREFIX}_open_streams",
            "Streams that are being sent.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._store_trips = self._add_histogram(
            "store_round_trip_seconds", "Round trips to the store.", (), _TRIP_SECONDS
        )
        self._store_failures = self._add_counter("store_failures", "Round trips to the store that failed.", ())
        # finding a labelled figure by its labels takes longer than counting
        self._find_call, self._find_duration = cache(self._calls.labels), cache(self._durations.labels)
        self._find_tokens, self._find_ticks = cache(self._tokens.labels), cache(self._ticks.labels)

    def _add_counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _add_histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels, registry=self._registry, buckets=buckets)

    def start_answer(self, exchange: Exchange) -> None:
        """Count a stream as open."""
        if exchange.stream:
            self._open_streams.inc()

    def finish_call(self, exchange: Exchange, delivery: Delivery) -> None:
        """Count a call whose answer has ended."""
        operation, model = exchange.operation_id or UNKNOWN, _name_model(exchange)
        status = str(delivery.response.status)
        self._find_call(operation, model, status, exchange.error or NONE).inc()
        self._find_duration(operation, model).observe(max(0.0, delivery.ended - delivery.started))
        if exchange.stream:
            self._open_streams.dec()
            if delivery.first is not None:
                self._first_tokens.labels(operation, model).observe(max(0.0, delivery.first - delivery.started))
        if not delivery.sent:
            self._unfinished.inc()
        # an answer that the store could not book was not sent
        if exchange.error is None and exchange.usage is not None:
            self._count_tokens(model, exchange.usage)
        if exchange.error is None and exchange.ticks:
            self._find_ticks(model).inc(exchange.ticks)
        if exchange.limit is not None:
            self._refusals.labels(_name_limit(exchange)).inc()
        if exchange.rule is not None:
            self._count_rule(exchange)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def _count_tokens(self, model: str, usage: Usage) -> None:
        for kind, count in _split_usage(usage):
            if count:
                self._find_tokens(model, kind).inc(count)

    def _count_rule(self, exchange: Exchange) -> None:
        self._rules.labels("header" if exchange.rule == "header" else "rule").inc()
        for fault in (exchange.scenario_label or "").split("+"):
            self._faults.labels(fault).inc()

    def observe_store_trip(self, seconds: float, failed: bool) -> None:
        """Count a round trip to the store."""
        self._store_trips.observe(seconds)
        if failed:
            self._store_failures.inc()

    def render(self, sessions: int | None) -> bytes:
        """Return all figures in Prometheus' text format; `sessions` is the number of those held now, if it is known."""
        folder = read_variable(FOLDER)
        registry = CollectorRegistry()
        # first, as it drops what processes that have ended held open
        registry.register(_Processes([os.getpid()] if folder is None else _list_processes(Path(folder))))
        registry.register(_Figures(self._registry if folder is None else _read_shared(Path(folder))))
        registry.register(_Facts(sessions))
        return generate_latest(registry)


def open_metrics() -> Metrics:
    """Return the metrics of this process. Raises ConfigError where the folder of shared ones does not exist."""
    folder = read_variable(FOLDER)
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"{FOLDER}: there is no folder '{folder}'; create it, or unset the variable")
    return Metrics()


def _name_model(exchange: Exchange) -> str:
    """Return the id of the model that a call names, if the catalogue has it."""
    name = exchange.model or (exchange.read_model() if exchange.refusal is not None else None)
    if name is None:
        return NONE
    model = exchange.session.catalogue.names.get(name)
    return OTHER if model is None else model.id


def _name_limit(exchange: Exchange) -> str:
    if exchange.error == rate_limits.CONCURRENCY_EXCEEDED:
        return "concurrency"
    if exchange.error != rate_limits.RATE_EXCEEDED or exchange.limits is None:
        return "balance"
    return "tokens" if exchange.limits.count_left(rate_limits.REQUESTS) else "requests"


def _split_usage(usage: Usage) -> Iterable[tuple[str, int]]:
    """Return kinds of tokens and how many of each there are; every token is of one kind."""
    return (
        ("input", usage.prompt - usage.cached - usage.cache_write),
        ("cache_read", usage.cached),
        ("cache_write", usage.cache_write),
        ("output", usage.completion - usage.reasoning),
        ("reasoning", usage.reasoning),
    )


class _Figures(Collector):
    """Figures as they are published: no time of their first use, and cost in RMB, which is counted in whole ticks."""

    def __init__(self, source: CollectorRegistry) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            scale = _TICKS_PER_RMB if family.name == _COST else 1
            family.samples = [
                sample._replace(value=sample.value / scale)
                for sample in family.samples
                if not sample.name.endswith("_created")
            ]
            yield family


class _Processes(Collector):
    """Memory and CPU time of each process that serves."""

    def __init__(self, processes: Iterable[int]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process in self._processes:
            collector = ProcessCollector(_PREFIX, pid=lambda number=process: number, registry=None)  # type: ignore[misc]
            for family in collector.collect():
                samples = [each._replace(labels={"pid": str(process)}) for each in family.samples]
                known = families.setdefault(family.name, family)
                known.samples = [*([] if known is family else known.samples), *samples]
        yield from families.values()


class _Facts(Collector):
    """What is read when it is asked for."""

    def __init__(self, sessions: int | None) -> None:
        self._sessions = sessions

    def collect(self) -> Iterator[Metric]:
        if self._sessions is not None:
            yield GaugeMetricFamily(f"{_PREFIX}_sessions", "Sessions that are held.", self._sessions)
        version = GaugeMetricFamily(f"{_PREFIX}_build_info", "The version that serves.", labels=("version",))
        version.add_metric((VERSION,), 1)
        yield version


def _read_shared(folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


def _list_processes(folder: Path) -> list[int]:
    """Return the processes that share their metrics. What those that have ended held open is dropped."""
    numbers = sorted(int(file.stem.rpartition("_")[2]) for file in folder.glob(_LIVE_FILE))
    for number in numbers:
        if not _is_running(number):
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]
    return [number for number in numbers if _is_running(number)]


def _is_running(process: int) -> bool:
    with contextlib.suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
