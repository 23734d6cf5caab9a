"""Spans for OpenTelemetry, received as OTLP from a server of its own process."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from tests.redis_server import running_redis
from tests.test_cli import Running, run_server
from tests.timing import PATIENCE, at_best, make_untraced_environment, wait_until

KEY = "sk-nex-demo-every-model"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 40, "messages": [{"role": "user", "content": "Hello"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], "generationConfig": {"topK": 3}}
GEMINI_PATH = "/v1beta/models/gemini-2.5-flash"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Collector:
    """An OTLP receiver on a socket of its own."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    raw = gzip.decompress(raw)
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                collector.receive(ExportTraceServiceRequest.FromString(raw))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def receive(self, request: ExportTraceServiceRequest) -> None:
        for group in request.resource_spans:
            self.resources.append(read_attributes(group.resource.attributes))
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def wait(self, count: int) -> list[Span]:
        """Return the spans when there are so many, in the order in which the calls began."""
        assert wait_until(lambda: len(self.spans) >= count, 20), self.spans
        assert len(self.spans) == count
        return sorted(self.spans, key=lambda span: span.start_time_unix_nano)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def read_attributes(attributes: Any) -> dict[str, Any]:
    return {each.key: read_value(each.value) for each in attributes}


def read_value(value: Any) -> Any:
    if value.WhichOneof("value") == "array_value":
        return [read_value(each) for each in value.array_value.values]
    return getattr(value, value.WhichOneof("value"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@contextmanager
def run_traced_server(collector: Collector, *options: str, **variables: str) -> Iterator[Running]:
    """Yield a server that exports its spans to a collector at once."""
    plain = {name: value for name, value in make_untraced_environment().items() if not name.startswith("OTEL_")}
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
    with run_server("--otel", *options, env=plain | variables) as running:
        yield running


def ask(url: str, path: str, body: Any, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx2.post(url + path, json=body, headers=given, timeout=PATIENCE)


def test_a_call_is_a_span_by_the_conventions(collector: Collector) -> None:
    parent = f"00-{TRACE}-{PARENT}-01"
    with run_traced_server(collector) as running:
        body = CHAT | {"temperature": 0, "max_tokens": 20, "n": 2}
        answer = ask(running.url, "/v1/chat/completions", body, traceparent=parent, user_agent="support-bot/1").json()
        (span,) = collector.wait(1)
        host, _, port = running.url.removeprefix("http://").partition(":")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind) == ("chat gpt-5.4", Span.SPAN_KIND_SERVER)
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    attributes = read_attributes(span.attributes)
    assert attributes.pop("aione_mock.request_id").startswith("req_")
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "server.address": host,
        "server.port": int(port),
        "user_agent.original": "support-bot/1",
        "aione_mock.session": "default",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.4",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.model": answer["model"],
        "gen_ai.response.id": answer["id"],
        "gen_ai.response.finish_reasons": [choice["finish_reason"] for choice in answer["choices"]],
        "gen_ai.usage.input_tokens": answer["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": answer["usage"]["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
    }
    resource = collector.resources[0]
    assert resource["service.name"] == "aione-mock"
    assert "service.version" in resource


CALLS = [
    ("/v1/chat/completions", CHAT, "chat", "openai", ["stop"]),
    ("/v1/chat/completions", CHAT | {"stream": True, "n": 3}, "chat", "openai", ["stop"] * 3),
    ("/v1/messages", MESSAGE, "chat", "anthropic", ["end_turn"]),
    ("/v1/messages", MESSAGE | {"stream": True}, "chat", "anthropic", ["end_turn"]),
    (f"{GEMINI_PATH}:generateContent", GEMINI, "generate_content", "gcp.gemini", ["STOP"]),
    (f"{GEMINI_PATH}:streamGenerateContent?alt=sse", GEMINI, "generate_content", "gcp.gemini", ["STOP"]),
    ("/v1/responses", {"model": "gpt-5.4", "input": "Hello"}, "chat", "openai", ["completed"]),
    ("/v1/responses", {"model": "gpt-5.4", "input": "Hello", "stream": True}, "chat", "openai", ["completed"]),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}, "embeddings", "openai", None),
]


def test_every_protocol_says_the_same(collector: Collector) -> None:
    variables = {CAPTURE: "true"}
    with run_traced_server(collector, "--with", "embeddings,responses", **variables) as running:
        for path, body, *_ in CALLS:
            assert ask(running.url, path, body).status_code == 200, path
        spans = collector.wait(len(CALLS))
    for (path, body, operation, provider, finish), span in zip(CALLS, spans, strict=True):
        found = read_attributes(span.attributes)
        assert found["gen_ai.operation.name"] == operation, path
        assert found["gen_ai.provider.name"] == provider, path
        assert found.get("gen_ai.response.finish_reasons") == finish, path
        assert span.name == f"{operation} {found['gen_ai.response.model']}"
        assert found["gen_ai.usage.input_tokens"] > 0, path
        assert found.get("gen_ai.request.stream", False) == ("stream" in path or "stream" in body), path
        if finish is not None:
            asked, answered = (json.loads(found[f"gen_ai.{side}.messages"]) for side in ("input", "output"))
            assert asked == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}], path
            assert found["gen_ai.response.id"], path
            assert [message["finish_reason"] for message in answered] == finish, path
            assert all(message["parts"][0]["content"] for message in answered), path


def test_tools_and_instructions_are_messages_too(collector: Collector) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": f"My key is {KEY}, and the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
    ]
    body = {"model": "gpt-5.4", "tools": [tool], "tool_choice": "required", "messages": messages}
    with run_traced_server(collector, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="span_only") as running:
        ask(running.url, "/v1/chat/completions", body)
        (span,) = collector.wait(1)
    found = read_attributes(span.attributes)
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief"}]
    user, assistant, result = json.loads(found["gen_ai.input.messages"])
    assert user["parts"][0]["content"] == "My key is sk-nex-***, and the weather?"
    assert assistant["parts"] == [
        {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Rome"}}
    ]
    assert result["parts"] == [{"type": "tool_call_response", "id": "call_1", "result": "Sunny"}]
    (answered,) = json.loads(found["gen_ai.output.messages"])
    assert answered["parts"][-1]["type"] == "tool_call"
    assert KEY not in str(span)


def test_without_the_variable_no_text_leaves(collector: Collector) -> None:
    texts = {"content": "a very particular question"}
    with run_traced_server(collector) as running:
        ask(running.url, "/v1/chat/completions", CHAT | {"messages": [{"role": "user", **texts}]})
        ask(running.url, f"/v1/models/{KEY}", {}, authorization="Bearer sk-wrong-and-secret")
        ask(running.url, "/v1/chat/completions", CHAT | {"model": KEY})
        spans = collector.wait(3)
    for secret in ("particular", KEY, "sk-wrong-and-secret"):
        assert secret not in str(spans)


def test_errors_and_faults_have_a_type(collector: Collector) -> None:
    scenarios = ("rate_limit_exceeded", "internal_error", "cut; after=1", "reset")
    with run_traced_server(collector) as running:
        for scenario in scenarios:
            try:
                ask(running.url, "/v1/chat/completions", CHAT | {"stream": True}, x_mock_scenario=scenario)
            except httpx2.HTTPError:
                assert scenario.startswith(("cut", "reset"))
        ask(running.url, "/v1/chat/completions", CHAT | {"model": "no-such-model"})
        httpx2.get(f"{running.url}/nowhere")
        spans = collector.wait(6)
    found = [read_attributes(span.attributes) for span in spans]
    assert [each["error.type"] for each in found] == [
        "rate_limit_exceeded",
        "internal_error",
        "connection_cut",
        "connection_reset",
        "model_not_found",
        "not_found",
    ]
    failed = [span.status.code == Status.STATUS_CODE_ERROR for span in spans]
    assert failed == [False, True, True, True, False, False]
    assert [each.get("aione_mock.scenario") for each in found] == [*scenarios[:2], "cut", "reset", None, None]
    assert [span.name for span in spans[-2:]] == ["chat", "GET"]
    assert "http.response.status_code" not in found[3]


@at_best
def test_a_span_lasts_as_long_as_the_answer() -> None:
    collector = Collector()
    with run_traced_server(collector) as running:
        ask(running.url, "/v1/chat/completions", CHAT | {"stream": True}, x_mock_scenario="pace; ttft=0.3; tps=50")
        (span,) = collector.wait(1)
    collector.close()
    first = read_attributes(span.attributes)["gen_ai.response.time_to_first_chunk"]
    assert 0.3 <= first < 0.4
    assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 > first + 0.1


def test_the_environment_chooses_name_sampler_and_exporter(collector: Collector) -> None:
    with run_traced_server(
        collector, OTEL_SERVICE_NAME="gateway", OTEL_TRACES_SAMPLER="parentbased_always_off"
    ) as running:
        ask(running.url, "/v1/chat/completions", CHAT)
        ask(running.url, "/v1/chat/completions", CHAT, traceparent=f"00-{TRACE}-{PARENT}-01")
        (span,) = collector.wait(1)
    assert span.trace_id.hex() == TRACE
    assert collector.resources[0]["service.name"] == "gateway"
    with run_traced_server(collector, OTEL_TRACES_EXPORTER="none") as running:
        assert ask(running.url, "/v1/chat/completions", CHAT).status_code == 200


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "no exporter 'zipkin' is installed; use otlp, console or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "'grpc' is not supported; use http/protobuf, usually on port 4318"),
    ],
)
def test_what_is_not_installed_is_refused(
    variable: str, value: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert refuse(capsys) == f"aione-mock: {variable}: {says}"


def refuse(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["serve", "--port", "0", "--otel"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


def test_without_the_package_it_is_said_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "aione_mock.server.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert refuse(capsys) == "aione-mock: --otel needs OpenTelemetry: pip install 'aione-mock[otel]'"


def test_a_collector_that_is_away_stops_nothing(collector: Collector) -> None:
    collector.close()
    variables = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with run_traced_server(collector, **variables) as running:
        for _ in range(3):
            assert ask(running.url, "/v1/chat/completions", CHAT).status_code == 200
        code, seconds, log = running.end(signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert seconds < 10
    assert "Traceback" not in log


def test_the_last_spans_are_exported_at_the_end(collector: Collector) -> None:
    with run_traced_server(collector, OTEL_BSP_SCHEDULE_DELAY="60000") as running:
        ask(running.url, "/v1/chat/completions", CHAT)
        assert collector.spans == []
        running.end(signal.SIGTERM)
        assert len(collector.spans) == 1


def test_each_worker_exports_its_spans(collector: Collector) -> None:
    with running_redis() as store, run_traced_server(collector, "--workers", "2", "--store", store) as running:
        for _ in range(20):
            assert ask(running.url, "/v1/chat/completions", CHAT).status_code == 200
        spans = collector.wait(20)
        running.end(signal.SIGTERM)
    identities = {read_attributes(span.attributes)["aione_mock.request_id"] for span in spans}
    assert len(identities) == 20
    assert 1 <= len({resource["service.instance.id"] for resource in collector.resources}) <= 2


def test_hostile_requests_lose_no_span(collector: Collector) -> None:
    with run_traced_server(collector, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true") as running:
        bodies: tuple[Any, ...] = (
            CHAT | {"seed": 2**63, "max_tokens": 2**64 - 1, "temperature": True},
            CHAT | {"messages": [{"role": "user", "content": "\u0000\ud7ff" * 40_000}]},
            [[]] * 100,
            {"model": ["gpt"] * 3, "messages": "x"},
        )
        for body in bodies:
            ask(running.url, "/v1/chat/completions", body, host="[::1]:99999999999", traceparent="00-zz", baggage="=;=")
        ask(running.url, "/v1/chat/completions", CHAT)
        rule = {"when": {"text": "many"}, "then": {"reply": {"text": "x", "usage": {"prompt": 2**63}}}}
        assert httpx2.post(f"{running.url}/_mock/rules", json=rule).is_success
        many = ask(running.url, "/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": "many"}]})
        assert many.json()["usage"]["prompt_tokens"] == 2**63
        names = [span.name for span in collector.wait(len(bodies) + 2)]
    assert names[-2:] == ["chat gpt-5.4"] * 2


def test_off_nothing_is_imported() -> None:
    code = "import sys; from aione_mock import create_app; create_app(); print('opentelemetry' in sys.modules)"
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "False\n"


def test_a_served_application_may_be_served_again(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    app = create_app(otel=True)
    for count in (1, 2):
        with Server(app) as server:
            ask(server.url, "/v1/chat/completions", CHAT)
        assert len(collector.spans) == count
