"""Send many hostile requests, and watch answers and memory.

python -m benchmarks.soak mutations --requests 1000000    mutated requests of every operation; every answer is checked
python -m benchmarks.soak memory --requests 200000        what differs in every request; the server's memory is watched
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from aione_mock.contract import Contract, Operation
from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.text.sse import decode

KEY = "sk-nex-demo-every-model"
MEMORY_MB = 20
"""Megabytes by which memory may grow after the first tenth of the requests."""
_TIMEOUT = 60
_WORKERS = 2
_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**63, 10**30, "", " ", "x", "\x00", "é\U0001f600", "x" * 5000, "9" * 4400,
    [], {}, [[]], [{}], {"": None}, [None] * 50, {"a": {"b": {"c": []}}}, "../..", "%00", "2026-02-30", "NaN",
    "{{model}}", "$ref",
)  # fmt: skip
SoakRequest = tuple[str, bytes, list[tuple[str, bytes]], bytes]
"""Method, target, headers and body of a request."""


@dataclass
class Result:
    """What a soak has found."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    """Resident memory of the server, after each twentieth of the requests."""

    def find_growth(self) -> float:
        """Return the megabytes between a tenth of the requests and the end."""
        return self.megabytes[-1] - self.megabytes[1]


@dataclass(frozen=True)
class RunningServer:
    """A server in its own process, with its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


@contextlib.contextmanager
def run_server(*options: str) -> Iterator[RunningServer]:
    """Start a mock, and stop it at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", *options]
        with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            found = re.search(rb"http://[\d.]+:(\d+)", process.stdout.readline())
            assert found, log.read_text()
            yield RunningServer(process, int(found[1]), log)
            process.terminate()


class Connection:
    """Sends requests over one connection, and reads whole answers."""

    def __init__(self, port: int) -> None:
        self._port, self._socket, self._buffer = port, socket.socket(), b""
        self._connect()

    def _connect(self) -> None:
        self._socket.close()
        self._socket, self._buffer = socket.create_connection(("127.0.0.1", self._port), _TIMEOUT), b""

    def send(self, request: SoakRequest) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the answer. Raise OSError or ValueError if there is no whole one."""
        method, target, headers, body = request
        lines = [f"{method} ".encode(), target, b" HTTP/1.1\r\nhost: localhost\r\n"]
        lines += [name.encode() + b": " + value + b"\r\n" for name, value in headers]
        lines += [b"content-length: %d\r\n\r\n" % len(body), body]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an early refusal can still be read
            self._socket.sendall(b"".join(lines))
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        answer = self._read_chunks() if "chunked" in fields.get("transfer-encoding", "") else self._read_length(fields)
        if fields.get("connection") == "close":
            self._connect()
        return int(first.split()[1]), fields, answer

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ValueError("the connection was closed without a whole answer")
        self._buffer += data

    def _read_bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _read_length(self, fields: dict[str, str]) -> bytes:
        return self._read_bytes(int(fields.get("content-length", 0)))

    def _read_chunks(self) -> bytes:
        parts = []
        while True:
            while b"\r\n" not in self._buffer:
                self._receive()
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            parts.append(self._read_bytes(int(size, 16)))
            self._read_bytes(2)
            if not parts[-1]:
                return b"".join(parts)


# --- mutated requests


class Mutator:
    """Makes requests of all operations from the contract's examples, and changes them."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self._random = random.Random(seed)
        # a stream of the control API goes on until its client leaves
        self._operations = [
            each
            for each in contract.operations.values()
            if each.protocol != "control" or "event-stream" not in str(each.raw["responses"])
        ]
        self._secrets = [credential.secret.encode() for credential in list_credentials()]

    def make_request(self) -> SoakRequest:
        """Return a request: the example of an operation with none to four changes."""
        operation, pick = self._random.choice(self._operations), self._random
        session = b"control" if operation.protocol == "control" else b"s%d" % pick.randrange(20)
        secret = pick.choice(self._secrets) if pick.random() < 0.5 else KEY.encode()
        headers = [("authorization", b"Bearer " + secret), ("x-mock-session", session)]
        headers += (
            [("content-type", b"application/json")] if pick.random() < 0.95 else [("content-type", b"text/plain")]
        )
        method = operation.method if pick.random() < 0.97 else pick.choice(("GET", "POST", "PUT", "DELETE", "PATCH"))
        return method, self._make_target(operation), headers, self._make_body(operation)

    def _make_target(self, operation: Operation) -> bytes:
        def fill(match: re.Match[str]) -> str:
            usual = {"model": "gemini-2.5-flash", "name": "control", "number": "1"}.get(match[1], "x")
            return quote(usual if self._random.random() < 0.7 else str(self._random.choice(_STRANGE))[:200], safe="")

        path = re.sub(r"\{(\w+)\}", fill, operation.path)
        names = [parameter.name for parameter in operation.parameters if parameter.location == "query"]
        pairs = [
            f"{name}={quote(str(self._random.choice(_STRANGE))[:300])}" for name in names if self._random.random() < 0.2
        ]
        return f"{path}{'?' if pairs else ''}{'&'.join(pairs)}".encode()

    def _make_body(self, operation: Operation) -> bytes:
        content = operation.raw.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = [operation.resolve(example)["value"] for example in content.get("examples", {}).values()]
        if not examples:
            return b""
        value = copy.deepcopy(self._random.choice(examples))
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 4))):
            value = self._change_place(value)
        try:
            raw = orjson.dumps(value)
        except TypeError:  # a number beyond 64 bits
            raw = repr(value).replace("'", '"').replace("None", "null").replace("True", "true").encode()
        if self._random.random() < 0.05:
            at = self._random.randrange(len(raw) + 1)
            raw = self._random.choice((raw[:at], raw[:at] + b"\xff" + raw[at:], raw + raw[at:], b"[" * 3000 + raw))
        return raw

    def _change_place(self, value: Any) -> Any:
        """Return a value with one place changed."""
        if not isinstance(value, dict | list) or not value or self._random.random() < 0.15:
            return copy.deepcopy(self._random.choice(_STRANGE))
        place = self._random.choice(list(value)) if isinstance(value, dict) else self._random.randrange(len(value))
        kind = self._random.random()
        if kind < 0.1:
            del value[place]
        elif kind < 0.15 and isinstance(value, dict):
            value[str(self._random.choice(_STRANGE))[:100]] = self._random.choice(_STRANGE)
        elif kind < 0.2 and isinstance(value, list):
            value += value[:20]
        else:
            value[place] = self._change_place(value[place])
        return value


def find_problem(contract: Contract, request: SoakRequest, answer: tuple[int, dict[str, str], bytes]) -> str | None:
    """Return what is wrong with an answer: a 5xx, a status that is not declared, a body that violates its schema."""
    (method, target, _, _), (status, headers, body) = request, answer
    path = re.sub(r"^/_session/[^/]*", "", target.decode().partition("?")[0])
    operation = contract.match(path).operations.get(method)
    if status >= 500:
        return f"{status} {body[:200]!r}"
    if operation is None:
        orjson.loads(body)
        return None if status in (400, 404, 405) else f"{status} of no operation"
    if str(status) not in operation.responses and status != 405:
        return f"{operation.id} does not declare {status}: {body[:200]!r}"
    media_type = headers.get("content-type", "")
    validator = operation.get_response_validator(status, media_type)
    if validator is None:
        return f"{operation.id} {status}: undeclared body of type {media_type}" if body else None
    if "event-stream" in media_type:
        events = [{"data": event.data, **({"event": event.name} if event.name else {})} for event in decode([body])]
        wrong = next((event for event in events if not validator.is_valid(event)), None)
        return f"{operation.id} event {wrong}"[:400] if wrong else None
    value = orjson.loads(body) if media_type.endswith("json") else body.decode()
    error = next(iter(validator.iter_errors(value)), None)
    return f"{operation.id} {status}: {error.message[:300]}" if error else None


# --- requests of which each differs


def make_variety(number: int) -> SoakRequest:
    """Return a request with something in it that no other has: schemas, keys, headers, tools, sessions, turns."""
    headers = [("authorization", f"Bearer {KEY}".encode()), ("content-type", b"application/json")]
    body: dict[str, Any] = {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"Question {number}"}]}
    size = (100, 3000, 12_000, 40_000)[number // 8 % 4]
    word, kind = f"{number}-" + "x" * size, number % 8
    schema = {"type": "object", "properties": {f"p{number}": {"type": "string", "description": word}}}
    if kind == 0:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    elif kind == 1:
        body["tools"] = [
            {"type": "function", "function": {"name": f"t{number}", "description": word, "parameters": schema}}
        ]
        body["tool_choice"] = "required"
    elif kind == 2:
        headers[0] = ("authorization", f"Bearer sk-nex-{word}".encode())
    elif kind == 3:
        headers.append(("x-mock-scenario", f"rate_limit_exceeded; times={number + 1};{' ' * size}delay=0".encode()))
    elif kind == 4:
        headers.append(("x-mock-session", b"n%d" % number))
    elif kind == 5:
        headers = [("x-mock-session", b"k%d" % number), (f"x-{number}", word.encode())]
    elif kind == 6:
        body["messages"] = [{"role": "user", "content": f"{number} {turn} " + "word " * 300} for turn in range(20)]
    else:
        pattern = f"^[a-z]{{1,{number % 50 + 1}}}{number}$"
        schema = {"type": "object", "properties": {"p": {"type": "string", "pattern": pattern}}, "required": ["p"]}
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    return "POST", b"/v1/chat/completions", headers, orjson.dumps(body)


def explain_variety(answer: tuple[int, dict[str, str], bytes]) -> str | None:
    """Return what is wrong with the answer to one of them."""
    return None if answer[0] in (200, 401, 429) else f"{answer[0]} {answer[2][:200]!r}"


# --- runs


def run(kind: str, requests: int, seed: int = 0) -> Result:
    """Run a soak."""
    contract, result, lock = load_contract([locate_document(name) for name in DOCUMENTS]), Result(), threading.Lock()

    def send_share(server: RunningServer, make: Callable[[int], SoakRequest], first: int) -> None:
        connection = Connection(server.port)
        for number in range(first, requests, _WORKERS):
            request = make(number)
            try:
                answer = connection.send(request)
                wrong = find_problem(contract, request, answer) if kind == "mutations" else explain_variety(answer)
            except (OSError, ValueError) as error:
                wrong, answer, connection = f"{type(error).__name__}: {error}", (0, {}, b""), Connection(server.port)
            with lock:
                result.requests += 1
                result.statuses[answer[0]] += 1
                if wrong:
                    result.problems.append(f"{request[0]} {request[1].decode()} {request[3][:300]!r}: {wrong}")
                if result.requests % max(1, requests // 20) == 0:
                    result.megabytes.append(server.megabytes)

    with run_server() as server:
        makers = [Mutator(contract, seed * _WORKERS + number) for number in range(_WORKERS)]
        makes = [(lambda _, m=m: m.make_request()) if kind == "mutations" else make_variety for m in makers]
        threads = [threading.Thread(target=send_share, args=(server, make, at)) for at, make in enumerate(makes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if "Traceback" in (log := server.log.read_text()):
            result.problems.append(f"the server's log: {log[:2000]}")
    return result


def main() -> int:
    """Run a soak, print what it has found, and return 1 for a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("mutations", "memory"))
    parser.add_argument("--requests", type=int, default=0, help="1,000,000 mutations or 200,000 for memory by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = run(
        options.kind, options.requests or {"mutations": 1_000_000, "memory": 200_000}[options.kind], options.seed
    )
    print(f"{result.requests} requests, statuses {dict(sorted(result.statuses.items()))}")
    print("megabytes", [round(number) for number in result.megabytes])
    for problem in result.problems[:20]:
        print(problem)
    grown = options.kind == "memory" and result.find_growth() > MEMORY_MB
    return 1 if result.problems or grown else 0


if __name__ == "__main__":
    sys.exit(main())
