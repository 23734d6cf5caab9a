"""Spans for OpenTelemetry, one for each call, by its semantic conventions for HTTP and generative AI.

The exporter, the sampler, the resource and the propagators are chosen by OpenTelemetry's own environment variables.
Imported only with `--otel`.
"""

from __future__ import annotations

import logging
import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from aione_mock.errors import ConfigError
from aione_mock.server import span_attributes, span_content
from aione_mock.settings import VERSION, read_variable

try:
    from opentelemetry import propagate
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    from opentelemetry.trace import SpanKind, StatusCode
except ImportError:
    raise ConfigError("--otel needs OpenTelemetry: pip install 'aione-mock[otel]'") from None
except ValueError as error:  # OTEL_PROPAGATORS names one that is not installed
    raise ConfigError(f"--otel: {error}") from None

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange
    from aione_mock.server.observers import Delivery

_GROUP = "opentelemetry_traces_exporter"
"""Entry points under which packages offer exporters."""
_NAMES = {"otlp": "otlp_proto_http"}
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = ("true", "1", "span_only", "span_and_event")
_FLUSH_SECONDS = 1.0
"""Seconds that the last spans have at the end."""
_SERVICE = "aione-mock"


class Tracing:
    """Make a span of each call when it has ended."""

    def __init__(self, exporter: SpanExporter | None, scheme: str, *, with_content: bool) -> None:
        """`with_content`: whether spans hold what was asked and answered."""
        self._scheme, self._with_content = scheme, with_content
        self._provider = TracerProvider(resource=_describe_service())
        if exporter is not None:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("aione_mock", VERSION)

    def start_answer(self, exchange: Exchange) -> None:
        """Do nothing: a span is made of a call that has ended."""

    def finish_call(self, exchange: Exchange, delivery: Delivery) -> None:
        """Make the span of a call, as a child of the span that its `traceparent` names."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.request.headers}
        mask = exchange.mask.mask_text
        span = self._tracer.start_span(
            span_attributes.name_span(exchange),
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes=span_attributes.describe_request(exchange, self._scheme, mask),
            start_time=_to_nanoseconds(delivery.started),
        )
        if span.is_recording():
            span.set_attributes(span_attributes.describe_answer(exchange, delivery, mask))
            if self._with_content:
                span.set_attributes(span_content.describe_content(exchange, delivery.response, mask))
            if span_attributes.is_failure(exchange, delivery):
                span.set_status(StatusCode.ERROR)
        span.end(_to_nanoseconds(delivery.ended))

    def flush(self) -> None:
        """Export the spans that wait, as far as that is possible in time."""
        # the exporter takes as long as its own time-out where nobody listens
        thread = threading.Thread(target=self._provider.force_flush, daemon=True)
        thread.start()
        thread.join(_FLUSH_SECONDS)


def open_tracing(scheme: str) -> Tracing:
    """Return what makes spans, by the environment. Raises ConfigError for an exporter that is not installed."""
    _quieten_exporters()
    captures = (read_variable(_CAPTURE) or "").lower() in _CAPTURING
    return Tracing(_create_exporter(), scheme, with_content=captures)


def _create_exporter() -> SpanExporter | None:
    wanted = read_variable("OTEL_TRACES_EXPORTER") or "otlp"
    if wanted == "none":
        return None
    _refuse_grpc(wanted)
    found = entry_points(group=_GROUP, name=_NAMES.get(wanted, wanted))
    if not found:
        raise ConfigError(f"OTEL_TRACES_EXPORTER: no exporter '{wanted}' is installed; use otlp, console or none")
    try:
        exporter: SpanExporter = next(iter(found)).load()()
    except (ImportError, ValueError, OSError) as error:
        raise ConfigError(f"OTEL_TRACES_EXPORTER: '{wanted}' cannot be used: {error}") from None
    return exporter


def _refuse_grpc(exporter: str) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = read_variable(name)
        if exporter == "otlp" and protocol is not None:
            if protocol != "http/protobuf":
                raise ConfigError(f"{name}: '{protocol}' is not supported; use http/protobuf, usually on port 4318")
            return


def _describe_service() -> Resource:
    named = read_variable("OTEL_SERVICE_NAME") or "service.name=" in (read_variable("OTEL_RESOURCE_ATTRIBUTES") or "")
    return Resource.create({"service.version": VERSION} | ({} if named else {"service.name": _SERVICE}))


def _to_nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


class _OneLine(logging.Filter):
    """Keep messages of the exporter to a line: while nobody listens, one comes every few seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the traceback; keep all records."""
        if super().filter(record):
            record.exc_info = record.exc_text = None
        return True


def _quieten_exporters() -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(_OneLine("opentelemetry"))
