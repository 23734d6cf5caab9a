"""`aione-mock serve --workers N`: several processes on one port, and what happens when one of them ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aione_mock.cli import main
from tests.redis_server import find_free_port, start_redis, stop_redis
from tests.test_cli import Running, run_server
from tests.test_shutdown import END, connect, rest
from tests.timing import PATIENCE, wait_until

KEY = {"authorization": "Bearer sk-nex-demo-every-model"}
AWAY = "WARNING aione_mock: the store cannot be reached; calls are answered with 503 until it is back"
BACK = "WARNING aione_mock: the store is back"
BODY = json.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}]})


def list_children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in path.read_text().split()] if path.exists() else []


def is_running(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def get(url: str, path: str) -> Any:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


class Requests:
    """Threads that ask again and again, each time on a new connection, while the block lasts."""

    def __init__(self, running: Running, threads: int = 4) -> None:
        self.host = running.url.removeprefix("http://")
        self.answered = 0
        self.failures: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Requests:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._done.is_set():
            connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
            try:
                connection.request("POST", "/v1/chat/completions", BODY, KEY)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(str(answer.status))
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(type(error).__name__)
            finally:
                connection.close()

    def wait(self, count: int = 20) -> None:
        """Wait until more requests have been answered."""
        wanted = self.answered + count
        assert wait_until(lambda: self.answered >= wanted), self.failures


# --- start


def test_workers_share_a_port_and_one_banner(options: tuple[str, ...]) -> None:
    with run_server(*options, "--workers", "3") as running:
        assert [line for line in running.lines if "is ready on" in line] == running.lines[:1]
        store, prefix = (options[options.index(name) + 1] for name in ("--store", "--store-prefix"))
        assert running.lines[1] == f"3 workers share the store {store} (prefix {prefix})"
        assert len(list_children(running.process.pid)) == 3
        assert len(list(Path(f"/proc/{running.process.pid}/task").iterdir())) == 1, "a fork of threads is not safe"
        assert get(running.url, "/_mock/ready") == {"status": "ready"}
        code, _, log = running.end(signal.SIGTERM)
        assert (code, log) == (-signal.SIGTERM, "")


def test_one_a_core(options: tuple[str, ...]) -> None:
    with run_server(*options, "--workers", "auto") as running:
        cores = len(os.sched_getaffinity(0))
        assert len(list_children(running.process.pid)) == (cores if cores > 1 else 0)


def test_what_no_worker_can_serve_is_one_line(options: tuple[str, ...], tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("nothing: 1\n")
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", *options, "--world", str(world)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"aione-mock: {world}:1: ")


def test_a_store_that_cannot_be_reached_is_one_line() -> None:
    store = f"redis://:s3cret@127.0.0.1:{find_free_port()}/0"
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", "--workers", "2", "--store", store]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("aione-mock: --store redis://")
    assert "s3cret" not in done.stderr


def test_a_store_of_another_seed_is_one_line(options: tuple[str, ...]) -> None:
    with run_server(*options, "--seed", "1") as running:
        assert get(running.url, "/_mock/sessions")["items"][0]["seed"] == "1"
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", *options, "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aione-mock: --seed 7: the store holds a mock of seed 1; use that seed, another")
    assert done.stderr.count("\n") == 1
    with run_server(*options, "--seed", "1") as running:
        assert get(running.url, "/_mock/ready") == {"status": "ready"}


def test_a_worker_that_finds_no_store_waits_for_it(tmp_path: Path) -> None:
    port = find_free_port()
    redis = start_redis(port, tmp_path, "--requirepass", "s3cret")
    options = ("--workers", "2", "--store", f"redis://:s3cret@127.0.0.1:{port}/0", "--store-timeout", "0.5")
    try:
        with run_server(*options) as running:
            stop_redis(redis)
            os.kill(list_children(running.process.pid)[0], signal.SIGKILL)
            read_line(running, lambda line: "is started at once" in line)
            assert "s3cret" not in read_line(running, lambda line: "the store cannot be reached" in line)
            answers = [get(running.url, "/_mock/ready") for _ in range(20)]
            assert {answer["error"]["name"] for answer in answers} == {"not_ready"}
            redis = start_redis(port, tmp_path, "--requirepass", "s3cret")
            assert wait_until(lambda: all(get(running.url, "/_mock/ready") == {"status": "ready"} for _ in range(20)))
            code, _, log = running.end(signal.SIGTERM)
            lines = [re.sub(r" \(.*\)", "", line) for line in log.splitlines()]
            assert (code, Counter(lines)) == (-signal.SIGTERM, {AWAY: 1, BACK: 2}), "one line of each worker"
            assert "s3cret" not in log
    finally:
        stop_redis(redis)


def test_a_banner_that_cannot_be_written_is_one_line(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", *options]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (2, "aione-mock: cannot write the output: No space left on device\n")


def test_a_port_in_use_is_one_line(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1]), *options]) == 2
    assert "choose another with --port" in capsys.readouterr().err


SUPERVISOR = """
import os, sys, time
from functools import partial
from aione_mock.cli import _print_error
from aione_mock.errors import MockError
from aione_mock.server.http import bind_socket
from aione_mock.server.workers import Supervisor
from aione_mock.text.credentials import configure_logs

def serve(worker):
    %s

configure_logs("warning")
listener = bind_socket("127.0.0.1", 0)
end = partial(print, "end", flush=True)
supervisor = Supervisor(2, serve, [listener], on_ready=print, on_reload=lambda: None, on_end=end)
try:
    supervisor.run()
except MockError as error:
    sys.exit(_print_error(str(error)))
"""


def test_workers_that_die_at_once_are_given_up() -> None:
    command = [sys.executable, "-c", SUPERVISOR % "os._exit(7)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert lines[-1] == (
        "aione-mock: the workers cannot start: 5 in a row have died before they could serve; it ended with exit code 7"
    )
    assert len(lines) == 5
    assert all("is gone: it ended with exit code 7" in line for line in lines[:-1])


def test_a_worker_that_dies_again_and_again_is_started_less_and_less_often() -> None:
    code = "worker.announce('ready')\n    time.sleep(0.2)\n    os._exit(7) if worker.number == 2 else time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR % code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(5)]
    process.terminate()
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (-signal.SIGTERM, "ready\nend\n")
    assert [line.rpartition("is started ")[2].strip() for line in lines] == [
        "at once", "in 0.1 seconds", "in 0.2 seconds", "in 0.4 seconds", "in 0.8 seconds"
    ]  # fmt: skip
    assert all("worker 2 " in line for line in lines)


def test_connections_are_spread_over_the_workers(options: tuple[str, ...]) -> None:
    """Clients keep their connections: one worker that accepts them all would do all the work."""
    with run_server(*options) as running, contextlib.ExitStack() as connections:
        workers = list_children(running.process.pid)
        before = [count_sockets(worker) for worker in workers]
        host, _, port = running.url.removeprefix("http://").partition(":")
        for _ in range(100):
            connections.enter_context(socket.create_connection((host, int(port)), PATIENCE))
        assert wait_until(lambda: sum(map(count_sockets, workers)) >= sum(before) + 100)
        shares = [count_sockets(worker) - least for worker, least in zip(workers, before, strict=True)]
        assert min(shares) > 20, shares  # less than once in 10 ** 9 runs by chance


def count_sockets(process: int) -> int:
    files = Path(f"/proc/{process}/fd").iterdir()
    return sum(file.is_symlink() and str(file.readlink()).startswith("socket:") for file in files)


def test_two_mocks_never_share_a_port(options: tuple[str, ...]) -> None:
    with run_server(*options) as running:
        port = running.url.rpartition(":")[2]
        for more in (options, ()):
            command = [sys.executable, "-m", "aione_mock", "serve", "--port", port, *more]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            assert (done.returncode, done.stdout) == (2, "")
            assert "choose another with --port" in done.stderr


# --- death


def test_a_killed_worker_is_replaced_and_the_port_never_refuses(options: tuple[str, ...]) -> None:
    with run_server(*options) as running, Requests(running) as requests:
        seen = set(list_children(running.process.pid))
        for _ in range(3):
            requests.wait()
            victim = list_children(running.process.pid)[0]
            os.kill(victim, signal.SIGKILL)
            assert wait_until(lambda victim=victim: victim not in list_children(running.process.pid))
            assert wait_until(lambda: len(list_children(running.process.pid)) == 2)
            seen |= set(list_children(running.process.pid))
        requests.wait()
        assert len(seen) == 5
        code, _, log = running.end(signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert len(re.findall(r"WARNING aione_mock: worker \d \(process \d+\) is gone: it ended with SIGKILL", log)) == 3
    assert len(log.splitlines()) == 3, log


def test_requests_of_other_workers_go_on_while_one_dies(options: tuple[str, ...]) -> None:
    """Only requests that the killed worker had accepted are lost."""
    with run_server(*options) as running:
        with Requests(running) as requests:
            requests.wait()
            os.kill(list_children(running.process.pid)[0], signal.SIGKILL)
            requests.wait(100)
        assert "ConnectionRefusedError" not in requests.failures
        assert set(requests.failures) <= {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
        assert len(requests.failures) <= 4, "one a thread"


def test_workers_end_with_their_parent(options: tuple[str, ...]) -> None:
    with run_server(*options) as running:
        workers = list_children(running.process.pid)
        running.process.kill()
        assert wait_until(lambda: not any(map(is_running, workers)))


# --- end


def test_open_streams_end_first(options: tuple[str, ...]) -> None:
    with run_server("--auth", "any", *options, "--drain", "60") as running:
        workers = list_children(running.process.pid)
        with connect(running, "pace; ttft=0.01; tps=15") as stream:
            running.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: all(is_refused(running) for _ in range(20))), "by all queues of connections"
            assert any(map(is_running, workers)), "one goes on"
            assert rest(stream).endswith(END)
        assert running.process.wait(PATIENCE) == -signal.SIGTERM
        assert not any(map(is_running, workers))


def is_refused(running: Running) -> bool:
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


@pytest.mark.parametrize(("first", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_streams_that_last_longer_are_cut(options: tuple[str, ...], first: signal.Signals, code: int) -> None:
    drain = "0.2" if first == signal.SIGTERM else "600"
    asking = run_server("--auth", "any", *options, "--drain", drain)
    with asking as running, connect(running, "stall; after=1; then=hang") as stream:
        ended, _, log = running.end(first)
        assert (ended, log) == (code, "")
        assert not rest(stream).endswith(END)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(options: tuple[str, ...], second: signal.Signals) -> None:
    with run_server("--auth", "any", *options, "--drain", "600") as running:
        workers = list_children(running.process.pid)
        with connect(running, "stall; after=1; then=hang"):
            running.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: is_refused(running))
            assert running.end(second)[0] == -second
        assert not any(map(is_running, workers))


def test_a_worker_that_hangs_is_killed_all_the_same(options: tuple[str, ...]) -> None:
    with run_server(*options, "--drain", "0") as running:
        workers = list_children(running.process.pid)
        os.kill(workers[0], signal.SIGSTOP)
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM
        assert not any(map(is_running, workers))


def test_a_terminal_sends_ctrl_c_to_all_processes(options: tuple[str, ...]) -> None:
    with (
        run_server("--auth", "any", "--log", "requests", *options, start_new_session=True) as running,
        connect(running, "stall; after=1; then=hang"),
    ):
        os.killpg(running.process.pid, signal.SIGINT)
        log = running.process.communicate(timeout=PATIENCE)[1]
        assert running.process.returncode == 130
        assert "  stall" in log, "a worker takes it for one Ctrl-C, and ends in order"


def test_a_service_manager_sends_sigterm_to_all_processes(options: tuple[str, ...]) -> None:
    """A worker gets it twice then, and still ends what it has begun."""
    asking = run_server("--auth", "any", "--drain", "60", *options)
    with asking as running, connect(running, "pace; ttft=0.01; tps=30") as stream:
        for worker in list_children(running.process.pid):
            os.kill(worker, signal.SIGTERM)
        time.sleep(0.5)  # later, or both signals count as one
        running.process.send_signal(signal.SIGTERM)
        assert rest(stream).endswith(END)
        assert running.process.wait(PATIENCE) == -signal.SIGTERM


def test_the_mock_ends_with_its_terminal(options: tuple[str, ...]) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "aione_mock", "serve", "--port", "0", *options])
    shown = b""
    while b"Ctrl-C" not in shown:
        shown += os.read(terminal, 1 << 16)
    workers = list_children(child)
    assert len(workers) == 2
    os.close(terminal)
    ended = []
    assert wait_until(lambda: ended.append(os.waitpid(child, os.WNOHANG)) or ended[-1][0] == child)
    assert os.waitstatus_to_exitcode(ended[-1][1]) == -signal.SIGHUP
    assert wait_until(lambda: not any(map(is_running, workers)))


# --- replacement


def test_sighup_replaces_the_workers_one_after_the_other(options: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "mock.yaml"
    config.write_text("seed: one\n")
    with run_server(*options, "--config", str(config)) as running:
        before = list_children(running.process.pid)
        counts = [len(before)]
        with Requests(running) as requests:
            requests.wait()
            config.write_text("seed: two\n")
            running.process.send_signal(signal.SIGHUP)
            assert wait_until(
                lambda: (
                    counts.append(len(list_children(running.process.pid)))
                    or not set(before) & set(list_children(running.process.pid))
                )
            )
            requests.wait()
        assert requests.failures == []
        assert (min(counts), max(counts)) == (2, 3)
        assert get(running.url, "/_mock/health")["seed"] == "two"
        code, _, log = running.end(signal.SIGTERM)
        assert code == -signal.SIGTERM
        assert "is gone" not in log


def test_sighup_with_a_file_that_became_invalid_changes_nothing(options: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "mock.yaml"
    config.write_text("seed: one\n")
    with run_server(*options, "--config", str(config)) as running:
        before = list_children(running.process.pid)
        config.write_text("sed: two\n")
        running.process.send_signal(signal.SIGHUP)
        line = read_line(running, lambda line: "the workers go on as they are" in line)
        assert line.startswith(f"WARNING aione_mock: {config}:1: ")
        assert list_children(running.process.pid) == before
        assert get(running.url, "/_mock/health")["seed"] == "one"


def read_line(running: Running, wanted: Callable[[str], bool]) -> str:
    """Return the next line of the log that is wanted."""
    assert running.process.stderr is not None
    return next(line for line in iter(running.process.stderr.readline, "") if wanted(line))


# --- what all workers share


def test_changed_files_take_effect_in_all_workers_and_one_reports_mistakes(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("models: [{id: first}]\n")
    with run_server(*options, "--models", str(models)) as running:
        models.write_text("models: [{id: second}]\n")
        assert wait_until(lambda: all(list_models(running) == ["second"] for _ in range(20)))
        models.write_text("models: 3\n")
        time.sleep(2)
        assert list_models(running) == ["second"]
        log = running.end(signal.SIGTERM)[2]
    assert len(log.splitlines()) == 1, log
    assert str(models) in log


def list_models(running: Running) -> list[str]:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=PATIENCE)
    connection.request("GET", "/v1/models", headers=KEY)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return [model["id"] for model in answer["data"]]


def test_a_worker_that_was_replaced_knows_what_has_changed(options: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "mock.yaml"
    config.write_text("seed: one\nmodels: {models: [{id: first}]}\n")
    with run_server(*options, "--config", str(config)) as running:
        config.write_text("seed: two\nmodels: {models: [{id: second}]}\n")
        assert wait_until(lambda: all(list_models(running) == ["second"] for _ in range(20)))
        for worker in list_children(running.process.pid):
            os.kill(worker, signal.SIGKILL)
            assert wait_until(lambda worker=worker: worker not in list_children(running.process.pid))
        assert wait_until(lambda: len(list_children(running.process.pid)) == 2)
        assert {tuple(list_models(running)) for _ in range(20)} == {("second",)}
        assert get(running.url, "/_mock/health")["seed"] == "one", "that needs SIGHUP, so that all workers agree"


def test_a_unix_socket(options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "mock.sock"
    with run_server(*options, "--uds", str(path)) as running:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /_mock/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert b"".join(iter(lambda: client.recv(1 << 16), b"")).endswith(b'{"status":"ready"}')
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert not path.exists()


def test_all_workers_have_one_certificate(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with run_server(*options, "--tls-self-signed") as running:
        host, _, port = running.url.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cafile=tmp_path / "aione-mock" / f"ca-{port}.pem")
        seen = set()
        for _ in range(20):
            plain = socket.create_connection((host, int(port)), PATIENCE)
            with context.wrap_socket(plain, server_hostname=host) as secured:
                seen.add(secured.getpeercert(binary_form=True))
        assert len(seen) == 1
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert not (tmp_path / "aione-mock" / f"ca-{port}.pem").exists()


def test_metrics_are_those_of_all_workers(options: tuple[str, ...], tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with run_server(*options, "--metrics", env=environment) as running:
        with Requests(running) as requests:
            requests.wait(100)
            os.kill(list_children(running.process.pid)[0], signal.SIGKILL)
            requests.wait(100)
        found = {read_calls(running) for _ in range(20)}
        assert len(found) == 1, "whichever worker answers"
        lost = found.pop() - requests.answered
        assert 0 <= lost <= len(requests.failures), "a call may be counted, and its answer lost"
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def read_calls(running: Running) -> int:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=PATIENCE)
    connection.request("GET", "/_mock/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    wanted = [line for line in lines if line.startswith("aione_mock_calls_total{") and "createChatCompletion" in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in wanted))


def test_lines_of_the_log_are_whole(options: tuple[str, ...], tmp_path: Path) -> None:
    """Several workers write to one pipe, more at once than the system writes undivided."""
    with run_server(*options, "--log", "requests", "--log-format", "json") as running:
        lines: list[str] = []
        assert running.process.stderr is not None
        reader = threading.Thread(target=lambda: lines.extend(running.process.stderr or ()))
        with Requests(running, threads=8) as requests:
            requests.wait(600)
            reader.start()  # until now lines have waited: the pipe is full
        running.process.send_signal(signal.SIGTERM)
        reader.join(PATIENCE)
    entries = [json.loads(line) for line in lines]
    assert len(entries) == requests.answered
    assert {entry["status"] for entry in entries} == {200}
